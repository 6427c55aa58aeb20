#!/usr/bin/python3
"""Objects beside files: `make bench-s3`.

4 KiB with 64 clients (wrk) and 64 MiB alone, PUT and GET, against nginx (static files, WebDAV) and s3rver,
in interleaved rounds on the same cores. Requests of ours bear SigV4 and the payload's SHA-256, as boto3 sends
them; one key in a thousand is written at a time. A large PUT is held against the slower of a synced copy
(dd conv=fsync) and the MD5 of the same bytes, both of the same run. Nothing passes or fails.
"""
import argparse
import contextlib
import hashlib
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from quick import KEY, OUT, PEERS, SECRET, TOP, Server, free_port, spread

KEYS, SMALL, LARGE = 1000, 4096, 64 << 20
BUCKET = "bench"

NGINX = """
daemon off; worker_processes 1; pid @DIR@/nginx.pid; error_log @DIR@/error.log;
events { worker_connections 1024; }
http {
    access_log off; keepalive_requests 100000000; client_max_body_size 0; sendfile on; tcp_nopush on;
    client_body_temp_path @DIR@/files/tmp; proxy_temp_path @DIR@/proxy; fastcgi_temp_path @DIR@/fastcgi;
    uwsgi_temp_path @DIR@/uwsgi; scgi_temp_path @DIR@/scgi;
    server { listen 127.0.0.1:@PORT@; root @DIR@/files; location /bench/ { dav_methods PUT; create_full_put_path on; } }
}
"""


class Peer:
    """A process on core 0 that serves /bench/KEY, unsigned or signed by `sign`."""

    def __init__(self, name, command, port, folder, sign=None):
        self.name, self.port, self.folder, self.sign = name, port, folder, sign
        self.proc = subprocess.Popen(["taskset", "-c", "0"] + command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.time() + 20
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            if self.proc.poll() is not None or time.time() > deadline:
                sys.exit(f"bench: {name} did not start")
            time.sleep(0.02)

    def close(self):
        self.proc.terminate()
        self.proc.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)


def nginx():
    folder = tempfile.mkdtemp(prefix="perilune-peer-")
    os.chmod(folder, 0o755)
    os.makedirs(f"{folder}/files/{BUCKET}")
    os.makedirs(f"{folder}/files/tmp")
    subprocess.run(["chmod", "-R", "777", folder], check=True)  # its worker is nobody
    port = free_port()
    conf = pathlib.Path(folder) / "nginx.conf"
    conf.write_text(NGINX.replace("@DIR@", folder).replace("@PORT@", str(port)))
    return Peer("nginx", [str(PEERS / "usr/sbin/nginx"), "-p", folder, "-c", str(conf)], port, folder)


def s3rver():
    program = TOP / "build/peers/node_modules/.bin/s3rver"
    if not program.exists():
        return None
    folder, port = tempfile.mkdtemp(prefix="perilune-peer-"), free_port()
    peer = Peer("s3rver", [str(program), "-d", folder, "-a", "127.0.0.1", "-p", str(port), "-s", "--configure-bucket", BUCKET], port, folder)
    peer.sign = lambda method, path, body: signed(peer.port, method, path, body, "S3RVER", "S3RVER")
    return peer


def signed(port, method, path, body=b"", key=KEY, secret=SECRET):
    """The headers of one request; they hold for a quarter of an hour."""
    made = AWSRequest(method, f"http://127.0.0.1:{port}{path}", data=body, headers={"Host": f"127.0.0.1:{port}"})
    if method == "PUT":
        made.headers["Content-Length"] = str(len(body))
    signer = S3SigV4Auth(Credentials(key, secret), "s3", "us-east-1")
    digest = hashlib.sha256(body).hexdigest()
    signer.payload = lambda _: digest
    signer.add_auth(made)
    return dict(made.headers.items())


def headers_of(target, method, path, body=b""):
    if target.sign:
        return target.sign(method, path, body)
    return {"Host": f"127.0.0.1:{target.port}", **({"Content-Length": str(len(body))} if method == "PUT" else {})}


def head_of(target, method, path, body=b""):
    headers = headers_of(target, method, path, body)
    return (f"{method} {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n").encode()


@contextlib.contextmanager
def perilune(cores):
    s = Server(cores)
    s.name, s.sign = "perilune", lambda method, path, body: signed(s.port, method, path, body)
    try:
        s.client("s3").create_bucket(Bucket=BUCKET)
        yield s
    finally:
        s.stop()


# --- small ------------------------------------------------------------------------------------------


def wrk(target, method, body, round_, seconds):
    """Requests a second over all keys, 64 connections, one thread on core 1."""
    script = OUT / f"s3-{target.name}-{method}.lua"
    requests = [(head_of(target, method, f"/{BUCKET}/k{i}", body) + body).decode("latin-1") for i in range(KEYS)]
    quoted = ",\n".join('"' + "".join(f"\\{ord(c):03d}" if c in '"\\\r\n' or not 32 <= ord(c) < 127 else c for c in r) + '"' for r in requests)
    script.write_text(f"local all = {{{quoted}}}\nlocal i = 0\nrequest = function() i = i % {KEYS} + 1 return all[i] end\n")
    raw = subprocess.run(["taskset", "-c", "1", str(PEERS / "usr/bin/wrk"), "-t1", "-c64", f"-d{seconds}s", "--latency", "-s", str(script),
                          f"http://127.0.0.1:{target.port}/"], capture_output=True, text=True, check=True).stdout
    (OUT / f"wrk-s3-{target.name}-{method}-{round_}.txt").write_text(raw)
    if "Non-2xx" in raw:
        print(f"  {target.name} {method}: answers other than 2xx, see build/bench/")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", raw)[1])


def small(targets, rounds, seconds, say):
    body = os.urandom(SMALL // 2).hex().encode()
    for method, wanted in (("PUT", "≥ 15 k/s"), ("GET", "≥ 0.7 × nginx")):
        payload, rates = body if method == "PUT" else b"", {t.name: [] for t in targets}
        for t in targets:
            wrk(t, method, payload, "warm", 1)
        for r in range(rounds):
            for t in targets:
                rates[t.name].append(wrk(t, method, payload, r, seconds))
        ratios = "; ".join(f"{statistics.median(a / b for a, b in zip(rates['perilune'], v)):.2f} × {name}"
                           for name, v in rates.items() if name != "perilune")
        say(f"{method} {SMALL} B, 64 clients, server on one core: " + "; ".join(f"{name} {spread(v, '/s', 0)}" for name, v in rates.items()) +
            f"; {ratios}", wanted)


# --- large ------------------------------------------------------------------------------------------


def exchange(target, head, body=b"", expect=0):
    """Seconds from the first byte sent to the last one read."""
    with socket.create_connection(("127.0.0.1", target.port), 60) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        began = time.perf_counter()
        s.sendall(head)
        if body:
            s.sendall(body)
        room, got, text = bytearray(1 << 20), 0, b""
        while b"\r\n\r\n" not in text:
            text += s.recv(65536)
        assert text.split()[1].startswith(b"2"), text[:500]
        got = len(text) - text.index(b"\r\n\r\n") - 4
        while got < expect:
            n = s.recv_into(room)
            assert n, "the answer is short"
            got += n
        return time.perf_counter() - began


def large(targets, rounds, say):
    body = os.urandom(1 << 20) * (LARGE >> 20)
    source, copy = OUT / "large.bin", OUT / "large.copy"
    source.write_bytes(body)
    put, get, dd, md5 = {t.name: [] for t in targets}, {t.name: [] for t in targets}, [], []
    rate = lambda seconds: LARGE / seconds / 1e6
    for _ in range(rounds):
        began = time.perf_counter()
        subprocess.run(["dd", f"if={source}", f"of={copy}", "bs=1M", "conv=fsync"], check=True, stderr=subprocess.DEVNULL)
        dd.append(rate(time.perf_counter() - began))
        began = time.perf_counter()
        hashlib.md5(body).digest()
        md5.append(rate(time.perf_counter() - began))
        for t in targets:
            put[t.name].append(rate(exchange(t, head_of(t, "PUT", f"/{BUCKET}/large", body), body)))
        for t in targets:
            get[t.name].append(rate(exchange(t, head_of(t, "GET", f"/{BUCKET}/large"), expect=LARGE)))
    bound = [min(a, b) for a, b in zip(dd, md5)]
    ratio = lambda mine, others: f"{statistics.median(a / b for a, b in zip(mine, others)):.2f} ×"
    each = lambda rates: "; ".join(f"{name} {spread(v, 'MB/s', 0)}" for name, v in rates.items())
    say(f"PUT {LARGE >> 20} MiB, one client: {each({'dd': dd, 'MD5': md5, **put})}; {ratio(put['perilune'], bound)} the slower of dd and MD5", "≥ 0.8 ×")
    say(f"GET {LARGE >> 20} MiB, one client: {each(get)}; {ratio(get['perilune'], get['nginx'])} nginx", "≥ 0.9 × nginx")
    source.unlink()
    copy.unlink()


def table(rounds, seconds, say):
    OUT.mkdir(parents=True, exist_ok=True)
    peers = [p for p in (nginx(), s3rver()) if p]
    try:
        with perilune("0") as ours:
            small([ours, *peers], rounds, seconds, say)
        with perilune(None) as ours:  # all cores: the digests run beside the loop
            large([ours, *peers], rounds * 2, say)
    finally:
        for p in peers:
            p.close()


def say(text, wanted=""):
    print(f"P7   {text}   [wanted {wanted}]", flush=True)


if __name__ == "__main__":
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--rounds", type=int, default=5)
    args.add_argument("--seconds", type=int, default=4)
    args = args.parse_args()
    table(args.rounds, args.seconds, say)
