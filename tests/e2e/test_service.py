"""The service: readiness told to who started it, the unit's hardening, the installed tree, the Debian package doing the main job."""
import contextlib
import gzip
import os
import pathlib
import re
import shutil
import socket
import stat
import subprocess
import sys
import tempfile

import pytest

import perilune
import pictures
import unit_box
from perilune import BINARY, BUILD, SANITIZED, TOP, Server, eventually, unique

pytestmark = pytest.mark.cli
UNIT = TOP / "packaging" / "perilune.service"
needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
needs_dpkg = pytest.mark.skipif(not shutil.which("dpkg-shlibdeps") or SANITIZED, reason="dpkg-dev is not installed, or a sanitizer's build")


# --- readiness ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_readiness_is_told(abstract, request):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="perilune-notify-"))
    request.addfinalizer(lambda: shutil.rmtree(folder))
    folder.chmod(0o755)  # the server may have become another user
    name = f"@{unique('notify')}" if abstract else str(folder / "socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + name[1:] if abstract else name)
        if not abstract:
            os.chmod(name, 0o666)
        listener.settimeout(20)
        env = {"NOTIFY_SOCKET": name, "PERILUNE_ROOT_ACCESS_KEY": None, "PERILUNE_ROOT_SECRET_KEY": None}
        with Server(env=env, wait=False) as s:
            assert listener.recv(4096) == b"READY=1"
            assert s.healthz()[0] == 200, "whoever is told may call at once"
            secret = re.search(r"aws_secret_access_key *= *(\S+)", (s.data / "root.credentials").read_text())[1]
            assert secret not in s.stderr(), "a service's messages are kept and read by others"
            assert s.stop() == 0
            assert listener.recv(4096) == b"STOPPING=1"


def test_readiness_nobody_listens():
    for name in ("/nonexistent/socket", "relative", "", "/" + "x" * 200):
        with Server(env={"NOTIFY_SOCKET": name}) as s:
            assert s.healthz()[0] == 200 and s.stop() == 0


# --- the unit -----------------------------------------------------------------------------------------


@needs_systemd
def test_unit_is_hardened():
    r = subprocess.run(["systemd-analyze", "security", "--offline=true", str(UNIT)], capture_output=True, text=True,
                       env=dict(os.environ, SYSTEMD_COLORS="0", SYSTEMD_EMOJI="0"))
    score = re.search(r"exposure level for perilune.service: (\d+\.\d)", r.stdout)
    assert score and float(score[1]) <= 2.0, r.stdout + r.stderr
    assert dict(unit_box.settings(UNIT)).get("MemoryDenyWriteExecute", "no") == "no", "the JIT needs that"
    r = subprocess.run(["systemd-analyze", "verify", str(UNIT)], capture_output=True, text=True)
    wrong = [l for l in r.stderr.splitlines() if "perilune.service" in l and "not executable" not in l and "'man " not in l]
    assert not wrong, wrong


def test_unit_lets_runs_end_and_one_runner_die():
    given = dict(unit_box.settings(UNIT))
    assert given["Type"] == "notify" and given["Restart"] == "always"
    assert given["KillMode"] == "mixed", "SIGTERM is the server's; runners finish"
    assert int(given["TimeoutStopSec"]) > 910, "longer than the server waits for what runs"
    assert given["OOMPolicy"] == "continue" and given["User"] == "perilune"


def test_the_table_of_descriptors_does_not_grow(server):
    """In a process with threads the kernel would make the loop wait for a grace period, 4 to 20 ms, each time it grew."""
    status = pathlib.Path(f"/proc/{server.proc.pid}/status").read_text()
    limits = pathlib.Path(f"/proc/{server.proc.pid}/limits").read_text()
    hard = int(re.search(r"Max open files +\d+ +(\d+)", limits)[1])
    assert int(re.search(r"FDSize:\s+(\d+)", status)[1]) >= min(hard, 32768)


# --- backup -------------------------------------------------------------------------------------------


def test_a_copy_of_the_stopped_folder_serves():
    """What README.md says of backups: functions, objects, secrets, keys and logs are all in it."""
    with Server() as s:
        role = s.make_role({"Effect": "Allow", "Action": ["perilune:SecretRead", "s3:GetObject"], "Resource": "*"})
        name = s.make_function("return { main = function() log.info('was here') return (secrets.get 'sesame') .. s3.get('b-1', 'k').body end }", role=role)
        s.cli("secret", "set", "sesame", stdin="open")
        s.client("s3").create_bucket(Bucket="b-1")
        s.client("s3").put_object(Bucket="b-1", Key="k", Body=b"x" * 300_000)
        key = s.client("iam").create_access_key(UserName=s.client("iam").create_user(UserName="ada")["User"]["UserName"])["AccessKey"]
        assert s.invoke(name)[0] == "open" + "x" * 300_000
        assert s.stop() == 0
        copy = s.dir / "copy"
        subprocess.run(["cp", "-a", str(s.data), str(copy)], check=True)
        with Server(data=copy) as again:
            assert again.invoke(name)[0] == "open" + "x" * 300_000
            assert len([l for l in again.log_lines(name) if "was here" in l]) == 2
            assert again.client("sts", key["AccessKeyId"], key["SecretAccessKey"]).get_caller_identity()["Arn"].endswith(":user/ada")
            assert again.stop() == 0


# --- make install -------------------------------------------------------------------------------------


def make(*args):
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS")}
    r = subprocess.run(["make", "-C", str(TOP), "--no-print-directory", f"BUILD={BUILD}", *args], capture_output=True, text=True, env=env)
    assert r.returncode == 0, r.stdout + r.stderr
    return r.stdout


def tree(top):
    return {str(p.relative_to(top)) for p in pathlib.Path(top).rglob("*") if not p.is_dir()}


@pytest.mark.skipif(SANITIZED, reason="a sanitizer's build is not installed")
def test_make_install_and_uninstall(tmp_path):
    make("install", f"DESTDIR={tmp_path}", "PREFIX=/opt/perilune")
    top = tmp_path / "opt/perilune"
    files = tree(top)
    assert files >= {"bin/perilune", "bin/perilune-fetch", "share/man/man1/perilune.1", "share/bash-completion/completions/perilune",
                     "share/zsh/site-functions/_perilune", "share/fish/vendor_completions.d/perilune.fish", "share/perilune/lua/kv.lua",
                     "share/doc/perilune/README.md", "share/doc/perilune/LICENSE", "lib/systemd/system/perilune.service",
                     "lib/sysusers.d/perilune.conf"}
    for name in files:
        mode = (top / name).stat().st_mode
        assert stat.S_IMODE(mode) == (0o755 if name.startswith("bin/") else 0o644), name
        assert (top / name).stat().st_size > 0, name
    assert "ExecStart=/opt/perilune/bin/perilune serve" in (top / "lib/systemd/system/perilune.service").read_text()
    assert {p.name for p in (TOP / "lua/meta").iterdir()} == {p.name for p in (top / "share/perilune/lua").iterdir()}
    r = subprocess.run(["man", "-l", str(top / "share/man/man1/perilune.1")], capture_output=True, text=True) if shutil.which("man") else None
    assert r is None or "perilune serve" in r.stdout
    subprocess.run(["bash", "-n", str(top / "share/bash-completion/completions/perilune")], check=True)
    make("uninstall", f"DESTDIR={tmp_path}", "PREFIX=/opt/perilune")
    assert tree(tmp_path) == set()


# --- the package --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def package():
    return TOP / make("deb").splitlines()[-1]


@pytest.fixture(scope="module")
def unpacked(package):
    """A folder that another user may read, unlike pytest's own."""
    top = pathlib.Path(tempfile.mkdtemp(prefix="perilune-deb-"))
    subprocess.run(["dpkg-deb", "-R", str(package), str(top)], check=True)
    top.chmod(0o755)
    yield top
    shutil.rmtree(top, ignore_errors=True)


@needs_dpkg
def test_package_is_well_formed(package, unpacked):
    field = lambda name: subprocess.run(["dpkg-deb", "-f", str(package), name], capture_output=True, text=True, check=True).stdout.strip()
    assert field("Package") == "perilune" and field("Version") in subprocess.run([str(BINARY), "version"], capture_output=True, text=True).stdout
    for library in ("libc6", "libuv1", "liblmdb0", "libluajit", "libseccomp2", "libcurl4", "adduser"):
        assert library in field("Depends")
    listing = subprocess.run(["dpkg-deb", "-c", str(package)], capture_output=True, text=True, check=True).stdout.splitlines()
    for line in listing:
        mode, owner = line.split()[:2]
        assert owner == "root/root" and mode[5] == "-" and mode[8] == "-" and "s" not in mode, line
    files = tree(unpacked)
    assert {"usr/bin/perilune", "usr/bin/perilune-fetch", "usr/lib/systemd/system/perilune.service", "usr/share/man/man1/perilune.1.gz",
            "usr/share/bash-completion/completions/perilune", "usr/share/zsh/vendor-completions/_perilune", "usr/share/doc/perilune/copyright",
            "usr/share/fish/vendor_completions.d/perilune.fish", "usr/share/perilune/lua/s3.lua", "etc/default/perilune"} <= files
    assert b"perilune serve" in gzip.decompress((unpacked / "usr/share/man/man1/perilune.1.gz").read_bytes()).replace(b"\\-", b"-")
    assert "ExecStart=/usr/bin/perilune serve" in (unpacked / "usr/lib/systemd/system/perilune.service").read_text()
    for script in ("postinst", "prerm", "postrm"):
        subprocess.run(["sh", "-n", str(unpacked / "DEBIAN" / script)], check=True)
    sums = subprocess.run(["md5sum", "-c", "--quiet", "DEBIAN/md5sums"], cwd=unpacked)
    assert sums.returncode == 0
    for line in (unpacked / "etc/default/perilune").read_text().splitlines():  # every suggestion is a flag
        if line.startswith("#PERILUNE_"):
            flag = "--" + line[len("#PERILUNE_"):].split("=")[0].lower().replace("_", "-")
            assert flag in subprocess.run([str(BINARY), "serve", "--help"], capture_output=True, text=True).stdout, line


@needs_dpkg
@needs_systemd
def test_package_does_the_main_job_boxed_as_the_unit_is(unpacked, monkeypatch):
    """Upload, function, log line, by the unpacked program as another user under the unit's filter."""
    program = unpacked / "usr/bin/perilune"
    monkeypatch.setattr(perilune, "BINARY", program)
    home = unpacked / "home"
    home.mkdir()
    if os.getuid() == 0:
        shutil.chown(home, 65534, 65534)
    box = [sys.executable, str(TOP / "tests/e2e/unit_box.py"), str(unpacked / "usr/lib/systemd/system/perilune.service"), "--writable", str(home)]
    with Server(data=home / "data", prefix=box, env={"WIRE_LOG": None}) as s:
        assert "unit_box: " in s.stderr() and "SystemCallFilter" in s.stderr()
        status = pathlib.Path(f"/proc/{s.proc.pid}/status").read_text()
        assert re.search(r"^Seccomp:\s+2$", status, re.M) and re.search(r"^NoNewPrivs:\s+1$", status, re.M)
        assert os.getuid() or re.search(r"^Uid:\s+65534\s", status, re.M)
        assert re.search(r"jail: .*no_new_privs.*seccomp", s.stderr()), s.stderr()
        name, bucket = unique("pics"), unique("pics")
        s.cli("blueprint", "new", "s3-upload", "--name", name, "--set", f"bucket={bucket}", "--yes")
        s.client("s3").put_object(Bucket=bucket, Key="moon.png", Body=pictures.png(64, 40))
        assert "64" in eventually(lambda: [l for l in s.log_lines(name) if "moon.png" in l])[0]
        # a hot loop is compiled, a runner that runs too long is ended, a request may leave
        hot = s.make_function("return { main = function() local n = 0 for i = 1, 3e7 do n = n + i % 7 end return n end }", Timeout=20)
        assert s.invoke(hot)[1] is None
        slow = s.make_function("return { main = function() while true do end end }", Timeout=1)
        assert s.invoke(slow)[0]["errorType"] == "Sandbox.Timedout"
        role = s.make_role({"Effect": "Allow", "Action": "perilune:HttpRequest", "Resource": f"{s.url}/*"})
        out = s.make_function("return { main = function(e) local r, err = http.get(e.url) return r and r.status or err.message end }", role=role, Timeout=10)
        assert s.invoke(out, {"url": f"{s.url}/healthz"})[0] == 200, s.invoke(out, {"url": f"{s.url}/healthz"})
        assert not [l for l in s.stderr().splitlines() if "EPERM" in l or "not permitted" in l]
        assert s.stop() == 0
    with contextlib.suppress(FileNotFoundError):
        assert stat.S_IMODE((home / "data").stat().st_mode) == 0o700
