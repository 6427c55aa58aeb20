"""Rows about what is kept: P6 (events taken), P8 (upload to log line), P11 (growth)."""
import contextlib
import http.client
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import time

import quick
from quick import KEY, PEERS, SECRET, TOP, Server, make_function, make_role, percentiles, signed_invoke, spread

ROWS = TOP / "build/bench/rows"
HELLO = "return { main = function(e) return 1 end }"


class Line:
    """One connection; each request is sent as it is and timed until its answer is whole."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, request, want):
        began = time.perf_counter()
        self.socket.sendall(request)
        got = self.socket.recv(1 << 20)
        while b"\r\n\r\n" not in got:
            got += self.socket.recv(1 << 20)
        head, body = got.split(b"\r\n\r\n", 1)
        length = re.search(rb"content-length: *(\d+)", head, re.I)
        while len(body) < int(length[1]) if length else b"chunked" in head and not body.endswith(b"0\r\n\r\n"):
            body += self.socket.recv(1 << 20)
        took = (time.perf_counter() - began) * 1e6
        assert head.startswith(b"HTTP/1.1 %d" % want), (head, body[:300])
        return took, body

    def many(self, request, want, n):
        """µs of each."""
        return [self.ask(request, want)[0] for _ in range(n)]


def signed(server, name, kind, body=b'{"id":1234567890}'):
    """The bytes of an Invoke of that type."""
    path, headers, body = signed_invoke(server, name, body, {"X-Amz-Invocation-Type": kind})
    return (f"POST {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n").encode() + body


def sign(server, method, path, service, body=b"", query=""):
    from botocore.auth import S3SigV4Auth, SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
    made = AWSRequest(method, f"{server.url}{path}{query}", data=body, headers={"Host": f"127.0.0.1:{server.port}", "Content-Length": str(len(body))})
    (S3SigV4Auth if service == "s3" else SigV4Auth)(Credentials(KEY, SECRET), service, "us-east-1").add_auth(made)
    return (f"{method} {path}{query} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in made.headers.items()) + "\r\n").encode() + body


@contextlib.contextmanager
def perilune(core=None):
    s = Server(core)
    try:
        s.role = make_role(s)
        yield s
    finally:
        s.stop()


def hold(server, name):
    """Its events wait: one a second is begun at most."""
    Line(server.port).ask(sign(server, "PUT", f"/perilune/v1/functions/{name}/event-rate", "perilune", b'{"event_rate":1}'), 200)


def wrk_events(server, request, connections, seconds):
    """Accepted a second."""
    head, body = request.split(b"\r\n\r\n", 1)
    first, *lines = head.decode().split("\r\n")
    script = quick.OUT / "event.lua"
    script.write_text(f"wrk.method = 'POST'\nwrk.body = {json.dumps(body.decode())}\n" +
                      "".join(f"wrk.headers[{json.dumps(l.split(': ', 1)[0])}] = {json.dumps(l.split(': ', 1)[1])}\n" for l in lines))
    raw = subprocess.run(["taskset", "-c", "1", str(PEERS / "usr/bin/wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script),
                          server.url + first.split(" ")[1]], capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in raw:
        print(f"  answers other than 2xx: {raw}")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", raw)[1])


def p6_one(a, row, core, where):
    """One client, beside a commit of one row by a process on the same processors and in a database of as many rows:
    the disk's interrupt comes to one of them, and a process on another waits 150 µs longer for its commit."""
    batch, have = 20, 100
    with perilune(core) as s:
        make_function(s, "hello", HELLO, s.role)
        hold(s, "hello")
        line, event, dry = Line(s.port), signed(s, "hello", "Event"), signed(s, "hello", "DryRun")
        os.sched_setaffinity(0, [os.cpu_count() - 1] if core else range(os.cpu_count()))
        line.many(dry, 204, 200), line.many(event, 202, have)
        wire, one, commit = [], [], []
        pin = ["taskset", "-c", core or f"0-{os.cpu_count() - 1}"]
        for _ in range(10 * a.rounds):
            wire.append(statistics.median(line.many(dry, 204, batch)))
            one.append(statistics.median(line.many(event, 202, batch)))
            out = subprocess.run(pin + [str(ROWS), "commit", s.dir, str(batch), str(have + batch * len(one))],
                                 capture_output=True, text=True, check=True).stdout
            commit.append(json.loads(out)["p50"])
        os.sched_setaffinity(0, range(os.cpu_count()))
        ratio = [(w + c) / o for w, c, o in zip(wire, commit, one)]
        row("P6", f"one client, {where}: {spread(one, 'µs', 0)}; wire (a signed DryRun) {statistics.median(wire):.0f}, commit of one row {statistics.median(commit):.0f}")
        row("P6", f"one client, {where}: {spread(ratio, '× (wire + commit)')}", "≥ 0.9")


def p6_running(a, row):
    """One client whose events run: each that runs has two more changes of its row."""
    with perilune() as s:
        make_function(s, "hello", HELLO, s.role)
        line, event = Line(s.port), signed(s, "hello", "Event")
        line.many(event, 202, 200)
        times = [t for _ in range(10 * a.rounds) for t in line.many(event, 202, 100)]
        row("P6", f"one client while its events run, every core free: {percentiles(times, 'µs')}")


def p6(a, row):
    """Events taken: each is on the disk before its 202. They wait meanwhile, so that it is taking that is measured."""
    for core, where in (("0", "on one core"), (None, "every core free")):
        p6_one(a, row, core, where)
    p6_running(a, row)
    for core, where in (("0", "on one core"), (None, "every core free")):
        with perilune(core) as s:
            make_function(s, "hello", HELLO, s.role)
            hold(s, "hello")
            for connections, wanted in ((64, "≥ 25,000/s"), (512, "≥ 50,000/s")):
                rates, beside = [], []
                for _ in range(a.rounds):
                    rates.append(wrk_events(s, signed(s, "hello", "Event"), connections, a.seconds))
                    beside.append(rates[-1] / wrk_events(s, signed(s, "hello", "DryRun"), connections, a.seconds))
                row("P6", f"{connections} clients, {where}: {spread(rates, 'events/s', 0)}, {statistics.median(beside):.2f} × signed DryRuns", wanted)
    with perilune() as s:
        make_function(s, "hello", HELLO, s.role)
        rates = [wrk_events(s, signed(s, "hello", "Event"), 64, a.seconds) for _ in range(a.rounds)]
        row("P6", f"64 clients while the events run, every core free: {spread(rates, 'events/s', 0)}")


def p8(a, row):
    """From the first byte of a PUT to its line on a log that is being followed."""
    with perilune() as s:
        make_function(s, "seen", "return { main = function(e) print('seen ' .. e.Records[1].s3.object.key) end }", s.role)
        lam, s3 = s.client("lambda"), s.client("s3")
        s3.create_bucket(Bucket="bench")
        lam.add_permission(FunctionName="seen", StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com",
                           SourceArn="arn:aws:s3:::bench")
        s3.put_bucket_notification_configuration(Bucket="bench", NotificationConfiguration={"LambdaFunctionConfigurations": [
            {"LambdaFunctionArn": lam.get_function_configuration(FunctionName="seen")["FunctionArn"], "Events": ["s3:ObjectCreated:*"]}]})
        follow = Line(s.port).socket
        follow.sendall(sign(s, "GET", "/perilune/v1/logs/seen", "perilune", query="?follow=1"))
        assert b"200 OK" in follow.recv(65536)
        follow.settimeout(10)
        put, times, got = Line(s.port), [], b""
        for i in range(503):
            request = sign(s, "PUT", f"/bench/k{i:05}", "s3", b"x" * 4096)
            began = time.perf_counter()
            put.ask(request, 200)
            while f"seen k{i:05}".encode() not in got:
                got = got[-200:] + follow.recv(65536)
            times.append((time.perf_counter() - began) * 1000)
        follow.close()
        row("P8", f"upload to log line: {percentiles(times[3:])}", "p50 ≤ 5, p99 ≤ 20 ms")


# --- growth -------------------------------------------------------------------------------------------


def stop(s):
    s.proc.terminate()
    assert s.proc.wait(60) == 0


def start(s):
    """Again on its folder; ms until it is ready."""
    began = time.perf_counter()
    env = dict(os.environ, PERILUNE_ROOT_ACCESS_KEY=KEY, PERILUNE_ROOT_SECRET_KEY=SECRET)
    s.proc = subprocess.Popen([str(quick.BINARY), "serve", "--data", s.dir + "/data", "--listen", f"127.0.0.1:{s.port}",
                               "--queue-max-rows", "20000000", "--queue-max-bytes", "64G"], env=env, stderr=s.log)
    while s.proc.poll() is None:
        with contextlib.suppress(OSError):
            c = http.client.HTTPConnection("127.0.0.1", s.port, timeout=5)
            c.request("GET", "/healthz")
            if c.getresponse().status == 200:
                return (time.perf_counter() - began) * 1000
        time.sleep(0.0005)
    sys.exit("the server did not start again")


def add(s, what, name, count):
    """Rows by the loader, the server being stopped; ready again in ms, and what they took."""
    stop(s)
    began = time.perf_counter()
    subprocess.run([str(ROWS), what, s.dir + "/data", name, str(count)], check=True)
    took = time.perf_counter() - began
    size = os.stat(s.dir + "/data/meta.mdb").st_size
    print(f"  {count:,} {what} in {took:.0f} s, meta.mdb {size / 1e6:.0f} MB", flush=True)
    ready = [start(s)]
    for _ in range(4):
        stop(s)
        ready.append(start(s))
    return ready


def p50(values):
    return f"{statistics.median(values):.0f}"


def steps(top):
    return [n for n in (1, 1000, 100_000, 1_000_000, 10_000_000) if n < top] + [top]


def p11(a, row):
    for part in (p11_functions, p11_objects, p11_events, p11_claim):
        part(a, row)


def p11_functions(a, row):
    with perilune() as s:
        make_function(s, "hello", HELLO, s.role)
        got, have = [], 1
        for n in (1, 1000, min(100_000, a.rows)):
            ready = add(s, "functions", "hello", n - have) if n > have else []
            have = n
            line = Line(s.port)
            line.many(signed(s, "hello", "RequestResponse"), 200, 200)
            got.append(f"{n:,}: {p50(line.many(signed(s, 'hello', 'RequestResponse'), 200, 1000))} µs" +
                       (f", ready {statistics.median(ready):.0f} ms" if ready else ""))
        row("P11", "functions stored, one client's invoke: " + "; ".join(got), "flat, ready ≤ 50 ms")


def p11_objects(a, row):
    with perilune() as s:
        s.client("s3").create_bucket(Bucket="bench")
        got, have = [], 0
        for n in steps(a.rows):
            ready = add(s, "objects", "bench", n - have)
            have = n
            line, times = Line(s.port), ([], [])  # a page first costs the faults that map its rows after a start
            for asked in times:
                for i in range(60):
                    query = f"?list-type=2&max-keys=100&start-after=k{n * i // 60:010}"
                    asked.append(line.ask(sign(s, "GET", "/bench", "s3", query=query), 200)[0])
            puts = [line.ask(sign(s, "PUT", f"/bench/n{n}-{i}", "s3", b"x" * 100), 200)[0] for i in range(100)]
            got.append(f"{n:,}: page of 100 {p50(times[0])} µs, again {p50(times[1])} µs, PUT {p50(puts)} µs, ready {statistics.median(ready):.0f} ms")
        row("P11", "objects in a bucket: " + "; ".join(got), "page O(log n + page), ready ≤ 50 ms")


def p11_events(a, row):
    with perilune() as s:
        make_function(s, "hello", HELLO, s.role)
        make_function(s, "full", HELLO, s.role)
        got, have = [], 0
        for n in steps(a.rows):
            ready = add(s, "events", "full", n - have)
            have = n
            line = Line(s.port)
            line.many(signed(s, "full", "RequestResponse"), 200, 200)
            invokes = line.many(signed(s, "full", "RequestResponse"), 200, 500)
            events = line.many(signed(s, "full", "Event"), 202, 200)
            got.append(f"{n:,}: invoke {p50(invokes)} µs, enqueue {p50(events)} µs, ready {statistics.median(ready):.0f} ms")
        row("P11", "events queued, not due: " + "; ".join(got), "flat, ready ≤ 50 ms")


def runs(s):
    c = http.client.HTTPConnection("127.0.0.1", s.port, timeout=30)
    c.request("GET", "/metrics")
    return float(re.search(r"^perilune_invocations_total (\S+)$", c.getresponse().read().decode(), re.M)[1])


def p11_claim(a, row):
    """Events that are due: how fast they are begun, however many wait behind them."""
    got = []
    for n in [x for x in (200_000, 2_000_000, 10_000_000) if x < a.rows] + [a.rows]:
        with perilune() as s:
            make_function(s, "hello", HELLO, s.role)
            ready = add(s, "due", "hello", n)[:1]
            before, began = runs(s), time.perf_counter()
            time.sleep(5)
            rate = (runs(s) - before) / (time.perf_counter() - began)
            got.append(f"{n:,}: {rate:.0f}/s, ready {ready[0]:.0f} ms")
    row("P11", "events due, run a second: " + "; ".join(got), "flat, ready ≤ 50 ms")
