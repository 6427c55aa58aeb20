"""A Perilune server under test, and the clients that talk to it.

A server takes free ports and a fresh data folder, is awaited on /healthz and always stopped by its own
process id. PERILUNE_BIN names another binary than build/perilune (the sanitizer build's).
"""
import concurrent.futures
import contextlib
import datetime
import hashlib
import hmac
import http.client
import io
import json
import os
import pathlib
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
import uuid
import zipfile

import boto3
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("BUILD", "build"))
BINARY = pathlib.Path(os.environ.get("PERILUNE_BIN", TOP / BUILD / "perilune"))
SANITIZED = "asan" in str(BINARY)
WIRE = BINARY.parent / "wire.so"  # writes down what is said, see tests/wire
ACCESS_KEY, SECRET_KEY = "AKIAPERILUNETESTS000", "secret/of+the=tests"
ACCOUNT, REGION = "000000000000", "us-east-1"
TRUST = json.dumps({
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
})


def free_port():
    """Below the ports that outgoing connections get, or one of those might have it by the time it is listened on."""
    while True:
        port = 10000 + secrets.randbelow(32768 - 10000)
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", port))
            return port


def unique(prefix):
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def eventually(check, timeout=10, every=0.01):
    """Calls check() until it returns something true, and returns that; fails after timeout seconds."""
    deadline = time.monotonic() + timeout
    while True:
        got = check()
        if got:
            return got
        if time.monotonic() > deadline:
            raise AssertionError(f"still {got!r} after {timeout} s")
        time.sleep(every)


def make_zip(files):
    """The bytes of a zip of {path: text or bytes}; a plain text becomes handler.lua."""
    if isinstance(files, str):
        files = {"handler.lua": files}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        for path, data in files.items():
            z.writestr(path, data)
    return out.getvalue()


def memory_of(pid):
    """The readable memory of a process, in blocks of at most 1 MiB; pages that vanish are passed over."""
    with open(f"/proc/{pid}/mem", "rb", 0) as mem, open(f"/proc/{pid}/maps") as maps:
        for line in maps:
            m = re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line)
            if not m or "[vvar" in line or "[vsyscall" in line:
                continue
            at, end = int(m[1], 16), int(m[2], 16)
            if end - at > 1 << 32:
                continue  # a sanitizer's shadow
            while at < end:
                with contextlib.suppress(OSError, OverflowError, ValueError):
                    mem.seek(at)
                    yield mem.read(min(1 << 20, end - at))
                at += 1 << 20


class Raw:
    """A socket that speaks HTTP byte by byte."""

    def __init__(self, port, data=b"", timeout=10):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        if data:
            self.send(data)

    def send(self, data):
        with contextlib.suppress(ConnectionError):  # the server may have closed before it read all
            self.socket.sendall(data.encode("latin-1") if isinstance(data, str) else data)

    def more(self):
        try:
            got = self.socket.recv(65536)
        except ConnectionError:
            got = b""
        self.buffer += got
        return bool(got)

    def head(self):
        """Status and headers (lower case) of the next answer; None at the end of the connection."""
        while b"\r\n\r\n" not in self.buffer:
            if not self.more():
                assert not self.buffer, f"half an answer: {self.buffer!r}"
                return None
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        first, *lines = head.decode("latin-1").split("\r\n")
        assert re.fullmatch(r"HTTP/1\.1 \d{3} [^\r\n]*", first), first
        headers = {}
        for line in lines:
            name, value = line.split(":", 1)
            assert name.lower() not in headers, f"{name} twice"
            headers[name.lower()] = value.strip()
        return int(first.split()[1]), headers

    def body(self, headers):
        """Of an answer with a Content-Length."""
        n = int(headers.get("content-length", 0))
        while len(self.buffer) < n:
            assert self.more(), "the answer's body is short"
        body, self.buffer = self.buffer[:n], self.buffer[n:]
        return body

    def answer(self):
        """(status, headers, body), or None when the server has closed."""
        head = self.head()
        return None if head is None else (*head, self.body(head[1]))

    def closed(self):
        """True when the server ends the connection and sends nothing more."""
        while self.more():
            pass
        rest, self.buffer = self.buffer, b""
        assert rest == b"", rest
        return True

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


# Code of functions that can be occupied() begins with this, in its main; their role may use perilune:*.
HOLD = "while e.hold and not kv.open('holds'):get(e.hold) do time.sleep(0.02) end "


@contextlib.contextmanager
def occupied(server, name):
    """The function's only place is taken, by a run that ends with the block."""
    key, lam = unique("hold"), server.client("lambda", read_timeout=100)
    lam.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(server.invoke, name, {"hold": key}, lam)
        try:
            eventually(lambda: server.log_lines(name, "START"))
            yield
        finally:
            server.cli("kv", "set", "holds", key, "over")
            assert running.result()[1] is None


class Server:
    def __init__(self, *flags, data=None, env=None, wait=True, prefix=()):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="perilune-test-"))
        self.data = pathlib.Path(data) if data else self.dir / "data"
        self.flags, self.prefix = list(flags), list(prefix)
        self.env = dict(os.environ, PERILUNE_ROOT_ACCESS_KEY=ACCESS_KEY, PERILUNE_ROOT_SECRET_KEY=SECRET_KEY,
                        PERILUNE_CONSOLE_LISTEN="none")  # else it takes the next port, which another may be given
        self.env.update(env or {})
        self.env = {name: value for name, value in self.env.items() if value is not None}
        self.proc = None
        self.port = free_port()
        self.start(wait)

    # --- life ---------------------------------------------------------------------------------

    def start(self, wait=True):
        """Starts (again, on the same port and data)."""
        env = self.env
        if not SANITIZED and WIRE.exists() and env.get("WIRE_LOG"):
            env = {"LD_PRELOAD": str(WIRE), **env}
        command = self.prefix + [str(BINARY), "serve", "--data", str(self.data), "--listen", f"127.0.0.1:{self.port}"]
        self.began = time.monotonic()
        with open(self.dir / "stderr", "ab") as log:
            # a group of its own, so that a test can kill server and runners at one blow
            self.proc = subprocess.Popen(command + self.flags, env=env, stderr=log, stdout=log, start_new_session=True)
        if wait:
            self.wait_ready()
        return self

    def healthz(self):
        with contextlib.suppress(OSError, http.client.HTTPException):
            c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            c.request("GET", "/healthz")
            r = c.getresponse()
            body = r.read()
            c.close()
            return r.status, body
        return None, b""

    def metric(self, name):
        """The value of perilune_NAME in /metrics."""
        with urllib.request.urlopen(self.url + "/metrics", timeout=10) as r:
            return float(re.search(rf"^perilune_{name} (\S+)$", r.read().decode(), re.M)[1])

    def wait_ready(self, timeout=20):
        def ready():
            if self.proc.poll() is not None:
                raise AssertionError(f"the server ended with {self.proc.returncode}:\n{self.stderr()}")
            return self.healthz()[0] in (200, 503)
        eventually(ready, timeout, 0.002)
        self.ready_s = time.monotonic() - self.began

    def note_longest_turn(self):
        """For wire/test_model.py: the longest turn of the loop, in the processor's time (others may have had the processor)."""
        folder = os.environ.get("WIRE_LOG")
        with contextlib.suppress(OSError, TypeError, http.client.HTTPException):
            line = {"ms": self.metric("loop_longest_cpu_seconds") * 1000, "test": os.environ.get("PYTEST_CURRENT_TEST", "")}
            if folder and not SANITIZED:
                with open(folder + ".turns", "a") as f:
                    f.write(json.dumps(line) + "\n")

    def stop(self, timeout=20):
        """SIGTERM; returns the exit code."""
        if self.proc.poll() is None:
            self.note_longest_turn()
            self.proc.send_signal(signal.SIGTERM)
        try:
            return self.proc.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the server did not stop:\n{self.stderr()}") from None

    def kill(self):
        """SIGKILL to the whole group: server, zygote, runners."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.proc.pid, signal.SIGKILL)
        self.proc.wait()

    def close(self):
        try:
            if self.proc.poll() is None:
                self.stop()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.proc.pid, signal.SIGKILL)
            shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def stderr(self):
        return (self.dir / "stderr").read_text(errors="replace")

    # --- processes ----------------------------------------------------------------------------

    def processes(self):
        """{pid: command line} of the server and all that descend from it."""
        found, todo = {}, [self.proc.pid]
        while todo:
            pid = todo.pop()
            with contextlib.suppress(OSError):
                found[pid] = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
                for task in os.listdir(f"/proc/{pid}/task"):
                    todo += [int(c) for c in pathlib.Path(f"/proc/{pid}/task/{task}/children").read_text().split()]
        return found

    def runners(self):
        """Pids of the runners: the zygote's children."""
        children = lambda pid: [int(c) for c in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        with contextlib.suppress(OSError):
            return [r for z in children(self.proc.pid) for r in children(z)]
        return []

    # --- clients ------------------------------------------------------------------------------

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def client(self, service, access_key=ACCESS_KEY, secret_key=SECRET_KEY, **config):
        config.setdefault("retries", {"max_attempts": 0})
        return boto3.client(service, endpoint_url=self.url, region_name=REGION, aws_access_key_id=access_key,
                            aws_secret_access_key=secret_key, config=Config(**config))

    def aws_env(self):
        return dict(os.environ, AWS_ACCESS_KEY_ID=ACCESS_KEY, AWS_SECRET_ACCESS_KEY=SECRET_KEY, AWS_DEFAULT_REGION=REGION,
                    AWS_CONFIG_FILE="/nonexistent", AWS_SHARED_CREDENTIALS_FILE="/nonexistent", AWS_PAGER="",
                    PERILUNE_ENDPOINT=self.url)

    def cli(self, *args, stdin=None, check=True, timeout=60):
        """The perilune command against this server."""
        r = subprocess.run([str(BINARY), *args], env=self.aws_env(), input=stdin, capture_output=True, text=True, timeout=timeout)
        if check and r.returncode:
            raise AssertionError(f"perilune {' '.join(args)}: exit {r.returncode}\n{r.stdout}{r.stderr}")
        return r

    def aws(self, program, *args, stdin=None, check=True, timeout=60):
        """The stock aws command against this server."""
        r = subprocess.run([program, "--endpoint-url", self.url, *args], env=self.aws_env(), input=stdin, capture_output=True,
                           text=True, timeout=timeout)
        if check and r.returncode:
            raise AssertionError(f"aws {' '.join(args)}: exit {r.returncode}\n{r.stdout}{r.stderr}")
        return r

    def raw(self, data=b"", timeout=10):
        """A connection of our own, with these bytes already sent."""
        return Raw(self.port, data, timeout)

    def signed(self, method, path, body=b"", service="s3", headers=None, sha256=None, access_key=ACCESS_KEY, secret_key=SECRET_KEY):
        """One request signed by botocore's signer and sent by http.client: (status, headers, body). The path goes out as
        it is given. sha256 replaces the payload's hash."""
        request = self.sign(method, path, body, service, headers, sha256, access_key, secret_key)
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            c.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in request.items():
                c.putheader(name, value)
            c.endheaders(body)
            r = c.getresponse()
            return r.status, {k.lower(): v for k, v in r.getheaders()}, r.read()
        finally:
            c.close()

    def sign(self, method, path, body=b"", service="s3", headers=None, sha256=None, access_key=ACCESS_KEY, secret_key=SECRET_KEY):
        """The headers of a signed request, Host and Content-Length among them."""
        made = AWSRequest(method, self.url + path, data=body, headers=dict(headers or {}))
        made.headers["Host"] = f"127.0.0.1:{self.port}"
        if not {"Content-Length", "Transfer-Encoding"} & set(made.headers.keys()) and (body or method in ("PUT", "POST")):
            made.headers["Content-Length"] = str(len(body))
        signer = (S3SigV4Auth if service == "s3" else SigV4Auth)(Credentials(access_key, secret_key), service, REGION)
        if service == "s3":
            signer.payload = lambda _: sha256 or hashlib.sha256(body).hexdigest()
        signer.add_auth(made)
        return dict(made.headers.items())

    def sign_by_hand(self, method, path, service="s3", payload_hash="UNSIGNED-PAYLOAD", later_s=0, access_key=ACCESS_KEY, secret_key=SECRET_KEY,
                     query="", more=None):
        """The headers of a signed request, made without botocore, with `more` of them; later_s moves the clock, the query is
        canonical already."""
        now = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=later_s)).strftime("%Y%m%dT%H%M%SZ")
        headers = {"Host": f"127.0.0.1:{self.port}", "X-Amz-Date": now, **(more or {})}
        if service == "s3":
            headers["X-Amz-Content-SHA256"] = payload_hash
        names = sorted(name.lower() for name in headers)
        values = {name.lower(): value for name, value in headers.items()}
        canonical = "\n".join([method, path, query, *(f"{n}:{values[n]}" for n in names), "", ";".join(names), payload_hash])
        scope = f"{now[:8]}/{REGION}/{service}/aws4_request"
        key = b"AWS4" + secret_key.encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        headers["Authorization"] = (f"AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={';'.join(names)}, "
                                    f"Signature={hmac.new(key, text.encode(), hashlib.sha256).hexdigest()}")
        return headers

    # --- short cuts ---------------------------------------------------------------------------

    def make_role(self, *statements, name=None):
        """A role that Lambda may assume, with these policy statements; its ARN."""
        iam = self.client("iam")
        name = name or unique("role")
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
        if statements:
            iam.put_role_policy(RoleName=name, PolicyName="inline",
                                PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": list(statements)}))
        return arn

    def make_function(self, code, name=None, role=None, **more):
        """Creates a function from Lua text or {path: text}; its name."""
        name = name or unique("fn")
        more.setdefault("Runtime", "provided.al2")
        more.setdefault("Handler", "handler.main")
        self.client("lambda").create_function(FunctionName=name, Role=role or self.make_role(), Code={"ZipFile": make_zip(code)}, **more)
        return name

    def invoke(self, name, event=None, client=None, **more):
        """Synchronous; (decoded payload, FunctionError or None, response)."""
        client = client or self.client("lambda", read_timeout=120)
        r = client.invoke(FunctionName=name, Payload=json.dumps(event if event is not None else {}).encode(), **more)
        text = r["Payload"].read()
        return json.loads(text) if text else None, r.get("FunctionError"), r

    def log_lines(self, name, pattern=None):
        logs = self.client("logs")
        more = {"filterPattern": pattern} if pattern else {}
        try:
            pages = logs.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{name}", **more)
            return [e["message"] for p in pages for e in p["events"]]
        except logs.exceptions.ResourceNotFoundException:
            return []
