"""perilune's own commands against a real server: store, secrets, versions, previews, exit codes, and a stranger's
first quarter of an hour as one test."""
import json
import os
import pty
import re
import signal
import subprocess
import termios
import time

import pytest

from perilune import BINARY, eventually, unique
from test_cli_dev import Dev

pytestmark = pytest.mark.cli


@pytest.fixture
def project(tmp_path):
    """A new project, under a name of its own."""
    name = unique("shop")
    subprocess.run([str(BINARY), "init", str(tmp_path / name)], check=True, capture_output=True)
    return tmp_path / name


# --- kv and secrets -------------------------------------------------------------------------------


def test_kv(server):
    ns = unique("ns")
    assert server.cli("kv", "set", ns, "a/b c", "hello").stdout == ""
    assert server.cli("kv", "get", ns, "a/b c").stdout == "hello"
    server.cli("kv", "set", ns, "lines", stdin="1\n2\n")
    doc = json.loads(server.cli("kv", "get", ns, "lines", "--json").stdout)
    assert doc["value"] == "1\n2\n" and doc["namespace"] == ns and doc["expires"] is None
    version = str(doc["version"])
    assert server.cli("kv", "set", ns, "lines", "x", "--if-absent", check=False).returncode == 5
    assert server.cli("kv", "set", ns, "lines", "x", "--if-version", "1" + version, check=False).returncode == 5
    server.cli("kv", "set", ns, "lines", "x", "--if-version", version, "--ttl", "1h")
    listed = json.loads(server.cli("kv", "list", ns, "--json", "--values").stdout)["items"]
    assert [(i["key"], i["value"], "expires" in i) for i in listed] == [("a/b c", "hello", False), ("lines", "x", True)]
    assert "a/b c" in server.cli("kv", "list", ns, "--prefix", "a").stdout and ns in server.cli("kv", "list").stdout
    server.cli("kv", "rm", ns, "lines")
    for gone in (("get", ns, "lines"), ("rm", ns, "lines")):
        assert server.cli("kv", *gone, check=False).returncode == 3
    assert server.cli("kv", "set", "no spaces", "k", "v", check=False).returncode == 1
    assert server.cli("kv", "set", ns, "k", stdin="x" * 262145, check=False).returncode == 1
    server.cli("kv", "set", ns, "k", stdin="x" * 262144)


def test_kv_bytes_and_pages(server, tmp_path):
    ns, raw = unique("ns"), bytes(range(256))
    (tmp_path / "raw").write_bytes(raw)
    server.cli("kv", "set", ns, "raw", "--file", str(tmp_path / "raw"))
    got = subprocess.run([str(BINARY), "kv", "get", ns, "raw"], env=server.aws_env(), capture_output=True, timeout=30)
    assert got.stdout == raw
    doc = json.loads(server.cli("kv", "get", ns, "raw", "--json").stdout)
    assert "value" not in doc and doc["value_base64"]
    name = server.make_function("""return { main = function()
        for i = 1, 11 do -- a hundred at once
            assert(kv.transaction(function(tx)
                local s = tx:open(os.getenv("NS"))
                for n = 1, 100 do s:set(("k%05d"):format(100 * i + n), "v") end
                return true
            end))
        end
    end }""", role=server.make_role({"Effect": "Allow", "Action": "perilune:KvWrite", "Resource": "*"}), Timeout=60, Environment={"Variables": {"NS": ns}})
    assert server.invoke(name)[1] is None
    assert len(json.loads(server.cli("kv", "list", ns, "--json").stdout)["items"]) == 1101


def test_secrets(server):
    name = f"team/{unique('token')}"
    made = json.loads(server.cli("secret", "set", name, "--json", stdin="s3cret word\n").stdout)
    assert made == {"name": name, "created": True}
    fn = server.make_function(f'return {{ main = function() return secrets.get("{name}") end }}',
                              role=server.make_role({"Effect": "Allow", "Action": "perilune:SecretRead", "Resource": "*"}))
    assert server.invoke(fn)[0] == "s3cret word"
    assert "changed" in server.cli("secret", "set", name, stdin="other").stdout
    r = server.cli("secret", "list")
    assert name in r.stdout and "other" not in r.stdout
    assert [s["name"] for s in json.loads(server.cli("secret", "list", "--json").stdout)["secrets"] if s["name"] == name]
    server.cli("secret", "rm", name)
    assert server.cli("secret", "rm", name, check=False).returncode == 3
    assert server.cli("secret", "set", name, stdin="", check=False).returncode == 2
    assert server.cli("secret", "set", name, "on-the-command-line", check=False).returncode == 2


def test_a_secret_typed_is_not_shown(server):
    name = unique("typed")
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(str(BINARY), ["perilune", "secret", "set", name], server.aws_env())
    seen = b""
    while b"not shown" not in seen:
        seen += os.read(fd, 1000)
    assert not termios.tcgetattr(fd)[3] & termios.ECHO, "before it asks, or who types at once is seen and not heard"
    os.write(fd, b"hunter2\n")
    try:
        while block := os.read(fd, 1000):
            seen += block
    except OSError:
        pass  # the terminal is gone with the command
    assert os.waitpid(pid, 0)[1] == 0 and b"hunter2" not in seen and b"created" in seen


# --- versions, previews ---------------------------------------------------------------------------


def test_versions_and_back(server, project):
    name, handler = project.name, project / "handler.lua"
    assert server.cli("versions", name, check=False).returncode == 3
    for n, word in enumerate(("Hello", "Good day", "Good night"), 1):
        handler.write_text(f'return {{ main = function() return "{word}" end }}')
        assert f"deployed {name} (version {n})" in server.cli("deploy", str(project)).stdout
    listed = json.loads(server.cli("versions", name, "--json").stdout)
    assert [(v["version"], v["current"]) for v in listed["versions"]] == [("3", True), ("2", False), ("1", False)]
    assert json.loads(server.cli("rollback", name, "--json").stdout)["version"] == "2"
    assert server.cli("invoke", name).stdout == '"Good day"\n'
    assert f"{name} is back at version 1, from 2" in server.cli("rollback", name, "1").stdout
    assert server.cli("invoke", name).stdout == '"Hello"\n'
    assert re.search(r"^1 .*serving$", server.cli("versions", name).stdout, re.M)
    assert server.cli("rollback", name, "99", check=False).returncode == 3
    assert server.cli("rollback", name, "new", check=False).returncode == 2
    server.cli("rollback", name, "3")
    assert server.cli("invoke", name).stdout == '"Good night"\n'


def things(report, kind):
    return {(t["type"], t["name"]) for t in report[kind]}


def test_a_preview_is_what_is_done(server, project):
    name, bucket = project.name, unique("bucket")
    manifest = """return { name = "%s", permissions = { %s }, triggers = { %s } }"""
    kv, s3, url = '{ "perilune:KvRead", "n" }', '{ "s3:GetObject", "%s/*" }' % bucket, "{ url = true }"
    on_put = '{ s3 = "%s", suffix = ".jpg" }' % bucket
    steps = [
        ((kv, url), {"created": {("role", f"{name}-role"), ("function", name), ("url", name)}, "updated": set(), "removed": set()}, 1, 0),
        ((f"{kv}, {s3}", f"{url}, {on_put}"),
         {"created": {("bucket", bucket), ("notification", f"{name}-1")}, "updated": {("role", f"{name}-role"), ("function", name), ("url", name)},
          "removed": set()}, 2, 0),
        ((s3, on_put), {"created": set(), "updated": {("role", f"{name}-role"), ("function", name), ("notification", f"{name}-1")},
                        "removed": {("url", name)}}, 1, 1),
        (("", url), {"created": {("url", name)}, "updated": {("role", f"{name}-role"), ("function", name)},
                     "removed": {("notification", f"{name}-1")}}, 0, 1),
    ]
    for (permissions, triggers), want, granted, revoked in steps:
        (project / "function.lua").write_text(manifest % (name, permissions, triggers))
        preview = json.loads(server.cli("deploy", str(project), "--dry-run", "--json").stdout)
        again = json.loads(server.cli("deploy", str(project), "--dry-run", "--json").stdout)
        done = json.loads(server.cli("deploy", str(project), "--json").stdout)
        for report in (preview, again, done):
            assert {k: things(report, k) for k in want} == want
            assert (len(report["granted"]), len(report["revoked"])) == (granted, revoked)
        assert preview["dry_run"] is True and done["dry_run"] is False
    text = server.cli("deploy", str(project), "--dry-run").stdout
    assert f"{name}: nothing is changed; this would be" in text and f"updated   url          {name}" in text


# --- exit codes -----------------------------------------------------------------------------------


def test_exit_codes(server, project, tmp_path):
    slow = server.make_function("return { main = function() time.sleep(5) end }", Timeout=10)
    bad = server.make_function("return { main = function() error('no') end }")
    want = {
        0: [("list",), ("status", "--json"), ("help",), ("version",)],
        1: [("invoke", bad), ("kv", "get", "bad namespace", "k")],
        2: [("frobnicate",), ("list", "--no-such-flag"), ("get",), ("invoke", bad, "-d", "{}", "-f", "x"), ("--endpoint", "nonsense://x", "list")],
        3: [("get", "nobody"), ("invoke", "nobody"), ("logs", "nobody"), ("rm", "nobody"), ("deploy", str(tmp_path / "none"))],
        5: [("init", str(project)), ("bucket", "mb", "x1234")],
        6: [("--endpoint", "http://127.0.0.1:1", "list"), ("--endpoint", "http://127.0.0.1:1", "invoke", "x")],
        124: [("--timeout", "300ms", "invoke", slow)],
    }
    server.cli("bucket", "mb", "x1234")
    for code, lines in want.items():
        for line in lines:
            r = server.cli(*line, check=False)
            assert r.returncode == code, (line, r.returncode, r.stderr)
            assert code == 0 or r.stderr.startswith("perilune: ") and len(r.stderr) > 20, r.stderr
    env = dict(server.aws_env(), AWS_SECRET_ACCESS_KEY="wrong")
    r = subprocess.run([str(BINARY), "list"], env=env, capture_output=True, text=True)
    assert r.returncode == 4 and "AWS_ACCESS_KEY_ID in the environment" in r.stderr


def test_invoke_in_every_way(server, tmp_path):
    name = server.make_function("return { main = function(e) print('seen', e.n) return { n = (e.n or 0) * 2 } end }")
    (tmp_path / "event.json").write_text('{"n": 4}')
    assert json.loads(server.cli("invoke", name, "-d", '{"n": 3}').stdout) == {"n": 6}
    assert json.loads(server.cli("invoke", name, "-f", str(tmp_path / "event.json")).stdout) == {"n": 8}
    assert json.loads(server.cli("invoke", name, "-", stdin='{"n": 5}').stdout) == {"n": 10}
    r = server.cli("invoke", name, "-d", '{"n": 1}', "--tail")
    assert "seen\t1" in r.stderr and json.loads(r.stdout) == {"n": 2}
    r = server.cli("invoke", name, "-d", '{"n": 77}', "--async")
    assert r.stdout == "" and "accepted; request id" in r.stderr
    eventually(lambda: any("seen\t77" in line for line in server.log_lines(name)))
    assert "seen\t77" in server.cli("logs", name, "--since", "1m", "--level", "info").stdout


def test_output_is_plain_in_a_pipe(server):
    name = server.make_function("return { main = function() log.error('red') end }")
    server.invoke(name)
    for env in ({}, {"NO_COLOR": "1"}):
        r = subprocess.run([str(BINARY), "logs", name], env=dict(server.aws_env(), **env), capture_output=True, text=True)
        assert "red" in r.stdout and "\033" not in r.stdout


def test_doctor(server, tmp_path):
    r = server.cli("doctor")
    assert re.search(r"^ok +server +", r.stdout, re.M) and re.search(r"^ok +keys +", r.stdout, re.M)
    checks = {c["check"]: c for c in json.loads(server.cli("doctor", "--json").stdout)["checks"]}
    assert {"runtime", "server", "keys", "clock", "jail", "queue"} <= set(checks)
    assert all(c["state"] in ("ok", "warning", "failed") and c["detail"] for c in checks.values())
    r = server.cli("--endpoint", "http://127.0.0.1:1", "doctor", check=False)
    assert r.returncode == 6 and re.search(r"^failed +server ", r.stdout, re.M) and "perilune serve" in r.stdout
    env = dict(server.aws_env(), AWS_SECRET_ACCESS_KEY="wrong")
    r = subprocess.run([str(BINARY), "doctor"], env=env, capture_output=True, text=True)
    assert r.returncode == 4 and re.search(r"^failed +keys ", r.stdout, re.M)


# --- a stranger -----------------------------------------------------------------------------------


def test_a_strangers_path(own_server, tmp_path, capsys):
    """init, edit under dev, deploy, logs -f, rollback; the time of each step is printed."""
    times, began = [], time.monotonic()

    def step(name):
        nonlocal began
        times.append((name, time.monotonic() - began))
        began = time.monotonic()

    server, folder = own_server(), tmp_path / "greeter"
    began = time.monotonic()
    subprocess.run([str(BINARY), "init", str(folder)], check=True, capture_output=True)
    step("perilune init greeter")
    for command in ("test", "check"):
        subprocess.run([str(BINARY), command, str(folder)], check=True, capture_output=True)
        step(f"perilune {command}")
    dev = Dev(folder)
    try:
        assert dev.get("?name=Ada")["greeting"] == "Hello, Ada"
        step("perilune dev, to the first answer")
        source = (folder / "handler.lua").read_text()
        dev.save("handler.lua", source.replace('", "', '", dear "'))
        eventually(lambda: dev.get("?name=Ada")["greeting"] == "Hello, dear Ada", 5, 0.005)
        step("edit, to the new answer")
    finally:
        assert dev.end() == 0
    step("Ctrl-C")
    server.cli("deploy", str(folder))
    step("perilune deploy")
    follow = subprocess.Popen([str(BINARY), "logs", "greeter", "-f"], env=server.aws_env(), stdout=subprocess.PIPE, text=True)
    try:
        assert json.loads(server.cli("invoke", "greeter", "-f", str(folder / "event.json")).stdout)["greeting"] == "Hello, dear Ada"
        step("perilune invoke greeter -f event.json")
        while "greeted" not in follow.stdout.readline():
            pass
        step("its line in perilune logs -f")
    finally:
        follow.send_signal(signal.SIGTERM)
        follow.wait(10)
    (folder / "handler.lua").write_text(source.replace("return M", "return { main = function() error 'oh no' end }"))
    server.cli("deploy", str(folder))
    assert server.cli("invoke", "greeter", check=False).returncode == 1
    began = time.monotonic()
    server.cli("rollback", "greeter")
    assert json.loads(server.cli("invoke", "greeter").stdout)["greeting"] == "Hello, dear world"
    step("perilune rollback, and well again")
    with capsys.disabled():
        print("\na stranger's path: " + ", ".join(f"{name} {seconds * 1000:.0f} ms" for name, seconds in times))
    assert sum(seconds for _, seconds in times) < 20
