#!/usr/bin/python3
"""The table of figures, beside peers on the same cores in the same run: `make bench`.

Rows carry the numbers by which the project speaks of them (P1, P2, …). Rates come from interleaved rounds
of wrk, latencies at a fixed rate from rate.c, which counts from when a request was due. Server and load
have a core each where there are two. Nothing here passes or fails; the table goes to build/bench/ too,
and with --keep to results/COMMIT.txt.
"""
import argparse
import contextlib
import datetime
import hashlib
import json
import os
import pathlib
import platform
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import durable
import quick
import s3
from quick import BINARY, HERE, KEY, OUT, SECRET, TOP, Server, free_port, make_function, make_role, nginx, percentiles, signed_invoke, spread, wrk, wrk_invoke

RATE = TOP / "build" / "bench" / "rate"
LINES = []
PART = [""]
HELLO = (HERE / "hello.lua").read_text()


def row(name, text, wanted=""):
    LINES.append(f"{name:4} {text}" + (f"   [wanted {wanted}]" if wanted else ""))
    print(LINES[-1], flush=True)


# --- peers ----------------------------------------------------------------------------------------

@contextlib.contextmanager
def process(command, port, core):
    p = subprocess.Popen((["taskset", "-c", core] if core else []) + command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        quick_wait(port, p)
        yield port
    finally:
        p.terminate()
        p.wait(10)


def quick_wait(port, p):
    deadline = time.time() + 15
    while time.time() < deadline and p.poll() is None:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        time.sleep(0.02)
    sys.exit(f"the peer {p.args} did not start")


def fastify(core):
    port = free_port()
    return process(["node", str(HERE / "fastify.js"), str(TOP / "build/peers/node_modules/fastify"), str(port)], port, core)


@contextlib.contextmanager
def workerd(core):
    port = free_port()
    with tempfile.NamedTemporaryFile("w", suffix=".capnp") as f:
        f.write((HERE / "workerd.capnp").read_text().replace("@PORT@", str(port)))
        f.flush()
        with process([str(TOP / "build/peers/node_modules/.bin/workerd"), "serve", f.name], port, core):
            yield port


@contextlib.contextmanager
def nginx_lua(core):
    p, port, folder = nginx(core or "0-1")
    try:
        yield port
    finally:
        p.terminate()
        p.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def perilune(core=None, *flags):
    s = Server(core)
    try:
        s.role = make_role(s)
        yield s
        turns(s)
    finally:
        s.stop()


def turns(s):
    """What the watchdog saw of the part that ends. A turn that is long by the wall's clock alone was put off by others."""
    w = json.loads(subprocess.run([str(BINARY), "status", "--json", "--endpoint", s.url], capture_output=True, text=True,
                                  env=dict(os.environ, AWS_ACCESS_KEY_ID=KEY, AWS_SECRET_ACCESS_KEY=SECRET)).stdout)["loop"]
    row(PART[0], f"loop turns over 2 ms: {w['over_2ms']} of {w['turns']}, by the processor's time {w['cpu_over_2ms']}; longest "
        f"{w['longest_us'] / 1000:.2f} ms, {w['cpu_longest_us'] / 1000:.2f} of the processor", "0")


def open_url(server, name):
    lam = server.client("lambda")
    lam.create_function_url_config(FunctionName=name, AuthType="NONE")
    lam.add_permission(FunctionName=name, StatementId="public", Action="lambda:InvokeFunctionUrl", Principal="*", FunctionUrlAuthType="NONE")
    return f"{server.url}/url/{name}/"


def fixed_rate(port, rate, seconds, connections, request, core="1", *nap):
    with tempfile.NamedTemporaryFile() as f:
        f.write(request)
        f.flush()
        out = subprocess.run(["taskset", "-c", core, str(RATE), str(port), str(rate), str(seconds), str(connections), f.name, *nap],
                             capture_output=True, text=True, check=True)
    return json.loads(out.stdout)


def get(path, port):
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()


def invoke_bytes(server, name, body=b"{}"):
    path, headers, body = signed_invoke(server, name, body)
    return (f"POST {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n").encode() + body


# --- rows -----------------------------------------------------------------------------------------

def p1_p2_p3(a):
    """Hello beside four peers; the same signed; its tail at a fixed rate."""
    with contextlib.ExitStack() as stack:
        s = stack.enter_context(perilune("0"))
        ng, fa, wo = (stack.enter_context(peer("0")) for peer in (nginx_lua, fastify, workerd))
        make_function(s, "hello", HELLO, s.role)
        url = open_url(s, "hello")
        urls = {"perilune": url, "nginx+lua": f"http://127.0.0.1:{ng}/hello", "nginx same work": f"http://127.0.0.1:{ng}/same",
                "fastify": f"http://127.0.0.1:{fa}/hello", "workerd": f"http://127.0.0.1:{wo}/"}
        got = {name: [] for name in [*urls, "signed"]}
        for r in range(-1, a.rounds):
            for name, u in urls.items():
                rate = wrk(u, name.replace(" ", "-"), max(r, 0), 1 if r < 0 else a.seconds, "1")
                if r >= 0:
                    got[name].append(rate)
            rate = wrk_invoke(s, "hello", "signed", max(r, 0), 1 if r < 0 else a.seconds, "1")
            if r >= 0:
                got["signed"].append(rate)

        def ratio(x, y):
            return statistics.median(i / j for i, j in zip(got[x], got[y]))
        for name, values in got.items():
            row("P1" if name != "signed" else "P2", f"{name:16} {spread(values, 'req/s', 0)}")
        row("P1", f"on one core: {ratio('perilune', 'nginx+lua'):.3f} × nginx+lua", "≥ 0.6")
        row("P1", f"on one core: {ratio('perilune', 'nginx same work'):.3f} × nginx+lua doing the same work", "≥ 1.3")
        row("P1", f"on one core: {ratio('perilune', 'workerd'):.2f} × workerd", "≥ 3")
        row("P1", f"on one core: {ratio('perilune', 'fastify'):.2f} × fastify", "≥ 0.9")
        row("P2", f"signed Invoke: {ratio('signed', 'perilune'):.3f} × P1", "≥ 0.8")
        top = statistics.median(got["nginx+lua"])
        ours, theirs = [], []
        for _ in range(3):
            theirs.append(fixed_rate(ng, 0.3 * top, 5, 64, get("/hello", ng)))
            ours.append(fixed_rate(s.port, 0.3 * top, 5, 64, get("/url/hello/", s.port)))
        row("P3", f"at {0.3 * top:.0f} req/s: p99 " + spread([o["p99"] for o in ours], "µs", 0) + "; nginx+lua " +
            spread([t["p99"] for t in theirs], "µs", 0) + f"; errors {sum(o['errors'] + o['lost'] for o in ours)}",
            "p99 ≤ max(1 ms, 2 × nginx+lua)")


def p1_free(a):
    with contextlib.ExitStack() as stack:
        s = stack.enter_context(perilune())
        ng = stack.enter_context(nginx_lua(None))
        make_function(s, "hello", HELLO, s.role)
        url, ours, theirs = open_url(s, "hello"), [], []
        for r in range(a.rounds):
            ours.append(wrk(url, "free-perilune", r, a.seconds, "0-1"))
            theirs.append(wrk(f"http://127.0.0.1:{ng}/hello", "free-nginx", r, a.seconds, "0-1"))
        row("P1", f"every core free, load on them too: {spread([x / y for x, y in zip(ours, theirs)], '× nginx+lua', 3)}", "≥ 0.8")


def p4(a):
    """Stored functions, invoked once each."""
    with perilune() as s:
        n = a.functions
        for i in range(n):
            make_function(s, f"cold{i}", HELLO, s.role)
        requests = [invoke_bytes(s, f"cold{i}") for i in range(n)]
        c = socket.create_connection(("127.0.0.1", s.port))
        c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def once(request):
            began = time.perf_counter()
            c.sendall(request)
            answer = c.recv(65536)
            took = (time.perf_counter() - began) * 1000
            assert answer.startswith(b"HTTP/1.1 200"), answer[:200]
            return took
        half = n // 2
        before = quick.pss_kib(s.proc.pid)
        back = [once(r) for r in requests[:half]]
        paced, due = [], time.perf_counter()
        for r in requests[half:]:
            due += 0.01
            time.sleep(max(0, due - time.perf_counter()))
            paced.append(once(r))
        row("P4", f"cold start back to back: {percentiles(back)}", "p50 ≤ 1, p99 ≤ 3 ms")
        row("P4", f"cold start paced 100/s:  {percentiles(paced)}", "p50 ≤ 1, p99 ≤ 3 ms")
        row("P4", f"memory: {before / 1024:.1f} MiB before, {quick.pss_kib(s.proc.pid) / 1024:.1f} MiB with what is warm now")
        c.close()
        deadline = time.time() + 120
        while len(quick.tree(s.proc.pid)) > 5 and time.time() < deadline:  # idle for a minute, then they go
            time.sleep(1)
        time.sleep(5)
        row("P4", f"memory: {quick.pss_kib(s.proc.pid) / 1024:.1f} MiB once they have gone")


def p5(a):
    """New code answered and run, with callers all the time."""
    with perilune() as s:
        code = "return { main = function() return %d end }"
        make_function(s, "swap", code % 0, s.role)
        lam, invoker, times, wrong, acknowledged, done = s.client("lambda"), s.client("lambda"), [], [], [0], []

        def call():
            while not done:
                floor = acknowledged[0]
                value = json.loads(invoker.invoke(FunctionName="swap")["Payload"].read())
                if not isinstance(value, int) or value < floor:
                    wrong.append((floor, value))
        callers = [threading.Thread(target=call) for _ in range(2)]
        for t in callers:
            t.start()
        for i in range(1, a.updates + 1):
            package = quick.zipped(code % i)
            began = time.perf_counter()
            lam.update_function_code(FunctionName="swap", ZipFile=package)
            acknowledged[0] = i
            value = json.loads(lam.invoke(FunctionName="swap")["Payload"].read())
            times.append((time.perf_counter() - began) * 1000)
            if value != i:
                wrong.append((i, value))
        done.append(True)
        for t in callers:
            t.join()
        row("P5", f"update-function-code and the new answer, boto3 included: {percentiles(times)}; wrong answers {len(wrong)}", "p50 ≤ 10 ms, none")


QUIET_S = 5  # memory is given back two seconds after the last of the work


def p9_p10(a):
    s = Server()
    try:
        time.sleep(QUIET_S)
        row("P9", f"idle, fresh: {quick.pss_kib(s.proc.pid) / 1024:.2f} MiB PSS of all processes", "≤ 6 MiB")
        s.role = make_role(s)
        for i in range(1000):
            make_function(s, f"f{i}", HELLO, s.role)
        time.sleep(QUIET_S)
        row("P9", f"idle, 1,000 functions just stored: {quick.pss_kib(s.proc.pid) / 1024:.2f} MiB", "≤ 8 MiB")
        durable.stop(s)
        ready = [durable.start(s)] + [again(s) for _ in range(6)]
        row("P10", f"ready after exec, 1,000 functions: {spread(ready, 'ms')}", "≤ 50 ms")
        turns(s)
        stored = min(a.stored, 100_000)
        ready = durable.add(s, "functions", "f0", stored)
        time.sleep(QUIET_S)
        row("P9", f"idle, {stored:,} functions more, after a restart: {quick.pss_kib(s.proc.pid) / 1024:.2f} MiB", "as fresh")
        row("P10", f"ready after exec, {stored:,} functions more: {spread(ready, 'ms')}", "≤ 50 ms")
        ready = durable.add(s, "events", "f0", a.stored)
        row("P10", f"ready after exec, {a.stored:,} stored events too: {spread(ready, 'ms')}", "≤ 50 ms")
    finally:
        s.stop()


def again(s):
    durable.stop(s)
    return durable.start(s)


def cpu_ns(pid):
    return int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0])


def p12(a):
    """A healthy function at a fixed rate beside as many hogs as cores."""
    with perilune() as s:
        make_function(s, "hello", HELLO, s.role)
        make_function(s, "hog", "return { main = function() local x = 0 while true do x = x + 1 end end }", s.role, Timeout=14)
        open_url(s, "hello")

        def measure(seconds):
            return fixed_rate(s.port, 2000, seconds, 16, get("/url/hello/", s.port), "0-1", "nap")
        measure(1)
        alone = measure(5)
        lam = s.client("lambda", read_timeout=60)
        hogs = [threading.Thread(target=lam.invoke, kwargs={"FunctionName": "hog"}) for _ in range(os.cpu_count())]
        for t in hogs:
            t.start()
        time.sleep(1)
        beside = measure(10)
        shares = sorted(map(cpu_ns, quick.tree(s.proc.pid)))[-len(hogs):]
        for t in hogs:
            t.join()
        row("P12", f"hello at 2,000/s beside {len(hogs)} hogs: p50 {beside['p50'] / 1000:.2f} p99 {beside['p99'] / 1000:.2f} ms, "
            f"alone {alone['p50'] / 1000:.2f} and {alone['p99'] / 1000:.2f} ms; lost {beside['lost'] + beside['errors']}; "
            f"hogs' shares within {max(shares) / min(shares):.2f} × of each other", "p99 ≤ 5 × alone and ≤ 5 ms, fair")


P13 = """
local function timed(f) -- the clock has milliseconds: many calls a reading
  local times, each = {}, 500
  for i = 1, 11 do
    local began = time.now()
    for _ = 1, each do f() end
    times[i] = (time.now() - began) / each * 1e6
  end
  table.sort(times)
  return times[6]
end
return { main = function()
  local ns = kv.open("bench")
  assert(ns:set("k", "v"))
  assert(s3.put("bench", "k", ("x"):rep(1024)))
  return { kv = timed(function() assert(ns:get("k")) end), s3 = timed(function() assert(s3.get("bench", "k")) end) }
end }
"""


def bell_us(rounds=2000):
    """There and back between two processes on two cores, over two eventfds: what a sleeper's waking costs here."""
    there, back = os.eventfd(0), os.eventfd(0)
    child = os.fork()
    os.sched_setaffinity(0, {os.cpu_count() - 1 if child == 0 else 0})
    if child == 0:
        for _ in range(rounds):
            os.eventfd_read(there)
            os.eventfd_write(back, 1)
        os._exit(0)
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        os.eventfd_write(there, 1)
        os.eventfd_read(back)
        times.append((time.perf_counter() - began) * 1e6)
    os.waitpid(child, 0)
    os.sched_setaffinity(0, range(os.cpu_count()))
    os.close(there), os.close(back)
    return statistics.median(times)


def p13(a):
    for cores, name, wanted in (("0", "one core", "kv ≤ 15, s3 ≤ 40 µs p50"), (None, "across cores", "bell + 15, + 40 µs")):
        with perilune(cores) as s:
            s.client("iam").put_role_policy(RoleName="bench", PolicyName="all", PolicyDocument=json.dumps({
                "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:*", "perilune:*"], "Resource": "*"}]}))
            s.client("s3").create_bucket(Bucket="bench")
            make_function(s, "calls", P13, s.role, Timeout=60)
            got = []
            for _ in range(5):
                got.append(json.loads(s.client("lambda", read_timeout=90).invoke(FunctionName="calls")["Payload"].read()))
            row("P13", f"host calls on {name}: kv.get " + spread([g["kv"] for g in got], "µs", 1) + ", s3.get 1 KiB " +
                spread([g["s3"] for g in got], "µs", 1) + ("" if cores else f"; the bell there and back {bell_us():.0f} µs"), wanted)


P14 = """
local N = 5
return { main = function(event)
  if event.echo then return event end
  local text = json.encode({ text = ("x"):rep(6000000) })
  local began = time.now()
  for _ = 1, N do json.encode(json.decode(text)) end
  return (time.now() - began) / N * 1000
end }
"""


def p14(a):
    """6 MB in and out, beside the codec alone on the same bytes."""
    with perilune() as s:
        make_function(s, "large", P14, s.role, MemorySize=512, Timeout=60)
        lam = s.client("lambda")
        codec = [json.loads(lam.invoke(FunctionName="large")["Payload"].read()) for _ in range(5)]
        request = invoke_bytes(s, "large", json.dumps({"echo": True, "text": "x" * 6_000_000}).encode())
        times = []
        for _ in range(10):
            c = socket.create_connection(("127.0.0.1", s.port))
            began = time.perf_counter()
            sender = threading.Thread(target=c.sendall, args=(request,))
            sender.start()
            got = 0
            view = memoryview(bytearray(1 << 20))
            while got < 6_000_000:
                n = c.recv_into(view)
                assert n, "the answer is short"
                got += n
            times.append((time.perf_counter() - began) * 1000)
            sender.join()
            c.close()
        began = time.perf_counter()
        bytes(bytearray(request))
        copy = (time.perf_counter() - began) * 1000
        alone = statistics.median(codec) + copy
        row("P14", f"6 MB event and answer: {spread(times, 'ms', 1)}; codec and copy alone {alone:.1f} ms, {statistics.median(times) / alone:.2f} ×", "≤ 2 ×")


def p15(a):
    row("P15", f"build/perilune: {BINARY.stat().st_size / 1e6:.2f} MB", "≤ 2 MB")


def instructions(command, n, feed=None, **more):
    """Instructions of a process per piece of work: two runs under callgrind that differ by n pieces."""
    totals = []
    for count in (n, 2 * n):
        with tempfile.TemporaryDirectory(prefix="perilune-callgrind-") as folder:
            tool = ["valgrind", "--tool=callgrind", "--smc-check=all-non-file", f"--callgrind-out-file={folder}/%p"]
            p = subprocess.Popen(tool + command(count, folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **more)
            try:
                if feed:
                    feed(p, count)
            finally:
                if feed:
                    p.terminate()
                p.wait(120)
            counts = [int(re.search(r"^(?:summary|totals): (\d+)", f.read_text(), re.M)[1])
                      for f in pathlib.Path(folder).iterdir() if f.name.isdigit()]
        totals.append(max(counts))
    return (totals[1] - totals[0]) / n


def core_instructions(n, signed):
    port = free_port()

    def command(_, folder):
        return ["--trace-children=no", str(BINARY), "serve", "--data", f"{folder}/data", "--listen", f"127.0.0.1:{port}",
                "--user", "root", "--store-max", "1G", "--runs-sample", "0"]  # samples are by the second, not by the request

    def feed(p, count):
        quick_wait(port, p)
        s = Server.__new__(Server)
        s.port, s.url, s.proc = port, f"http://127.0.0.1:{port}", p
        make_function(s, "hello", HELLO, make_role(s))
        open_url(s, "hello")
        request = invoke_bytes(s, "hello") if signed else get("/url/hello/", port)
        with socket.create_connection(("127.0.0.1", port)) as c:
            for _ in range(count):
                c.sendall(request)
                answer = c.recv(65536)
                assert answer.startswith(b"HTTP/1.1 200"), answer[:200]
    env = dict(os.environ, PERILUNE_ROOT_ACCESS_KEY=KEY, PERILUNE_ROOT_SECRET_KEY=SECRET, EXE=str(BINARY), LD_PRELOAD=str(OUT / "exe.so"))
    return instructions(command, n, feed, env=env)


def p16(a):
    """Instructions of core and runner per request, one at a time. Valgrind's processor has no SHA instructions, so
    that signed requests look dearer than they are."""
    n = 2000
    row("P16", f"core: {core_instructions(n, False):.0f} instructions per hello over a URL, {core_instructions(n, True):.0f} signed")
    child = instructions(lambda count, _: ["--trace-children=yes", str(TOP / "build/bench/runner"), str(count), str(HERE / "hello.lua")], n)
    row("P16", f"runner: {child:.0f} instructions per hello over a URL")


def p7(a):
    s3.table(a.rounds, a.seconds, lambda text, wanted="": row("P7", text, wanted))


def durable_part(part):
    return lambda a: part(a, row)


PARTS = {"P1": p1_p2_p3, "P1free": p1_free, "P4": p4, "P5": p5, "P6": durable_part(durable.p6), "P7": p7, "P8": durable_part(durable.p8), "P9": p9_p10, "P12": p12, "P13": p13, "P14": p14, "P15": p15, "P16": p16,
         "P11": durable_part(durable.p11)}


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--only", default="", help="parts, with commas: " + " ".join(PARTS))
    a.add_argument("--rounds", type=int, default=5)
    a.add_argument("--seconds", type=int, default=3)
    a.add_argument("--functions", type=int, default=10000)
    a.add_argument("--stored", type=int, default=1_000_000, help="events stored for P10; functions as many, up to 100,000")
    a.add_argument("--rows", type=int, default=10_000_000, help="of objects and of events, for P11")
    a.add_argument("--updates", type=int, default=300)
    a.add_argument("--keep", action="store_true", help="write results/COMMIT.txt")
    a = a.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    subprocess.run(["gcc", "-O2", "-D_GNU_SOURCE", "-o", str(RATE), str(HERE / "rate.c")], check=True)
    subprocess.run(["gcc", "-O2", "-D_GNU_SOURCE", "-shared", "-fPIC", "-o", str(OUT / "exe.so"), str(HERE / "exe.c"), "-ldl"], check=True)
    commit = subprocess.run(["git", "-C", str(TOP), "describe", "--always", "--dirty"], capture_output=True, text=True).stdout.strip()
    model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    row("", f"{commit}, {datetime.date.today()}, {os.cpu_count()} × {model[1] if model else platform.machine()}, load {os.getloadavg()[0]:.2f}, "
        f"binary {hashlib.sha256(BINARY.read_bytes()).hexdigest()[:12]}")
    for name, part in PARTS.items():
        if not a.only or name in a.only.split(","):
            PART[0] = name
            part(a)
    text = "\n".join(LINES) + "\n"
    (OUT / "table.txt").write_text(text)
    if a.keep:
        (HERE / "results").mkdir(exist_ok=True)
        (HERE / "results" / f"{commit}.txt").write_text(text)


if __name__ == "__main__":
    main()
