"""The command line against a server made of this file: what it sends, and what it makes of odd answers.

Signatures are computed again with botocore, so that signer and verifier do not share a mistake.
"""
import base64
import hashlib
import http.server
import json
import os
import subprocess
import threading
import time

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from perilune import BINARY, free_port

pytestmark = pytest.mark.cli
KEY, SECRET = "AKIAWIRE", "wire/secret+"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_expect_100(self):
        if self.server.refuse_early:
            self.answer(*self.server.refuse_early)
            self.close_connection = True
            return False
        return super().handle_expect_100()

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        reply = self.server.reply
        if callable(reply):
            reply(self)
        else:
            self.answer(*reply)

    do_GET = do_PUT = do_POST = do_DELETE = serve

    def log_message(self, *_):
        pass


@pytest.fixture
def fake():
    s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    s.seen, s.reply, s.refuse_early = [], (200, b"{}"), None
    s.url = f"http://127.0.0.1:{s.server_address[1]}"
    threading.Thread(target=s.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield s
    s.shutdown()
    s.server_close()


def run(fake, *args, stdin=None, timeout=30, **env):
    env = {**os.environ, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1",
           "PERILUNE_ENDPOINT": fake if isinstance(fake, str) else fake.url, **env}
    return subprocess.run([str(BINARY), *args], env=env, input=stdin, capture_output=True, text=True, timeout=timeout)


def signature_of(fake, service, token=None):
    """(what was sent, what botocore computes) for the last request."""
    method, path, headers, body = fake.seen[-1]
    sent = headers["authorization"]
    names = sent.split("SignedHeaders=")[1].split(",")[0].split(";")
    assert {"host", "x-amz-date", "x-amz-content-sha256"} <= set(names)
    assert f"Credential={KEY}/{headers['x-amz-date'][:8]}/us-east-1/{service}/aws4_request" in sent
    assert headers["x-amz-content-sha256"] == hashlib.sha256(body).hexdigest()
    request = AWSRequest(method, fake.url + path, data=body, headers={n: headers[n] for n in names})
    request.context["timestamp"] = headers["x-amz-date"]
    auth = (S3SigV4Auth if service == "s3" else SigV4Auth)(Credentials(KEY, SECRET, token), service, "us-east-1")
    canonical = auth.canonical_request(request)
    return sent.split("Signature=")[1], auth.signature(auth.string_to_sign(request, canonical), request)


@pytest.mark.parametrize("args, service, path", [
    (("list",), "lambda", "/2015-03-31/functions?MaxItems=50"),
    (("invoke", "thumbs:prod", "-d", '{"a": "ü"}'), "lambda", "/2015-03-31/functions/thumbs%3Aprod/invocations"),
    (("invoke", "arn:aws:lambda:us-east-1:000000000000:function:a b"), "lambda",
     "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Aa%20b/invocations"),
    (("status",), "perilune", "/perilune/v1/status"),
    (("blueprint", "new", "b", "--set", "k=v", "--dry-run"), "perilune", "/perilune/v1/blueprints/b"),
    (("bucket", "rm", "s3://photos/a b/ü+&=?#%25.png"), "s3", "/photos/a%20b/%C3%BC%2B%26%3D%3F%23%2525.png"),
    (("bucket", "rm", "s3://photos//x/../y//"), "s3", "/photos//x/../y//"),
])
def test_signatures(fake, args, service, path):
    r = run(fake, *args)
    assert r.returncode == 0, r.stderr
    assert fake.seen[-1][1] == path
    sent, computed = signature_of(fake, service)
    assert sent == computed


def test_signature_with_a_session_token(fake):
    assert run(fake, "list", AWS_SESSION_TOKEN="a/token==").returncode == 0
    assert fake.seen[-1][2]["x-amz-security-token"] == "a/token=="
    sent, computed = signature_of(fake, "lambda", "a/token==")
    assert sent == computed


def test_signature_of_a_listing(fake):
    fake.reply = (200, b"<ListBucketResult><Contents><Key>x</Key><Size>1</Size></Contents></ListBucketResult>")
    assert "x" in run(fake, "bucket", "ls", "photos/a b&c").stdout
    sent, computed = signature_of(fake, "s3")
    assert sent == computed


@pytest.mark.parametrize("status, body, headers, code, words", [
    (404, b'{"Type":"User","Message":"Function not found: x"}', [("x-amzn-ErrorType", "ResourceNotFoundException")], 3,
     ["Function not found: x", "ResourceNotFoundException"]),
    (403, b'{"message":"no"}', [("x-amzn-ErrorType", "AccessDeniedException")], 4, ["no", "AWS_ACCESS_KEY_ID"]),
    (409, b'{"message":"is there"}', [], 5, ["is there"]),
    (400, b'{"__type":"ResourceNotFoundException","message":"The specified log group does not exist."}', [], 3, ["log group"]),
    (400, b'{"message":"bad"}', [], 1, ["bad"]),
    (429, b'{"message":"Rate Exceeded."}', [], 1, ["Rate Exceeded"]),
    (500, b"", [], 1, ["500"]),
    (502, b"<html>proxy</html>", [], 1, ["502"]),
    (400, b'{"message": "\\u001b[31mred"}', [], 1, ["\\x1b[31mred"]),
    (200, b"not json", [], 1, ["not JSON"]),
])
def test_error_answers(fake, status, body, headers, code, words):
    fake.reply = (status, body, headers)
    r = run(fake, "get", "x")
    assert r.returncode == code, (r.returncode, r.stderr)
    assert r.stdout == "" and all(w in r.stderr for w in words), r.stderr
    assert "\x1b" not in r.stderr


@pytest.mark.parametrize("status, code, name", [(404, 3, "NoSuchKey"), (403, 4, "AccessDenied"), (409, 5, "BucketNotEmpty"), (400, 1, "InvalidArgument")])
def test_xml_errors(fake, status, code, name):
    fake.reply = (status, f"<?xml version='1.0'?><Error><Code>{name}</Code><Message>it &lt;is&gt; so</Message></Error>".encode())
    r = run(fake, "bucket", "rm", "s3://b/k")
    assert r.returncode == code and name in r.stderr and "it <is> so" in r.stderr, r.stderr


def test_unsigned_is_said(fake, tmp_path):
    fake.reply = (403, b'{"message":"Missing Authentication Token"}')
    r = run(fake, "list", "--data", str(tmp_path), AWS_ACCESS_KEY_ID="")
    assert "authorization" not in fake.seen[-1][2]
    assert r.returncode == 4 and str(tmp_path) in r.stderr


def raw_server(*answers):
    """Takes one connection for each answer and sends those bytes; the URL."""
    import socket
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        for answer in answers:
            c, _ = listener.accept()
            c.settimeout(5)
            got = b""
            while b"\r\n\r\n" not in got:
                got += c.recv(65536)
            c.sendall(answer)
            c.close()
        listener.close()
    threading.Thread(target=serve, daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("answer", ids=lambda a: a[:40].decode().strip() or "nothing", argvalues=[
    b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}", b"HTTP/1.1 200 OK\r\nContent-Le",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 500 + b"\r\n", b"HTTP/1.1 200 OK\r\nA: " + b"x" * 500000 + b"\r\n\r\n",
])
def test_broken_answers(answer):
    r = run(raw_server(answer), "list")
    assert r.returncode == 6 and r.stdout == "" and r.stderr, (r.returncode, r.stderr)


@pytest.mark.parametrize("answer", ids=["chunked", "to the end", "after 100", "with a rest"], argvalues=[
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n3;x=y\r\n   \r\n1\r\n}\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n{}", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}{}{}",
])
def test_whole_answers(answer):
    r = run(raw_server(answer), "list", "--json")
    assert r.returncode == 0 and json.loads(r.stdout) == {"functions": []}, r.stderr


def test_nobody_there():
    r = run(f"http://127.0.0.1:{free_port()}", "list")
    assert r.returncode == 6 and "127.0.0.1" in r.stderr
    assert run("http://no-such-host.invalid:1", "list").returncode == 6


def test_own_timeout(fake):
    fake.reply = lambda h: time.sleep(60)
    began = time.monotonic()
    r = run(fake, "invoke", "x", "--timeout", "300ms")
    assert r.returncode == 124 and 0.25 < time.monotonic() - began < 20, r.stderr
    assert run(fake, "list", "--timeout", "soon").returncode == 2


# --- bodies -----------------------------------------------------------------------------------------


def test_upload_is_streamed_and_hashed(fake, tmp_path):
    path = tmp_path / "big.png"
    data = os.urandom(3 << 20)
    path.write_bytes(data)
    r = run(fake, "bucket", "cp", str(path), "s3://b/folder/")
    assert r.returncode == 0, r.stderr
    method, target, headers, body = fake.seen[-1]
    assert (method, target, body) == ("PUT", "/b/folder/big.png", data)
    assert headers["content-type"] == "image/png" and headers["expect"] == "100-continue"
    sent, computed = signature_of(fake, "s3")
    assert sent == computed
    (tmp_path / "none").write_bytes(b"")
    assert run(fake, "bucket", "cp", str(tmp_path / "none"), "s3://b/none").returncode == 0
    assert fake.seen[-1][2]["content-length"] == "0"


def test_refused_before_the_body(fake, tmp_path):
    path = tmp_path / "big"
    path.write_bytes(bytes(8 << 20))
    fake.refuse_early = (403, b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>")
    r = run(fake, "bucket", "cp", str(path), "s3://b/k")
    assert r.returncode == 4 and "AccessDenied" in r.stderr and fake.seen == []


def test_download(fake, tmp_path):
    data = os.urandom(1 << 20)
    fake.reply = (200, data)
    assert run(fake, "bucket", "cp", "s3://b/d/name.bin", str(tmp_path)).returncode == 0
    assert (tmp_path / "name.bin").read_bytes() == data
    r = subprocess.run([str(BINARY), "bucket", "cp", "s3://b/x", "-"], capture_output=True,
                       env=dict(os.environ, AWS_ACCESS_KEY_ID=KEY, AWS_SECRET_ACCESS_KEY=SECRET, PERILUNE_ENDPOINT=fake.url))
    assert r.stdout == data


def test_cut_download_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    r = run(raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"), "bucket", "cp", "s3://b/k", str(path))
    assert r.returncode == 6
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["file"]


def test_invoke_answers(fake, tmp_path):
    log = base64.b64encode(b"START\nhello\n").decode()
    fake.reply = (200, b'{"n":1}', [("X-Amz-Log-Result", log), ("x-amzn-RequestId", "id-1"), ("X-Amz-Executed-Version", "$LATEST")])
    r = run(fake, "invoke", "f", "--tail", "-")
    assert r.stdout == '{"n":1}\n' and "hello" in r.stderr
    assert fake.seen[-1][2]["x-amz-log-type"] == "Tail" and fake.seen[-1][3] == b""
    r = run(fake, "invoke", "f", "--json")
    assert json.loads(r.stdout) == {"status": 200, "request_id": "id-1", "version": "$LATEST", "error": None, "payload": {"n": 1},
                                    "log": "START\nhello\n"}
    assert fake.seen[-1][3] == b"{}"
    fake.reply = (200, b'{"errorMessage":"no"}', [("X-Amz-Function-Error", "Unhandled")])
    r = run(fake, "invoke", "f")
    assert r.returncode == 1 and json.loads(r.stdout) == {"errorMessage": "no"} and "Unhandled" in r.stderr
    fake.reply = (202, b"", [("x-amzn-RequestId", "id-2")])
    r = run(fake, "invoke", "f", "--async")
    assert r.returncode == 0 and r.stdout == "" and "id-2" in r.stderr
    assert fake.seen[-1][2]["x-amz-invocation-type"] == "Event"
    (tmp_path / "event").write_bytes(b'{"from": "file"}')
    run(fake, "invoke", "f", "-f", str(tmp_path / "event"))
    assert fake.seen[-1][3] == b'{"from": "file"}'
    assert run(fake, "invoke", "f", "-f", str(tmp_path / "none")).returncode == 3
    assert run(fake, "invoke", "f", "-f", str(tmp_path / "event"), "-d", "{}").returncode == 2


def test_list_follows_pages(fake):
    def reply(h):
        if "Marker=" in h.path:
            h.answer(200, b'{"Functions":[{"FunctionName":"b","MemorySize":64}]}')
        else:
            h.answer(200, b'{"Functions":[{"FunctionName":"a","MemorySize":128}],"NextMarker":"a b&"}')
    fake.reply = reply
    listed = json.loads(run(fake, "list", "--json").stdout)["functions"]
    assert [(f["name"], f["memory_mb"]) for f in listed] == [("a", 128), ("b", 64)]
    assert fake.seen[-1][1] == "/2015-03-31/functions?Marker=a%20b%26&MaxItems=50"


# --- logs -------------------------------------------------------------------------------------------


def event(i, message, level="info"):
    doc = {"timestamp": 1795518000000 + i, "level": level, "request_id": "r", "stream": "s", "message": message}
    return f"id: {i}\ndata: {json.dumps(doc)}\n\n".encode()


def test_logs_once(fake):
    fake.reply = (200, event(1, "first\n") + event(2, "second"), [("Content-Type", "text/event-stream")])
    r = run(fake, "logs", "f n", "--since", "1h", "--level", "warn", "--request", "a&b")
    assert [l.split(" ", 1)[1] for l in r.stdout.splitlines()] == ["first", "second"]
    path, query = fake.seen[-1][1].split("?")
    assert path == "/perilune/v1/logs/f%20n"
    words = dict(w.split("=") for w in query.split("&"))
    assert words.pop("since").isdigit() and words == {"level": "warn", "request": "a%26b"}
    sent, computed = signature_of(fake, "perilune")
    assert sent == computed
    doc = json.loads(run(fake, "logs", "f", "--json").stdout)
    assert [e["message"] for e in doc["events"]] == ["first\n", "second"]
    assert "since=0" in fake.seen[-1][1]
    assert run(fake, "logs", "f", "--level", "loud").returncode == 2


def test_follow_resumes(fake):
    """Each connection ends after one event; the next starts where it ended."""
    def reply(h):
        last = int(h.headers.get("Last-Event-ID", 0))
        h.send_response(200)
        h.send_header("Connection", "close")
        h.end_headers()
        h.close_connection = True
        h.wfile.write(b": hello\n\n" + (event(last + 1, f"line {last + 1}") if last < 5 else b""))
        h.wfile.flush()
        if last >= 5:
            time.sleep(2)
    fake.reply = reply
    p = subprocess.Popen([str(BINARY), "logs", "f", "-f", "--json"], stdout=subprocess.PIPE, text=True,
                         env=dict(os.environ, AWS_ACCESS_KEY_ID=KEY, AWS_SECRET_ACCESS_KEY=SECRET, PERILUNE_ENDPOINT=fake.url))
    try:
        lines = [json.loads(p.stdout.readline())["message"] for _ in range(5)]
    finally:
        p.terminate()
        p.wait(10)
    assert lines == [f"line {i}" for i in range(1, 6)]
    assert all("follow=1" in path for _, path, _, _ in fake.seen)


def test_follow_without_a_server():
    """It says so and does not try again for ever, as it does when one goes away: run() has a deadline."""
    assert run(f"http://127.0.0.1:{free_port()}", "logs", "f", "-f").returncode == 6


# --- packages ---------------------------------------------------------------------------------------


def test_deploy_sends_what_it_should(fake, tmp_path):
    import io
    import zipfile
    fake.reply = (200, b'{"name":"hello","version":"$LATEST","created":[{"type":"function","name":"hello"}]}')
    path = tmp_path / "hello.lua"
    path.write_text("return { main = function() end }")
    r = run(fake, "deploy", str(path))
    assert r.returncode == 0 and "hello" in r.stdout and " ms" in r.stdout, r.stderr
    body = json.loads(fake.seen[-1][3])
    assert body["manifest"] == {"name": "hello", "handler": "hello.main"} and body["dry_run"] is False
    assert zipfile.ZipFile(io.BytesIO(base64.b64decode(body["zip"]))).namelist() == ["hello.lua"]
    run(fake, "deploy", str(path), "--name", "other", "--dry-run")
    body = json.loads(fake.seen[-1][3])
    assert body["manifest"] == {"name": "other", "handler": "hello.main"} and body["dry_run"] is True
    seen = len(fake.seen)
    (tmp_path / "two words.lua").write_text("return 1")
    assert run(fake, "deploy", str(tmp_path / "two words.lua")).returncode == 2
    path.write_text("return {")
    r = run(fake, "deploy", str(path))
    assert r.returncode == 1 and "hello.lua:1:" in r.stderr
    assert run(fake, "deploy", str(tmp_path / "none.lua")).returncode == 3
    assert run(fake, "deploy", str(tmp_path)).returncode == 2  # no function.lua
    (tmp_path / "notes.txt").write_text("x")
    assert run(fake, "deploy", str(tmp_path / "notes.txt")).returncode == 2
    assert len(fake.seen) == seen, "nothing was sent"


def test_output_that_cannot_be_written(fake):
    with open("/dev/full", "w") as full:
        r = subprocess.run([str(BINARY), "list", "--json"], stdout=full, stderr=subprocess.PIPE, text=True,
                           env=dict(os.environ, AWS_ACCESS_KEY_ID=KEY, AWS_SECRET_ACCESS_KEY=SECRET, PERILUNE_ENDPOINT=fake.url))
    assert r.returncode == 1 and r.stderr
