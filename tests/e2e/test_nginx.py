"""Uploads over TLS: packaging/nginx.conf before the server, with a certificate made here."""
import base64
import hashlib
import io
import os
import random
import shutil
import socket
import ssl
import subprocess
import urllib.error
import urllib.request
import zlib

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

from conftest import aws_programs
from perilune import ACCESS_KEY, REGION, SECRET_KEY, TOP, Server, eventually, free_port, unique
from test_s3_bodies import newer_python
from test_s3_policy import allow, document, stranger

NGINX = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
AWS = aws_programs()

pytestmark = [pytest.mark.nginx, pytest.mark.skipif(not NGINX, reason="nginx is not installed"),
              pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")]

FRAME = """
{user}
daemon off;
pid {dir}/pid;
error_log {dir}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    {servers}
}}
"""


class Proxy:
    """The example file as it is but for its names and ports; a second server stores bodies before it sends them on."""

    def __init__(self, server, folder):
        self.dir, self.cert = folder, str(folder / "cert.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", str(folder / "key.pem"), "-out", self.cert,
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
        example = (TOP / "packaging" / "nginx.conf").read_text()
        self.ports, servers = {"streamed": free_port(), "stored": free_port()}, ""
        for kind, port in self.ports.items():
            text = example
            for old, new in (("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"), ("127.0.0.1:1969", f"127.0.0.1:{server.port}"),
                             ("server_name s3.example.org", "server_name localhost"), ("/etc/ssl/certs/s3.example.org.pem", self.cert),
                             ("/etc/ssl/private/s3.example.org.key", str(folder / "key.pem"))):
                assert old in text, old
                text = text.replace(old, new)
            servers += text.replace("proxy_request_buffering off", "proxy_request_buffering on") if kind == "stored" else text
        (folder / "nginx.conf").write_text(FRAME.format(dir=folder, servers=servers, user="user root;" if os.geteuid() == 0 else ""))
        self.proc = subprocess.Popen([NGINX, "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")], stderr=subprocess.PIPE, text=True)
        eventually(self.listens)

    def listens(self):
        assert self.proc.poll() is None, self.proc.stderr.read()
        for port in self.ports.values():
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                return False
        return True

    def url(self, kind="streamed"):
        return f"https://localhost:{self.ports[kind]}"

    def client(self, kind="streamed", **config):
        return boto3.client("s3", endpoint_url=self.url(kind), region_name=REGION, aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY,
                            verify=self.cert, config=Config(retries={"max_attempts": 0}, **config))

    def aws(self, program, *args, kind="streamed"):
        env = dict(os.environ, AWS_ACCESS_KEY_ID=ACCESS_KEY, AWS_SECRET_ACCESS_KEY=SECRET_KEY, AWS_DEFAULT_REGION=REGION, AWS_CONFIG_FILE="/nonexistent",
                   AWS_SHARED_CREDENTIALS_FILE="/nonexistent", AWS_CA_BUNDLE=self.cert)
        r = subprocess.run([program, "--endpoint-url", self.url(kind), *args], env=env, capture_output=True, text=True, timeout=60)
        assert r.returncode == 0, r.stdout + r.stderr
        return r.stdout

    def close(self):
        self.proc.terminate()
        self.proc.wait(20)


@pytest.fixture(scope="module")
def server():
    with Server("--behind-tls-proxy", "--trusted-proxy", "127.0.0.1") as s:
        yield s
        assert s.stop() == 0, s.stderr()


@pytest.fixture(scope="module")
def proxy(server, tmp_path_factory):
    p = Proxy(server, tmp_path_factory.mktemp("nginx"))
    yield p
    p.close()


@pytest.fixture(scope="module")
def s3(server):
    return server.client("s3")


@pytest.fixture(scope="module")
def bucket(s3):
    name = unique("tls")
    s3.create_bucket(Bucket=name)
    return name


class Stream(io.RawIOBase):
    """Bytes that can be read once."""

    def __init__(self, data):
        self.inner = io.BytesIO(data)

    def readable(self):
        return True

    def read(self, n=-1):
        return self.inner.read(n)


KINDS = pytest.mark.parametrize("kind", ["streamed", "stored"])


@pytest.mark.boto3
@KINDS
def test_boto3(proxy, s3, bucket, kind):
    client, body = proxy.client(kind), random.Random(1).randbytes(2_000_000)
    # over https boto3 sends unsigned chunks and the checksum as a trailer
    for algorithm, want in (("CRC32", zlib.crc32(body).to_bytes(4, "big")), ("SHA256", hashlib.sha256(body).digest())):
        put = client.put_object(Bucket=bucket, Key="k", Body=io.BytesIO(body), ChecksumAlgorithm=algorithm, Metadata={"some.name": "1", "some_name": "2"})
        assert put["ETag"] == '"%s"' % hashlib.md5(body).hexdigest() and put[f"Checksum{algorithm}"] == base64.b64encode(want).decode()
        got = client.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
        assert got["Body"].read() == body and got["Metadata"] == {"some.name": "1", "some_name": "2"} and got[f"Checksum{algorithm}"] == put[f"Checksum{algorithm}"]
    for size in (0, 1, 70_000):
        client.put_object(Bucket=bucket, Key="s", Body=body[:size], ChecksumAlgorithm="CRC32")
        assert s3.get_object(Bucket=bucket, Key="s")["Body"].read() == body[:size]
    key = "a//b%2F +ü/../x"
    client.put_object(Bucket=bucket, Key=key, Body=b"odd")
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b"odd" and client.get_object(Bucket=bucket, Key=key, Range="bytes=1-")["Body"].read() == b"dd"
    large = random.Random(2).randbytes(17_000_000)
    parts = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
    client.upload_fileobj(Stream(large), bucket, "large", ExtraArgs={"ChecksumAlgorithm": "CRC32"}, Config=parts)
    back = io.BytesIO()
    client.download_fileobj(bucket, "large", back, Config=parts)
    assert back.getvalue() == large
    assert client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key}, {"Key": "s"}]})["Deleted"]


@pytest.mark.boto3
@KINDS
def test_a_newer_boto3(proxy, s3, bucket, kind):
    """Sends a checksum as a trailer unasked, of streams too."""
    python = newer_python()
    if not python:
        pytest.skip("no newer boto3 on this machine")
    script = """
import boto3, hashlib, io, os, sys
from botocore.config import Config
url, cert, bucket = sys.argv[1:]
s3 = boto3.client("s3", endpoint_url=url, region_name="us-east-1", verify=cert, config=Config(retries={"max_attempts": 0}))
for size in (0, 10, 300_000, 17_000_000):
    body = os.urandom(size)
    put = s3.put_object(Bucket=bucket, Key="n", Body=io.BytesIO(body))
    assert put["ChecksumCRC32"] or put["ChecksumCRC64NVME"]
    assert s3.get_object(Bucket=bucket, Key="n")["Body"].read() == body
    s3.upload_fileobj(io.BytesIO(body), bucket, "n")
    assert s3.get_object(Bucket=bucket, Key="n")["Body"].read() == body
"""
    env = dict(os.environ, AWS_ACCESS_KEY_ID=ACCESS_KEY, AWS_SECRET_ACCESS_KEY=SECRET_KEY)
    r = subprocess.run([python, "-c", script, proxy.url(kind), proxy.cert, bucket], env=env, capture_output=True, text=True, timeout=120)
    assert r.returncode == 0, r.stderr


@pytest.mark.parametrize("program", [pytest.param(path, marks=getattr(pytest.mark, mark), id=mark) for mark, path in sorted(AWS.items())])
def test_aws(proxy, s3, bucket, program, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(random.Random(3).randbytes(9_000_000))
    kind = "streamed" if program == list(AWS.values())[0] else "stored"
    proxy.aws(program, "s3", "cp", str(one), f"s3://{bucket}/{kind} ü", kind=kind)
    proxy.aws(program, "s3", "cp", f"s3://{bucket}/{kind} ü", str(two), kind=kind)
    assert two.read_bytes() == one.read_bytes()


@pytest.mark.http
@KINDS
def test_links_and_expect(proxy, server, s3, bucket, kind):
    s3.put_object(Bucket=bucket, Key="a b", Body=b"linked")
    trusted = ssl.create_default_context(cafile=proxy.cert)
    with urllib.request.urlopen(proxy.client(kind).generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a b"}), context=trusted) as r:
        assert r.read() == b"linked"
    url = proxy.client(kind, signature_version="s3v4").generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "put"})
    body = b"e" * 300_000
    with socket.create_connection(("localhost", proxy.ports[kind])) as plain, trusted.wrap_socket(plain, server_hostname="localhost") as tls:
        tls.sendall(f"PUT {url.split(str(proxy.ports[kind]), 1)[1]} HTTP/1.1\r\nHost: localhost:{proxy.ports[kind]}\r\nContent-Length: {len(body)}\r\n"
                    "Expect: 100-continue\r\n\r\n".encode())
        assert tls.recv(1000).startswith(b"HTTP/1.1 100 ")
        tls.sendall(body)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += tls.recv(1000)
        assert answer.startswith(b"HTTP/1.1 200 ") and b'etag: "%s"' % hashlib.md5(body).hexdigest().encode() in answer.lower(), answer
    assert s3.get_object(Bucket=bucket, Key="put")["Body"].read() == body


@pytest.mark.http
def test_refused_on_the_way(proxy, s3, bucket):
    """What the server refuses from the head alone reaches the client as an answer, not as a broken connection."""
    client, body = proxy.client(signature_version="s3v4"), b"x" * 5_000_000
    url = client.generate_presigned_url("put_object", Params={"Bucket": unique("no"), "Key": "k"})
    with pytest.raises(urllib.error.HTTPError) as e:
        urllib.request.urlopen(urllib.request.Request(url, body, method="PUT"), context=ssl.create_default_context(cafile=proxy.cert))
    assert e.value.code == 404 and b"<Code>NoSuchBucket</Code>" in e.value.read()


@pytest.mark.http
def test_metrics_are_not_for_those_who_come_by_the_proxy(proxy, server):
    assert stranger(server, "GET", "/metrics")[0] == 200
    with pytest.raises(urllib.error.HTTPError) as e:
        urllib.request.urlopen(proxy.url() + "/metrics", context=ssl.create_default_context(cafile=proxy.cert))
    assert e.value.code in (403, 404)


@pytest.mark.http
def test_whose_address_counts(server, own_server):
    """The trusted proxy's last word; others' words and the client's own are none."""
    def ask(server, forwarded):
        return stranger(server, "GET", "/watched-by-address/k", headers={"X-Forwarded-For": forwarded} if forwarded else {})[0]
    for s in (server, own_server()):
        client = s.client("s3")
        client.create_bucket(Bucket="watched-by-address")
        client.put_object(Bucket="watched-by-address", Key="k", Body=b"x")
        client.put_bucket_policy(Bucket="watched-by-address", Policy=document(allow("watched-by-address", "s3:GetObject", Condition={"IpAddress": {"aws:SourceIp": "10.1.2.0/24"}})))
        trusted = 200 if s is server else 403
        assert ask(s, "10.1.2.3") == trusted and ask(s, "6.6.6.6, 10.1.2.3") == trusted
        for other in (None, "10.1.2.3, 6.6.6.6", "10.1.2.3,", "10.1.2.3:80", "10.1.2.3, " + "x" * 60):
            assert ask(s, other) == 403, other
