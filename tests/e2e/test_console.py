"""The console's port: who may come in, what every answer bears, what a session may do."""
import gzip
import json
import os
import re
import socket
import subprocess
import time
import urllib.parse
import urllib.request

import pytest

from perilune import ACCESS_KEY, ACCOUNT, BINARY, REGION, SECRET_KEY, TRUST, Raw, Server, eventually, free_port, make_zip, unique

pytestmark = pytest.mark.http

POLICY_PARTS = {"default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "img-src": "'self' blob: data:",
                "connect-src": "'self'", "base-uri": "'none'", "form-action": "'none'", "frame-ancestors": "'none'"}


class Console:
    """A server with a console, and raw requests to that."""

    def __init__(self, *flags, **more):
        self.port = free_port()
        self.server = Server("--console-listen", f"127.0.0.1:{self.port}", *flags, **more)
        self.token = None

    def raw(self, method, path, body=b"", headers=None, token=None, host=None):
        """(status, headers, body) of one request on its own connection."""
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        body = body.encode() if isinstance(body, str) else body
        lines = {"Host": host or f"127.0.0.1:{self.port}", "Connection": "close", **(headers or {})}
        if body or method in ("POST", "PUT"):
            lines["Content-Length"] = str(len(body))
        if token:
            lines["Authorization"] = f"Bearer {token}"
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items()) + "\r\n"
        r = Raw(self.port, head.encode() + body)
        status, got = r.head()
        checked(got)
        if got.get("transfer-encoding") == "chunked":
            while not r.buffer.endswith(b"0\r\n\r\n") and r.more():
                pass
            return status, got, r.buffer
        return status, got, b"" if method == "HEAD" else r.body(got)

    def call(self, method, path, body=b"", **more):
        """The same with the session's token; the JSON of a success."""
        status, _, got = self.raw(method, path, body, token=self.token, **more)
        assert 200 <= status < 300, (status, got)
        return json.loads(got) if got[:1] in (b"{", b"[") else got

    def link(self, access_key=ACCESS_KEY, secret_key=SECRET_KEY, url=None):
        """The token of a link that the command prints."""
        r = subprocess.run([str(BINARY), "console-link", "--endpoint", self.server.url], capture_output=True, text=True,
                           env=dict(self.server.env, AWS_ACCESS_KEY_ID=access_key, AWS_SECRET_ACCESS_KEY=secret_key))
        assert r.returncode == 0, r.stderr
        url = re.escape(url or f"http://127.0.0.1:{self.port}")
        return re.fullmatch(rf"{url}/#link=([\w-]{{43}})\n", r.stdout)[1]

    def sign_in(self, **how):
        status, _, got = self.raw("POST", "/v1/session", how or {"access_key": ACCESS_KEY, "secret_key": SECRET_KEY})
        assert status == 201, got
        return json.loads(got)

    def function(self, code, role=None, **more):
        """Makes a function of that code; its name. role: statements of its role's policy."""
        name, iam = unique("fn"), self.server.client("iam")
        arn = iam.create_role(RoleName=f"{name}-role", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
        iam.put_role_policy(RoleName=f"{name}-role", PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "logs:*", "Resource": "*"}, *(role or [])]}))
        self.server.client("lambda").create_function(FunctionName=name, Runtime="lua", Handler="handler.main", Role=arn,
                                                     Code={"ZipFile": make_zip(code)}, **more)
        return name

    def invoke(self, name, event=b"{}"):
        status, headers, body = self.raw("POST", f"/v1/aws/lambda/2015-03-31/functions/{name}/invocations", event, token=self.token,
                                         headers={"X-Amz-Log-Type": "Tail"})
        assert status == 200, body
        return headers, json.loads(body)

    def close(self):
        self.server.close()


def checked(headers):
    """What every answer bears, and none does."""
    policy = dict(p.strip().split(" ", 1) for p in headers["content-security-policy"].split(";"))
    assert POLICY_PARTS.items() <= policy.items()
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"
    assert "set-cookie" not in headers
    assert not [h for h in headers if h.startswith("access-control-")]


@pytest.fixture(scope="module")
def console():
    c = Console()
    c.token = c.sign_in()["token"]
    yield c
    code = c.server.stop()
    assert code == 0, c.server.stderr()
    c.close()


# --- pages -----------------------------------------------------------------------------------------


def test_page(console):
    for path in ("/", "/functions/thumb/code", "/index.html", "/a.b/%2e%2e/x?y", "/healthz", "/url/x/"):
        status, headers, body = console.raw("GET", path, headers={"Accept-Encoding": "identity"})
        assert status == 200 and b"<!doctype html>" in body
        assert headers["cache-control"] == "no-store"
        assert headers["content-type"].startswith("text/html")
    assert b"<script>" not in body and b"style=" not in body


def test_assets(console):
    body = console.raw("GET", "/", headers={"Accept-Encoding": "identity"})[2].decode()
    names = re.findall(r'"(/assets/[\w.-]+)"', body)
    if not names:
        pytest.skip("built without npm")
    for name in names:
        status, headers, packed = console.raw("GET", name, headers={"Accept-Encoding": "br, gzip"})
        assert status == 200 and headers["content-encoding"] == "gzip"
        assert headers["cache-control"] == "public, max-age=31536000, immutable"
        assert headers["vary"] == "Accept-Encoding"
        etag = headers["etag"]
        status, headers, body = console.raw("GET", name, headers={"If-None-Match": etag})
        assert (status, body) == (304, b"")
        status, headers, plain = console.raw("GET", name, headers={"Accept-Encoding": "gzip;q=0"})
        assert status == 200 and "content-encoding" not in headers and headers["etag"] != etag
        assert gzip.decompress(packed) == plain
        status, headers, body = console.raw("HEAD", name)
        assert status == 200 and int(headers["content-length"]) == len(packed) and body == b""


@pytest.mark.parametrize("path", ["/assets/", "/assets/x.js", "/assets/../index.html", "/assets/%2e%2e/x", "/assets/.hidden", "/assets/a/b"])
def test_no_such_asset(console, path):
    status, headers, _ = console.raw("GET", path)
    assert status == 404 and headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_pages_are_read_only(console, method):
    assert console.raw(method, "/", token=console.token)[0] == 405


def test_from_a_folder(tmp_path):
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html>one")
    (tmp_path / "assets" / "a.js").write_text("1")
    (tmp_path / "assets" / "out.js").symlink_to("/etc/hostname")
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if parent.stat().st_mode & 0o5 != 0o5 and str(parent) != "/":
            parent.chmod(0o755)
    c = Console("--console-dir", str(tmp_path))
    try:
        assert c.raw("GET", "/x")[2] == b"<!doctype html>one"
        (tmp_path / "index.html").write_text("<!doctype html>two")
        assert c.raw("GET", "/")[2] == b"<!doctype html>two"
        status, headers, body = c.raw("GET", "/assets/a.js")
        assert (status, body, headers["cache-control"]) == (200, b"1", "no-store")
        assert c.raw("GET", "/assets/out.js")[0] == 404
    finally:
        c.close()


# --- whose page asks -------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{}", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:{}", "10.0.0.1:{}",
                                  "127.0.0.1.nip.io:{}", "[2001:db8::1]:{}", "127.0.0.1:{}.evil", "2130706433:{}", "0x7f.1:{}"])
def test_unknown_host(console, host):
    host = host.format(console.port)
    for method, path in (("GET", "/"), ("POST", "/v1/session"), ("GET", "/v1/status")):
        status, headers, _ = console.raw(method, path, token=console.token, host=host)
        assert (status, headers["x-amzn-errortype"]) == (421, "MisdirectedRequestException")


@pytest.mark.parametrize("host", ["localhost:{}", "LOCALHOST:{}", "[::1]:{}", "127.0.0.53:{}"])
def test_known_host(console, host):
    assert console.raw("GET", "/v1/status", token=console.token, host=host.format(console.port))[0] == 200


def test_other_origins(console):
    own = f"http://127.0.0.1:{console.port}"
    ask = lambda **h: console.raw("GET", "/v1/status", token=console.token, headers={k.replace("_", "-"): v for k, v in h.items()})[0]
    assert ask() == ask(Origin=own) == ask(Origin=own, Sec_Fetch_Site="same-origin") == ask(Sec_Fetch_Site="none") == 200
    for origin in (f"http://127.0.0.1:{console.server.port}", "http://evil.example", "null", "", f"https://127.0.0.1:{console.port}",
                   f"http://localhost:{console.port}", own + ".evil.example", "file://"):
        assert ask(Origin=origin) == 403, origin
    assert ask(Sec_Fetch_Site="same-site") == ask(Sec_Fetch_Site="cross-site") == 403
    # a page may be opened from anywhere, but not framed, fetched or posted to
    page = lambda method="GET", **h: console.raw(method, "/", headers=h)[0]
    foreign = {"Sec-Fetch-Site": "cross-site"}
    assert page(**foreign, **{"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}) == 200
    assert page(**foreign, **{"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}) == 403
    assert page(**foreign, **{"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"}) == 403
    assert page("POST", **foreign, **{"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}) in (403, 405)


def test_no_preflight(console):
    status, headers, _ = console.raw("OPTIONS", "/v1/session", headers={"Access-Control-Request-Method": "POST"})
    assert status == 405
    status, _, _ = console.raw("OPTIONS", "/v1/aws/s3/b/k", headers={"Origin": "http://evil.example", "Access-Control-Request-Method": "PUT"})
    assert status == 403


def test_behind_a_proxy():
    c = Console("--console-url", "https://console.example/", "--behind-tls-proxy")
    try:
        c.token = c.sign_in()["token"]
        ask = lambda **h: c.raw("GET", "/v1/session", token=c.token, host="console.example", headers=h)[0]
        assert ask() == ask(Origin="https://console.example") == 200
        assert ask(Origin="https://console.example:444") == ask(Origin="https://evil.example") == 403
        assert c.raw("GET", "/", host="console.example.evil")[0] == 421
        assert c.link(url="https://console.example")
    finally:
        c.close()


def test_nothing_of_it_on_the_api_port(console):
    for path in ("/v1/session", "/v1/status", "/assets/x", "/v1/aws/s3/"):
        status, headers, body = raw_api(console.server.port, "GET", path, {"Authorization": f"Bearer {console.token}"})
        assert status in (400, 403, 404) and b"doctype" not in body
        assert "content-security-policy" not in headers and "set-cookie" not in headers


def raw_api(port, method, path, headers):
    lines = {"Host": f"127.0.0.1:{port}", "Connection": "close", **headers}
    r = Raw(port, f"{method} {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items()) + "\r\n")
    return r.answer()


def test_refusals_of_the_listener_bear_it_too(console):
    for bad in (b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"nonsense\r\n\r\n",
                b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"):
        status, headers, _ = Raw(console.port, bad).answer()
        assert 400 <= status < 500
        checked(headers)


# --- signing in ------------------------------------------------------------------------------------


def test_link_once(console):
    token = console.link()
    got = console.sign_in(link=token)
    assert got["identity"] == {"kind": "root", "arn": f"arn:aws:iam::{ACCOUNT}:root", "name": "root"}
    assert got["server"]["region"] == REGION and got["server"]["endpoint"] == console.server.url
    assert len(got["token"]) == 43
    status, headers, body = console.raw("POST", "/v1/session", {"link": token})
    assert (status, headers["x-amzn-errortype"]) == (403, "AccessDeniedException") and b"console-link" in body
    assert console.raw("GET", "/v1/session", token=got["token"])[0] == 200


def test_first_start_prints_a_link():
    c = Console(env={"PERILUNE_ROOT_ACCESS_KEY": None, "PERILUNE_ROOT_SECRET_KEY": None})
    try:
        found = re.search(rf"http://127\.0\.0\.1:{c.port}/#link=([\w-]{{43}})", c.server.stderr())
        assert c.sign_in(link=found[1])["identity"]["kind"] == "root"
        assert c.server.stop() == 0
        before = len(c.server.stderr())
        c.server.start()
        assert "#link=" not in c.server.stderr()[before:]
    finally:
        c.close()


def test_session_life(console):
    one, two = console.sign_in(), console.sign_in()
    status, headers, _ = console.raw("GET", "/v1/session")
    assert (status, headers["www-authenticate"]) == (401, "Bearer")
    for bad in ("", "x", one["token"][:-1], one["token"] + "A", "A" * 43, one["id"]):
        assert console.raw("GET", "/v1/status", token=bad or " ")[0] == 401
    rows = json.loads(console.raw("GET", "/v1/sessions", token=one["token"])[2])["sessions"]
    assert {one["id"], two["id"]} <= {r["id"] for r in rows}
    assert [r["id"] for r in rows if r["current"]] == [one["id"]]
    assert all(r["address"] == "127.0.0.1" for r in rows) and one["token"] not in json.dumps(rows)
    assert console.raw("DELETE", f"/v1/sessions/{two['id']}", token=one["token"])[0] == 204
    assert console.raw("GET", "/v1/status", token=two["token"])[0] == 401
    assert console.raw("DELETE", f"/v1/sessions/{two['id']}", token=one["token"])[0] == 404
    assert console.raw("DELETE", "/v1/session", token=one["token"])[0] == 204
    assert console.raw("DELETE", "/v1/session", token=one["token"])[0] == 401


def test_cookies_mean_nothing(console):
    s = console.sign_in()
    assert console.raw("GET", "/v1/status", headers={"Cookie": f"token={s['token']}; session={s['token']}"})[0] == 401
    assert console.raw("GET", f"/v1/status?token={s['token']}&access_token={s['token']}")[0] == 401


def test_signatures_mean_nothing(console):
    status, _, _ = console.raw("GET", "/v1/aws/s3/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=x")
    assert status == 401


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"link":1}', b'{"access_key":"a"}', b"x" * 5000, b'{"access_key":{},"secret_key":[]}'])
def test_bad_sign_in(body):
    global _bad
    if _bad is None:
        _bad = Console()
    assert _bad.raw("POST", "/v1/session", body)[0] in (400, 403, 413)


_bad = None


def teardown_module():
    if _bad:
        _bad.close()


def test_guessing_is_slow():
    c = Console()
    try:
        for wrong in ["wrong", "", SECRET_KEY[:-1], SECRET_KEY + "x", SECRET_KEY[:-1] + "x", *["w" * len(SECRET_KEY)] * 5]:
            status, headers, _ = c.raw("POST", "/v1/session", {"access_key": ACCESS_KEY, "secret_key": wrong})
            assert (status, headers["x-amzn-errortype"]) == (403, "AccessDeniedException")
        status, headers, _ = c.raw("POST", "/v1/session", {"access_key": ACCESS_KEY, "secret_key": SECRET_KEY})
        assert (status, headers["x-amzn-errortype"]) == (429, "TooManyRequestsException")
        assert 1 <= int(headers["retry-after"]) <= 301
        assert c.raw("GET", "/")[0] == 200
        assert "wrong" not in c.server.stderr() and SECRET_KEY not in c.server.stderr()
    finally:
        c.close()


def test_sessions_outlive_a_restart():
    c = Console()
    try:
        s = c.sign_in()
        assert c.server.stop() == 0
        for f in c.server.data.rglob("*"):
            if f.is_file():
                assert s["token"].encode() not in f.read_bytes(), f
        c.server.start()
        assert c.raw("GET", "/v1/session", token=s["token"])[0] == 200
    finally:
        c.close()


# --- what a session may do -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def few_rights(console):
    """A user who may list functions and read one bucket; (iam client, token, key)."""
    iam = console.server.client("iam")
    iam.create_user(UserName="few")
    iam.put_user_policy(UserName="few", PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["lambda:ListFunctions", "perilune:CreateConsoleLink"], "Resource": "*"},
        {"Effect": "Allow", "Action": "s3:*", "Resource": ["arn:aws:s3:::few-own", "arn:aws:s3:::few-own/*"]}]}))
    key = iam.create_access_key(UserName="few")["AccessKey"]
    s = console.sign_in(access_key=key["AccessKeyId"], secret_key=key["SecretAccessKey"])
    assert s["identity"] == {"kind": "user", "arn": f"arn:aws:iam::{ACCOUNT}:user/few", "name": "few"}
    return iam, s["token"], key


def test_same_policies(console, few_rights):
    _, token, _ = few_rights
    ask = lambda method, path, **more: console.raw(method, path, token=token, **more)
    assert ask("GET", "/v1/aws/lambda/2015-03-31/functions/")[0] == 200
    for method, path in (("GET", "/v1/aws/lambda/2015-03-31/functions/x"), ("GET", "/v1/status"), ("GET", "/v1/blueprints"),
                         ("GET", "/v1/overview"), ("GET", "/v1/overview?follow=1"), ("GET", "/v1/kv"), ("GET", "/v1/secrets")):
        status, headers, body = ask(method, path)
        assert (status, headers["x-amzn-errortype"]) == (403, "AccessDeniedException"), path
        assert b"is not authorized to perform" in body
    assert ask("PUT", "/v1/aws/s3/few-own")[0] == 200
    status, _, body = ask("PUT", "/v1/aws/s3/others")
    assert status == 403 and b"<Code>AccessDenied</Code>" in body
    status, _, body = ask("POST", "/v1/aws/iam/", body=b"Action=ListUsers&Version=2010-05-08",
                          headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert status == 403 and b"<Code>AccessDenied</Code>" in body
    status, _, body = ask("POST", "/v1/aws/logs/", body=b"{}",
                          headers={"X-Amz-Target": "Logs_20140328.DescribeLogGroups", "Content-Type": "application/x-amz-json-1.1"})
    assert status == 400 and b"AccessDeniedException" in body
    assert ask("POST", "/v1/share", body={"bucket": "others", "key": "k"})[0] == 403
    assert ask("POST", "/v1/share", body={"bucket": "few-own", "key": "k"})[0] == 200
    rows = json.loads(ask("GET", "/v1/sessions")[2])["sessions"]
    assert {r["identity"]["name"] for r in rows} == {"few"}
    root = json.loads(console.raw("GET", "/v1/session", token=console.token)[2])["id"]
    assert ask("DELETE", f"/v1/sessions/{root}")[0] == 404


def test_a_users_link_is_the_users(console, few_rights):
    _, _, key = few_rights
    assert console.sign_in(link=console.link(key["AccessKeyId"], key["SecretAccessKey"]))["identity"]["name"] == "few"


def test_ends_with_its_key(console, few_rights):
    iam, _, _ = few_rights
    key = iam.create_access_key(UserName="few")["AccessKey"]
    token = console.sign_in(access_key=key["AccessKeyId"], secret_key=key["SecretAccessKey"])["token"]
    assert console.raw("GET", "/v1/session", token=token)[0] == 200
    iam.update_access_key(UserName="few", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    assert console.raw("GET", "/v1/session", token=token)[0] == 401
    iam.update_access_key(UserName="few", AccessKeyId=key["AccessKeyId"], Status="Active")
    assert console.raw("GET", "/v1/session", token=token)[0] == 401, "a session that has ended stays ended"
    iam.delete_access_key(UserName="few", AccessKeyId=key["AccessKeyId"])


def test_streams_up_and_down(console):
    bucket = unique("big")
    assert console.raw("PUT", f"/v1/aws/s3/{bucket}", token=console.token)[0] == 200
    data = bytes(range(256)) * 40000  # 10 MB
    status, headers, _ = console.raw("PUT", f"/v1/aws/s3/{bucket}/a%20b/c", data, token=console.token, headers={"Content-Type": "text/html"})
    assert status == 200
    status, headers, body = console.raw("GET", f"/v1/aws/s3/{bucket}/a%20b/c", token=console.token)
    assert status == 200 and body == data
    status, _, body = console.raw("POST", f"/v1/aws/s3/{bucket}/m?uploads", token=console.token)
    upload = re.search(rb"<UploadId>([^<]+)", body)[1].decode()
    etags = [console.raw("PUT", f"/v1/aws/s3/{bucket}/m?partNumber={n}&uploadId={upload}", data[:6 << 20], token=console.token)[1]["etag"] for n in (1, 2)]
    parts = "".join(f"<Part><PartNumber>{n + 1}</PartNumber><ETag>{e}</ETag></Part>" for n, e in enumerate(etags))
    status, _, body = console.raw("POST", f"/v1/aws/s3/{bucket}/m?uploadId={upload}", f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>",
                                  token=console.token)
    assert status == 200, body
    assert console.raw("HEAD", f"/v1/aws/s3/{bucket}/m", token=console.token)[1]["content-length"] == str(12 << 20)
    url = console.call("POST", "/v1/share", {"bucket": bucket, "key": "a b/c", "expires_s": 60})["url"]
    assert url.startswith(console.server.url) and urllib.request.urlopen(url).read() == data


def test_invoke(console):
    headers, got = console.invoke(console.function("return {main=function(e) return {got=e} end}"), b'{"a":1}')
    assert got == {"got": {"a": 1}} and headers["x-amz-log-result"]


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/aws/", "/v1/aws/ec2/", "/v1/aws/perilune/v1/status", "/v1/nothing", "/v1/session/x"])
def test_no_such_call(console, path):
    assert console.raw("GET", path, token=console.token)[0] == 404


# --- streams ---------------------------------------------------------------------------------------


class Stream:
    """An event stream over a raw socket."""

    def __init__(self, console, path, token=None, last=None):
        lines = {"Host": f"127.0.0.1:{console.port}", "Authorization": f"Bearer {token or console.token}"}
        if last is not None:
            lines["Last-Event-ID"] = last
        self.raw = Raw(console.port, f"GET {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items()) + "\r\n")
        status, headers = self.raw.head()
        assert (status, headers["content-type"], headers["cache-control"]) == (200, "text/event-stream", "no-store")
        checked(headers)
        self.text = ""

    def line(self):
        while "\r\n" not in self.raw.buffer.decode("latin-1"):
            if not self.raw.more():
                return None
        line, self.raw.buffer = self.raw.buffer.split(b"\r\n", 1)
        return line

    def event(self):
        """The next (id, data), comments left out; None at the end."""
        while True:
            while "\n\n" in self.text:
                one, self.text = self.text.split("\n\n", 1)
                fields = dict(f.split(": ", 1) for f in one.split("\n") if not f.startswith(":"))
                if "data" in fields:
                    return fields["id"], json.loads(fields["data"])
            size = self.line()
            if not size or size == b"0":
                return None
            n = int(size, 16)
            while len(self.raw.buffer) < n + 2:
                if not self.raw.more():
                    return None
            self.text += self.raw.buffer[:n].decode()
            self.raw.buffer = self.raw.buffer[n + 2:]

    def close(self):
        self.raw.socket.close()


def test_logs_resume(console):
    name = console.function("return {main=function(e) print('line ' .. e.n) end}")
    console.invoke(name, b'{"n":1}')
    s = Stream(console, f"/v1/logs/{name}?follow=1")
    got = []
    while not got or "line 1" not in got[-1][1]["message"]:
        got.append(s.event())
    s.close()
    console.invoke(name, b'{"n":2}')
    s = Stream(console, f"/v1/logs/{name}?follow=1", last=got[-1][0])
    more = []
    while not more or "line 2" not in more[-1][1]["message"]:
        more.append(s.event())
    assert not [e for e in more if "line 1" in e[1]["message"]]
    took = []
    for n in range(3, 6):  # the quickest counts: others use this machine too
        began = time.monotonic()
        console.invoke(name, b'{"n":%d}' % n)
        while f"line {n}" not in s.event()[1]["message"]:
            pass
        took.append(time.monotonic() - began)
    assert min(took) < 1, took
    s.close()


def test_overview(console):
    name = console.function("return {main=function(e) if e.bad then error('broken on purpose') end end}")
    for event in (b"{}", b"{}", b'{"bad":true}'):
        console.invoke(name, event)
    o = console.call("GET", "/v1/overview")
    assert o["window_s"] == 60 and o["rate"] > 0 and 0 < o["error_rate"] <= 1 and 0 < o["p50_ms"] <= o["p99_ms"] < 1000
    f = o["failures"][0]
    assert f["function"] == name and "broken on purpose" in f["message"] and len(f["request_id"]) == 36
    assert {"queued", "running", "waiting", "dead", "oldest_ms"} == set(o["queue"])
    console.server.client("lambda").put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0)
    console.server.client("lambda").invoke(FunctionName=name, InvocationType="Event", Payload=b'{"bad":true}')
    queue = lambda: console.call("GET", "/v1/overview")["queue"]
    eventually(lambda: queue()["dead"] == 1 and not queue()["queued"] + queue()["running"])
    assert queue()["oldest_ms"] == 0, "the dead wait for nothing"
    assert o["disk"]["total_bytes"] > o["disk"]["free_bytes"] > 0 and o["memory"]["server_bytes"] > 0
    assert o["series"]["step_ms"] == 10000
    s = Stream(console, "/v1/overview?follow=1")
    at, first = s.event()
    assert first["failures"][0]["function"] == name and at.isdigit()
    again, second = s.event()
    assert second["now_ms"] - first["now_ms"] >= 1500 and second["series"]["points"] == [] or int(again) > int(at)
    s.close()
    status, headers, _ = console.raw("GET", "/v1/overview?follow=1", token=console.token, headers={"Last-Event-ID": "x"})
    assert status == 400


def test_a_stream_ends_with_its_session(console):
    token = console.sign_in()["token"]
    s = Stream(console, "/v1/overview?follow=1", token=token)
    assert s.event()
    assert console.raw("DELETE", "/v1/session", token=token)[0] == 204
    began = time.monotonic()
    while s.event():
        pass
    assert time.monotonic() - began < 15


def test_a_stream_ends_with_its_key(console, few_rights):
    iam, _, _ = few_rights
    iam.put_user_policy(UserName="few", PolicyName="watch", PolicyDocument=json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "perilune:GetOverview", "Resource": "*"}]}))
    key = iam.create_access_key(UserName="few")["AccessKey"]
    s = Stream(console, "/v1/overview?follow=1", token=console.sign_in(access_key=key["AccessKeyId"], secret_key=key["SecretAccessKey"])["token"])
    assert s.event()
    iam.delete_access_key(UserName="few", AccessKeyId=key["AccessKeyId"])
    began = time.monotonic()
    while s.event():
        pass
    assert time.monotonic() - began < 15
    iam.delete_user_policy(UserName="few", PolicyName="watch")


# --- a function's files, test events, denials --------------------------------------------------------


def test_check(console):
    got = console.call("POST", "/v1/check", {"files": {"handler.lua": "return {\n  main = function(\n}", "b.lua": "local x = 1\nx = = 2", "c.lua": "return 1",
                                                       "data.json": "not lua", "d.lua": "\x1bLJ\x02", "e.lua": "while true do end"}})
    errors = {e["file"]: (e["line"], e["message"]) for e in got["errors"]}
    assert set(errors) == {"handler.lua", "b.lua", "d.lua"}
    assert errors["handler.lua"][0] == 3 and "expected near" in errors["handler.lua"][1]
    assert errors["b.lua"][0] == 2 and "unexpected symbol near '='" in errors["b.lua"][1]
    assert console.call("POST", "/v1/check", {"files": {}}) == {"errors": []}
    for bad in ({}, {"files": []}, {"files": {"a.lua": 1}}, []):
        assert console.raw("POST", "/v1/check", bad, token=console.token)[0] == 400


def test_files(console):
    name = console.function({"handler.lua": "return {main=function() return 1 end}", "lib/a.lua": "return 2", "x.bin": b"\x00\xff"})
    code = f"/v1/functions/{name}/code"
    got = console.call("GET", code)
    assert got["version"] == "$LATEST" and got["handler"] == "handler.main" and not got["more"]
    assert {f["path"]: f["text"] for f in got["files"]} == {"handler.lua": "return {main=function() return 1 end}", "lib/a.lua": "return 2", "x.bin": None}
    assert console.invoke(name)[1] == 1
    new = "local a = require 'lib.a'\nreturn {main=function() return a * 21 end}"
    updated = console.call("PUT", code, {"files": {"handler.lua": new, "added.txt": "ü", "x.bin": None}, "publish": True})
    assert updated["Version"] == "1" and updated["CodeSha256"] != got["sha256"]
    assert console.invoke(name)[1] == 42
    again = console.call("GET", code)
    assert {f["path"]: f["text"] for f in again["files"]} == {"handler.lua": new, "lib/a.lua": "return 2", "added.txt": "ü"}
    assert console.call("GET", code + "?qualifier=1")["version"] == "1"
    status, _, body = console.raw("PUT", code, {"files": {"handler.lua": "\nreturn {"}}, token=console.token)
    assert status == 400 and b"handler.lua:2: " in body
    assert console.invoke(name)[1] == 42
    assert console.raw("PUT", code, {"files": {"handler.lua": "return 1"}, "revision_id": got["revision_id"]}, token=console.token)[0] == 412
    for bad in ({}, {"files": {"../x": "1"}}, {"files": {"": "1"}}, {"files": {"a" * 300: "1"}}, {"files": {"a.lua": 1}},
                {"files": dict.fromkeys(("handler.lua", "lib/a.lua", "added.txt"))}):
        assert console.raw("PUT", code, bad, token=console.token)[0] == 400, bad
    assert console.raw("GET", "/v1/functions/nobody/code", token=console.token)[0] == 404
    assert console.invoke(name)[1] == 42


def test_test_events(console):
    name = console.function("return {main=function(e) return e end}")
    place = f"/v1/functions/{name}/test-events"
    assert console.call("GET", place) == {"events": []}
    assert console.raw("PUT", f"{place}/an%20upload", b'{"a": [1, 2.50]}', token=console.token)[0] == 204
    assert console.raw("PUT", f"{place}/b", b'"text"', token=console.token)[0] == 204
    assert console.raw("PUT", f"{place}/b", b"null", token=console.token)[0] == 204
    got = console.call("GET", place)["events"]
    assert [(e["name"], e["event"]) for e in got] == [("an upload", {"a": [1, 2.5]}), ("b", None)] and got[0]["updated_ms"] > 0
    for bad in (b"", b"{", b"[1,]", b"\xff"):
        assert console.raw("PUT", f"{place}/c", bad, token=console.token)[0] == 400
    assert console.raw("PUT", f"{place}/c", b'"' + b"x" * 70000 + b'"', token=console.token)[0] == 413
    assert console.raw("PUT", f"{place}/%3Cscript%3E", b"1", token=console.token)[0] == 400
    assert console.raw("DELETE", f"{place}/b", token=console.token)[0] == 204
    assert console.raw("DELETE", f"{place}/b", token=console.token)[0] == 404
    for i in range(49):
        assert console.raw("PUT", f"{place}/n{i}", b"1", token=console.token)[0] == 204
    assert console.raw("PUT", f"{place}/one-more", b"1", token=console.token)[0] == 409
    console.raw("DELETE", f"/v1/aws/lambda/2015-03-31/functions/{name}", token=console.token)
    assert console.raw("GET", place, token=console.token)[0] == 404


def test_denial_to_grant(console):
    bucket = unique("denied")
    console.raw("PUT", f"/v1/aws/s3/{bucket}", token=console.token)
    console.raw("PUT", f"/v1/aws/s3/{bucket}/k", b"there", token=console.token)
    name = console.function(f"return {{main=function() return s3.get('{bucket}', 'k') end}}")
    place = f"/v1/functions/{name}/denial"
    assert console.call("GET", place) == {"denial": None}
    status, headers, body = console.raw("POST", f"/v1/aws/lambda/2015-03-31/functions/{name}/invocations", b"{}", token=console.token)
    d = console.call("GET", place)["denial"]
    assert (d["action"], d["resource"], d["role"]) == ("s3:GetObject", f"arn:aws:s3:::{bucket}/k", f"{name}-role")
    assert d["policy"]["document"]["Statement"] == [{"Effect": "Allow", "Action": d["action"], "Resource": d["resource"]}]
    form = urllib.parse.urlencode({"Action": "PutRolePolicy", "Version": "2010-05-08", "RoleName": d["role"], "PolicyName": d["policy"]["name"],
                                   "PolicyDocument": json.dumps(d["policy"]["document"])})
    status, _, body = console.raw("POST", "/v1/aws/iam/", form, token=console.token, headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert status == 200, body
    assert console.invoke(name)[1]["body"] == "there"


def test_preview(console):
    name = unique("made")
    ask = {"parameters": {"name": name, "bucket": unique("uploads")}, "dry_run": True}
    plan = console.call("POST", "/v1/blueprints/s3-upload", ask)
    assert {c["type"] for c in plan["created"]} >= {"function", "role", "bucket"} and plan["granted"]
    assert console.raw("GET", f"/v1/aws/lambda/2015-03-31/functions/{name}", token=console.token)[0] == 404
    made = console.call("POST", "/v1/blueprints/s3-upload", {**ask, "dry_run": False})
    assert made["created"] == plan["created"] and made["granted"] == plan["granted"]


# --- where it listens --------------------------------------------------------------------------------


def two_ports():
    """A free port whose next is free too."""
    while True:
        port = free_port()
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port + 1))
                return port
            except OSError:
                pass


def serve(flags, until, tmp_path):
    """What a server says until it has said that."""
    log = tmp_path / "log"
    env = {k: v for k, v in os.environ.items() if not k.startswith("PERILUNE_")}
    with open(log, "wb") as out:
        p = subprocess.Popen([str(BINARY), "serve", "--data", str(tmp_path / "data"), *flags], env=env, stderr=out, stdout=out)
    try:
        return eventually(lambda: until in log.read_text() and log.read_text())
    finally:
        p.terminate()
        p.wait(20)


def test_next_port(tmp_path):
    port = two_ports()
    assert f"console on http://127.0.0.1:{port + 1};" in serve(["--listen", f"127.0.0.1:{port}"], "console on", tmp_path)


def test_next_port_is_taken(tmp_path):
    port = two_ports()
    with socket.socket() as s:
        s.bind(("127.0.0.1", port + 1))
        s.listen()
        assert "address in use" in serve(["--listen", f"127.0.0.1:{port}"], "no console:", tmp_path)
        r = subprocess.run([str(BINARY), "serve", "--data", str(tmp_path / "other"), "--listen", f"127.0.0.1:{free_port()}", "--console-listen",
                            f"127.0.0.1:{port + 1}"], capture_output=True, text=True, timeout=20)
        assert r.returncode == 1 and "address in use" in r.stderr


def test_without():
    with Server() as s:  # --console-listen none
        r = subprocess.run([str(BINARY), "console-link", "--endpoint", s.url], capture_output=True, text=True,
                           env=dict(s.env, AWS_ACCESS_KEY_ID=ACCESS_KEY, AWS_SECRET_ACCESS_KEY=SECRET_KEY))
        assert r.returncode == 5 and "without a console" in r.stderr


@pytest.mark.parametrize("flags", [[], ["--behind-tls-proxy"]])
def test_warning(tmp_path, flags):
    said = serve(["--listen", f"127.0.0.1:{free_port()}", "--console-listen", f"0.0.0.0:{free_port()}", *flags], "console on", tmp_path)
    said = (tmp_path / "log").read_text()  # all of it
    assert ("is not loopback" in said) == (not flags)


def test_activity_resumes(console):
    name = console.function("return {main=function(e) if e.bad then error('no') end end}")
    console.invoke(name)
    console.invoke(name, b'{"bad":1}')
    runs = console.call("GET", f"/v1/activity?function={name}")["runs"]
    assert [r["error"] for r in runs] == [False, True] and runs[0]["init_ms"] > 0
    assert all(r["function"] == name and r["version"] == "$LATEST" and r["source"] == "invoke" and len(r["request_id"]) == 36 for r in runs)
    s = Stream(console, f"/v1/activity?follow=1&function={name}")
    first, second = s.event(), s.event()
    assert [first[1], second[1]] == runs
    s.close()
    console.invoke(name)
    s = Stream(console, f"/v1/activity?follow=1&function={name}", last=first[0])
    assert s.event() == second
    assert s.event()[1]["error"] is False
    s.close()
