"""Outbound HTTP: the module, the role, the addresses, the limits, the process."""
import concurrent.futures
import contextlib
import os
import pathlib
import signal
import subprocess

import pytest

from perilune import BINARY, SANITIZED, Server, eventually, unique
from web import Web, certificates

pytestmark = pytest.mark.boto3

ASK = """
return { main = function(e)
  local res, err = http.request(e)
  if not res then return { code = err.code, message = err.message } end
  return { status = res.status, n = #res.body, body = #res.body < 5000 and res.body or nil, headers = res.headers }
end }
"""
FETCH = BINARY.with_name("perilune-fetch")


def allow(*resources):
    return {"Effect": "Allow", "Action": "perilune:HttpRequest", "Resource": list(resources)}


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    return certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def server(tls):
    with Server("--fetch-idle", "1", "--ca-file", tls["ca"][0]) as s:
        yield s
        assert s.stop() == 0, s.stderr()
        assert "AddressSanitizer" not in s.stderr() and "runtime error" not in s.stderr(), s.stderr()


@pytest.fixture(scope="module")
def web():
    with Web() as w:
        yield w


@pytest.fixture(scope="module")
def ask(server, web):
    """ask(url, …) from a function that may reach everything public, and `web` by its address."""
    name = server.make_function(ASK, role=server.make_role(allow("*", f"{web.url}/*")), Timeout=30, MemorySize=256)

    def call(url, **more):
        value, error, _ = server.invoke(name, {"url": url, **more})
        assert error is None, value
        return value

    call.name = name
    return call


def fetch_pid(server):
    found = [pid for pid, command in server.processes().items() if command.startswith("perilune-fetch")]
    assert len(found) <= 1
    return found[0] if found else None


# --- the module ---------------------------------------------------------------------------------

def test_the_module(server, web):
    name = server.make_function("""
return { main = function(e)
  assert(require "http" == http and require "perilune.http" == http)
  local a = assert(http.get(e.url .. "/echo?z=0#frag", { query = { a = "b c&d", n = 5, l = { "x", "y" }, t = true },
                                                         headers = { ["X-Mine"] = "1", Authorization = "Bearer t" } }))
  local b = assert(http.post(e.url .. "/echo", "text\\0more"))
  local c = assert(http.post(e.url .. "/echo", nil, { json = { k = json.array({}) } }))
  local d = assert(http.request{ url = e.url .. "/echo", method = "patch", body = "", headers = { ["Content-Type"] = "a/b" } })
  local h = assert(http.request{ url = e.url .. "/echo", method = "HEAD" })
  local x = assert(http.get(e.url .. "/status/404"))
  local names = {}
  for k in pairs(a.headers) do names[#names + 1] = k end
  table.sort(names)
  return { a = a:json(), b = b:json(), c = c:json(), d = d:json(), h = { h.status, h.body }, x = { x.status, x.body, (x:json()) },
    bad = { select(2, x:json()).code }, names = names, same = a.headers["CONTENT-type"] == a.headers["content-type"],
    twice = a.headers["X-Twice"], nothing = a.headers["x-none"] == nil,
    misuse = { pcall(http.get), pcall(http.get, e.url, { nonsense = 1 }), pcall(http.get, e.url, { timeout = 0 }),
      pcall(http.request, "x"), pcall(http.get, e.url, { body = "x", json = 1 }), pcall(http.get, e.url, { headers = { a = {} } }) } }
end }""", role=server.make_role(allow(f"{web.url}/*")))
    v, error, _ = server.invoke(name, {"url": web.url})
    assert error is None, v
    headers = dict(v["a"]["headers"])
    assert v["a"]["path"] == "/echo?z=0&a=b%20c%26d&l=x&l=y&n=5&t=true"
    assert headers["x-mine"] == "1" and headers["authorization"] == "Bearer t" and headers["user-agent"] == "perilune"
    assert "cookie" not in headers and "content-type" not in headers
    assert (v["b"]["method"], v["b"]["body"]) == ("POST", "text\0more") and "content-type" not in dict(v["b"]["headers"])
    assert (v["c"]["body"], dict(v["c"]["headers"])["content-type"]) == ('{"k":[]}', "application/json")
    assert v["d"]["method"] == "PATCH" and dict(v["d"]["headers"])["content-length"] == "0" and dict(v["d"]["headers"])["content-type"] == "a/b"
    assert v["h"] == [200, ""] and v["x"][:2] == [404, "said so"] and v["bad"] == ["InvalidArgument"]
    assert v["same"] and v["twice"] == "a, b" and v["nothing"] and v["names"] == sorted(n.lower() for n in v["names"])
    assert [m for m in v["misuse"] if isinstance(m, bool)] == [False] * 6, v["misuse"]
    ports = {v[k]["port"] for k in "abcd"}
    assert len(ports) == 4, "a connection was used twice"


def test_where_it_can_be_called(server, web):
    """Side by side, in the init phase, from another function's payload, with IPv6."""
    with Web(host="::1") as six:
        name = server.make_function("""
local first = assert(http.get(os.getenv("WEB") .. "/status/201"))
return { main = function(e)
  local t = time.now()
  local all = task.all{
    function() return select(2, http.get(e.url .. "/slow/", { timeout = 0.4 })).code end,
    function() return select(2, http.get(e.url .. "/slow/", { timeout = 0.4 })).code end,
    function() return http.get(e.url .. "/echo").status end,
  }
  return { first.status, all, time.now() - t, http.get(e.six .. "/echo").status, select(2, http.get((e.six:gsub("::1", "0:0:0:0:0:0:0:2")))).code }
end }""", role=server.make_role(allow(f"{web.url}/*", f"{six.url}/*")), Environment={"Variables": {"WEB": web.url}})
        value, error, _ = server.invoke(name, {"url": web.url, "six": six.url})
    assert error is None, value
    assert value[0] == 201 and value[1] == ["Timeout", "Timeout", 200] and value[2] < 0.75 and value[3:] == [200, "AccessDenied"]


@pytest.mark.parametrize("headers,method,code", [
    ({"Host": "other"}, "GET", "InvalidArgument"),
    ({"Content-Length": "5"}, "POST", "InvalidArgument"),
    ({"transfer-encoding": "chunked"}, "POST", "InvalidArgument"),
    ({"Proxy-Authorization": "x"}, "GET", "InvalidArgument"),
    ({"a": "b\r\nHost: c"}, "GET", "InvalidArgument"),
    ({"a\r\nb": "c"}, "GET", "InvalidArgument"),
    ({"a b": "c"}, "GET", "InvalidArgument"),
    ({"": "c"}, "GET", "InvalidArgument"),
    ({f"h{i}": "x" for i in range(101)}, "GET", "InvalidArgument"),
    ({"a": "x" * 40000}, "GET", "InvalidArgument"),
    ({}, "CONNECT", "InvalidArgument"),
    ({}, "TRACE", "InvalidArgument"),
    ({}, "GET / HTTP/1.1\r\nX: y", "InvalidArgument"),
    ({}, "", "InvalidArgument"),
])
def test_bad_requests(ask, web, headers, method, code):
    before = len(web.seen)
    assert ask(f"{web.url}/echo", headers=headers, method=method)["code"] == code
    assert len(web.seen) == before


def test_odd_but_good_headers(ask, web):
    v = ask(f"{web.url}/echo", headers={"X-Empty": "", "X-Tab": "a\tb", "X-High": "\u00e9", "Accept-Encoding": "identity"}, method="DELETE")
    import json
    headers = dict(json.loads(v["body"])["headers"])
    assert headers["x-empty"] == "" and headers["x-tab"] == "a\tb" and headers["accept-encoding"] == "identity"


# --- where to -----------------------------------------------------------------------------------

def spellings(port):
    return [f"http://{host}:{port}/secret" for host in (
        "localhost", "LOCALHOST", "localhost.", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "017700000001", "0177.0.0.1",
        "127.0.0.2", "0.0.0.0", "0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[::127.0.0.1]",
        "169.254.169.254", "10.0.0.1", "100.100.100.200", "192.168.0.1", "172.16.0.1", "[fd00:ec2::254]", "[fe80::1]", "224.0.0.1",
        "255.255.255.255", "sub.localhost")]


def test_a_star_means_the_internet(server):
    """Everything on this machine and its network is refused, however it is written."""
    with Web() as web:
        name = server.make_function(ASK, role=server.make_role(allow("*", "http://*:*/*")), Timeout=60)
        for url in spellings(web.port) + [f"http://127.0.0.1:{server.port}/healthz"]:
            v, error, _ = server.invoke(name, {"url": url, "timeout": 5})
            assert error is None and v.get("code") in ("AccessDenied", "Unavailable"), (url, v)
            if v["code"] == "Unavailable":
                assert "resolve" in v["message"] or "connect" in v["message"].lower(), (url, v)
        assert web.seen == []
        v, _, _ = server.invoke(name, {"url": f"http://127.0.0.1:{web.port}/secret?key=hidden"})
        assert v["code"] == "AccessDenied" and "loopback" in v["message"] and "hidden" not in v["message"]
        line = "\n".join(server.log_lines(name, '"must name the host"'))
        assert f'"Resource":"http://127.0.0.1:{web.port}/*"' in line and "hidden" not in line


@pytest.mark.parametrize("url", ["http://user:pw@{}/", "http://{}@example.com/", "ftp://{}/", "file:///etc/passwd", "gopher://{}/_x", "{}", "http://",
                                 "http://exa mple.com/", "http://b\u00fccher.example/", "http://[::1%25lo]:80/", "http://{}\r\nX: y/", "http://127.0.0.1:99999/",
                                 "http://1.2.3.4.5/", "http://a\\@{}/", "http://example.com:80:80/", "http://" + "a" * 300 + "/", "http://a/" + "b" * 9000])
def test_what_is_no_url(ask, web, url):
    v = ask(url.replace("{}", f"127.0.0.1:{web.port}"))
    assert v["code"] == "InvalidArgument", v


def test_patterns(server):
    with Web() as web, Web() as other:
        statements = (allow(f"{web.url}/open/*", f"{web.url}/exact", "http://localhost.localdomain/*"),
                      {"Effect": "Deny", "Action": "perilune:*", "Resource": f"{web.url}/open/secret/*"})
        name = server.make_function(ASK, role=server.make_role(*statements))
        for path, good in (("/open/", True), ("/open/a?b=c", True), ("/exact", True), ("/exact?with=query", True), ("/exact/", False), ("/", False), ("/open", False),
                           ("/open/../", False), ("/open/%2e%2e/x", False), ("/open/./x", True), ("/open/secret/x", False), ("/open/%73ecret/x", False),
                           ("/open/x/../secret/y", False), ("/Open/x", False), ("/%6fpen/x", True)):
            v, _, _ = server.invoke(name, {"url": web.url + path})
            assert ("status" in v) == good, (path, v)
            if not good:
                assert v["code"] == "AccessDenied" and "perilune:HttpRequest" in v["message"], v
        assert server.invoke(name, {"url": other.url + "/open/"})[0]["code"] == "AccessDenied"
        assert other.seen == [] and not any("secret" in path for path in web.seen)


def test_redirects(server, ask, web):
    import json
    v = ask(f"{web.url}/redirect/301//redirect%2F302%2F%2Fecho")
    assert v["status"] == 200 and json.loads(v["body"])["path"] == "/echo"
    for status, method in ((301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")):
        got = json.loads(ask(f"{web.url}/redirect/{status}//echo", method="POST", body="b", headers={"content-type": "a/b", "authorization": "me"})["body"])
        assert (got["method"], got["body"]) == (method, "b" if method == "POST" else ""), status
        assert ("content-type" in dict(got["headers"])) == (method == "POST") and dict(got["headers"])["authorization"] == "me"
    assert json.loads(ask(f"{web.url}/redirect/302//echo", method="PUT", body="b")["body"])["method"] == "PUT"
    assert "status" in ask(f"{web.url}/status/304")
    with Web() as other:
        name = server.make_function(ASK, role=server.make_role(allow("*", f"{web.url}/*", f"{other.url}/echo")))
        go = lambda where, **more: server.invoke(name, {"url": f"{web.url}/redirect/302/{where.replace('/', '%2F')}", **more})[0]
        got = json.loads(go(f"{other.url}/echo", headers={"Authorization": "me", "Cookie": "c", "X-Mine": "1"})["body"])
        headers = dict(got["headers"])
        assert "authorization" not in headers and "cookie" not in headers and headers["x-mine"] == "1", headers
        seen = len(other.seen)
        assert go(f"{other.url}/elsewhere")["code"] == "AccessDenied"       # named, but not that path: a star only
        assert go(f"http://localhost:{other.port}/echo")["code"] == "AccessDenied"
        assert go(f"http://127.0.0.1:{server.port}/healthz")["code"] == "AccessDenied"
        assert go("http://169.254.169.254/latest/meta-data/")["code"] == "AccessDenied"
        for bad in ("file:///etc/passwd", "ftp://127.0.0.1/", f"http://x@127.0.0.1:{other.port}/echo", "http://[::1"):
            assert go(bad)["code"] == "InvalidArgument", bad
        assert len(other.seen) == seen
    assert ask(f"{web.url}/redirect/302//redirect%2F302%2F%2Fredirect%252F302%252F%252Fecho").get("status") == 200
    before = len(web.seen)
    v = ask(f"{web.url}/loop/0")
    assert v["code"] == "Unavailable" and "redirects" in v["message"] and len(web.seen) == before + 6


def test_names_are_judged_by_their_address(own_server):
    """What a resolver says is set by the build that has faults."""
    if not SANITIZED:
        pytest.skip("the release build has no way to set what a resolver says")
    with Web() as web, own_server(env={"PERILUNE_FETCH_HOST": f"inside.test:{web.port}:127.0.0.1"}) as s:
        url = f"http://inside.test:{web.port}/echo"
        name = s.make_function(ASK, role=s.make_role(allow("*", f"http://*.test:{web.port}/*")))
        assert s.invoke(name, {"url": url})[0]["code"] == "AccessDenied" and web.seen == []
        name = s.make_function(ASK, role=s.make_role(allow(f"http://inside.test:{web.port}/*")))
        assert s.invoke(name, {"url": url})[0]["status"] == 200


# --- limits -------------------------------------------------------------------------------------

def test_sizes(ask, web):
    assert ask(f"{web.url}/big/10485760")["n"] == 10485760
    assert ask(f"{web.url}/big/10485761")["code"] == "TooLarge"
    assert ask(f"{web.url}/big/100", max_bytes=100)["n"] == 100
    assert ask(f"{web.url}/big/101", max_bytes=100)["code"] == "TooLarge"
    assert ask(f"{web.url}/big/0", max_bytes=0)["n"] == 0
    assert ask(f"{web.url}/big/101", max_bytes=100, method="HEAD")["headers"]["content-length"] == "101"
    assert ask(f"{web.url}/chunked/100")["n"] == 102400
    assert ask(f"{web.url}/chunked/100", max_bytes=102399)["code"] == "TooLarge"
    assert ask(f"{web.url}/endless/")["code"] == "TooLarge"
    assert web.cut.wait(5)
    assert ask(f"{web.url}/bomb/")["code"] == "TooLarge"
    assert ask(f"{web.url}/zipped/gzip")["body"] == ask(f"{web.url}/zipped/deflate")["body"] == "plain text"
    assert ask(f"{web.url}/big/25000000", max_bytes=25165825)["code"] == "InvalidArgument"
    assert ask(f"{web.url}/big/24000000", max_bytes=25165824)["n"] == 24000000


def test_broken_answers(ask, web):
    for path in ("half", "reset", "garbage", "headers-many", "headers-long"):
        v = ask(f"{web.url}/{path}/", timeout=20)
        assert v.get("code") == "Unavailable", (path, v)
    with Web() as gone:
        pass
    name_url = gone.url
    assert ask(name_url)["code"] == "AccessDenied"
    assert ask(f"{web.url}/slow/", timeout=0.2)["code"] == "Timeout"
    assert ask(f"{web.url}/drip/", timeout=0.4)["code"] == "Timeout"
    assert ask("http://nowhere.invalid/")["code"] == "Unavailable"


def test_the_end_of_the_run_is_the_end_of_the_transfer(server, web):
    web.cut.clear()
    name = server.make_function("return { main = function(e) return http.get(e.url, { timeout = 60 }) end }",
                                role=server.make_role(allow(f"{web.url}/*")), Timeout=1)
    value, error, _ = server.invoke(name, {"url": f"{web.url}/slow/"})
    assert error == "Unhandled" and value["errorType"] == "Sandbox.Timedout"
    assert web.cut.wait(10), "the connection outlived its invocation"


def test_many_at_once(server, web, ask):
    """Slow ones of one function do not hold up another, and are bounded."""
    slow = server.make_function(ASK, role=server.make_role(allow(f"{web.url}/*")), Timeout=30)
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        web.waiting.clear()
        stuck = [pool.submit(server.invoke, slow, {"url": f"{web.url}/slow/", "timeout": 8}) for _ in range(12)]
        assert web.waiting.wait(8)
        quick = [pool.submit(ask, f"{web.url}/echo") for _ in range(20)]
        assert {f.result()["status"] for f in quick} == {200}
        assert not any(f.done() for f in stuck)
        assert {f.result()[0]["code"] for f in stuck} == {"Timeout"}


# --- TLS ----------------------------------------------------------------------------------------

def test_certificates_are_verified(server, tls):
    for name, good in (("good", True), ("expired", False), ("other", False), ("self", False)):
        with Web(tls=tls[name]) as web:
            f = server.make_function(ASK, role=server.make_role(allow(f"{web.url}/*")))
            v, _, _ = server.invoke(f, {"url": f"{web.url}/big/300000"})
            if good:
                assert v["n"] == 300000, v
            else:
                assert v["code"] == "Unavailable" and "certificate" in v["message"].lower(), (name, v)
                assert web.seen == []


# --- the process --------------------------------------------------------------------------------

def test_nobody_else_links_libcurl():
    libraries = lambda path: subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout
    assert "libcurl" not in libraries(BINARY) and "libcurl" in libraries(FETCH)


def test_the_process(server, ask, web):
    assert ask(f"{web.url}/echo")["status"] == 200
    pid = fetch_pid(server)
    environment = subprocess.run(["cat", f"/proc/{pid}/environ"], capture_output=True)
    if environment.returncode == 0 and not SANITIZED:
        assert environment.stdout.strip(b"\0") == b"TZ=UTC0"
    limits = pathlib.Path(f"/proc/{pid}/limits").read_text() if os.access(f"/proc/{pid}/limits", os.R_OK) else ""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    assert "NoNewPrivs:\t1" in status
    if not SANITIZED:
        assert "Seccomp:\t2" in status
    if limits:
        assert "Max file size             0" in limits
    # killed in the middle of one: that one fails, the next starts another
    web.waiting.clear()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        stuck = pool.submit(ask, f"{web.url}/slow/")
        assert web.waiting.wait(5)
        os.kill(pid, signal.SIGKILL)
        v = stuck.result(10)
        assert v["code"] == "Unavailable" and "perilune-fetch" in v["message"], v
    assert ask(f"{web.url}/echo")["status"] == 200
    again = fetch_pid(server)
    assert again and again != pid
    with contextlib.suppress(FileNotFoundError):
        assert "Z" not in pathlib.Path(f"/proc/{pid}/stat").read_text().split()[2], "a zombie"
    # idle for a second: gone, and back when needed
    eventually(lambda: fetch_pid(server) is None, 5)
    assert ask(f"{web.url}/echo")["status"] == 200


def test_without_the_program(own_server, tmp_path):
    """perilune alone serves; HTTP is what is missing."""
    alone = tmp_path / "perilune"
    alone.write_bytes(BINARY.read_bytes())
    alone.chmod(0o755)
    os.chmod(tmp_path, 0o755)
    import perilune
    was, perilune.BINARY = perilune.BINARY, alone
    try:
        s = own_server()
    finally:
        perilune.BINARY = was
    name = s.make_function(ASK, role=s.make_role(allow("*")))
    assert s.invoke(name, {"url": "http://a.example/"})[0]["code"] == "Unavailable"
    assert "perilune-fetch" in s.stderr()


# --- the command line behind TLS ----------------------------------------------------------------

class Proxy:
    """TLS before a server, as nginx would be."""

    def __init__(self, port, certificate):
        import socket
        import ssl
        import threading
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self.listener.getsockname()[1]}"

        def pump(a, b):
            with contextlib.suppress(OSError):
                while data := a.recv(65536):
                    b.sendall(data)
            for s in (a, b):
                with contextlib.suppress(OSError):
                    s.shutdown(socket.SHUT_RDWR)

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    raw, _ = self.listener.accept()
                    with contextlib.suppress(OSError):
                        a = context.wrap_socket(raw, server_side=True)
                        b = socket.create_connection(("127.0.0.1", port))
                        for pair in ((a, b), (b, a)):
                            threading.Thread(target=pump, args=pair, daemon=True).start()
        threading.Thread(target=serve, daemon=True).start()


@pytest.mark.cli
def test_https_endpoint(server, tls, tmp_path):
    proxy = Proxy(server.port, tls["good"])
    name = server.make_function("return { main = function(e) print('seen ' .. (e.x or '')) return e end }")

    def cli(*args, ca=tls["ca"][0], endpoint=proxy.url, **more):
        env = dict(server.aws_env(), AWS_CA_BUNDLE=ca)
        return subprocess.run([str(BINARY), *args, "--endpoint", endpoint], env=env, capture_output=True, timeout=60, **more)

    r = cli("invoke", name, "-d", '{"x":"tls"}')
    assert (r.returncode, r.stdout.strip()) == (0, b'{"x":"tls"}'), r.stderr
    eventually(lambda: b"seen tls" in cli("logs", name).stdout)
    big = os.urandom(9_000_000)
    (tmp_path / "big").write_bytes(big)
    bucket = unique("tls")
    assert cli("bucket", "mb", bucket).returncode == 0
    r = cli("bucket", "cp", str(tmp_path / "big"), f"s3://{bucket}/big")
    assert r.returncode == 0, r.stderr
    assert server.client("s3").get_object(Bucket=bucket, Key="big")["Body"].read() == big
    r = cli("bucket", "cp", f"s3://{bucket}/big", str(tmp_path / "back"))
    assert r.returncode == 0 and (tmp_path / "back").read_bytes() == big, r.stderr
    for certificate in ("expired", "other", "self"):
        r = cli("list", endpoint=Proxy(server.port, tls[certificate]).url)
        assert r.returncode == 6 and b"certificate" in r.stderr.lower(), (certificate, r)
    r = cli("list", ca="/etc/ssl/certs/ca-certificates.crt") if os.path.exists("/etc/ssl/certs/ca-certificates.crt") else None
    assert r is None or r.returncode == 6
    assert cli("list", endpoint="https://127.0.0.1:1").returncode == 6
    assert cli("list", endpoint=f"https://127.0.0.1:{server.port}").returncode == 6     # no TLS there
