"""Runners come and go and nobody notices but whom it concerns: killed ones, replaced code, more functions than
places, memory that is full, a crowd before one function.

The short forms are for every change; `make fault-runners` runs the long ones: RUNNER_KILLS, RUNNER_SWAPS and
RUNNER_FUNCTIONS say how many, RUNNER_PLACES is --max-runners of the last."""
import base64
import collections
import concurrent.futures
import contextlib
import os
import pathlib
import re
import signal
import statistics
import threading
import time

import pytest
from botocore.exceptions import ClientError

from perilune import HOLD, SANITIZED, Server, eventually, make_zip, occupied, unique
from traffic import figure, spread

pytestmark = pytest.mark.boto3
KILLS = int(os.environ.get("RUNNER_KILLS", "40"))
SWAPS = int(os.environ.get("RUNNER_SWAPS", "40"))
FUNCTIONS = int(os.environ.get("RUNNER_FUNCTIONS", "100"))
PLACES = int(os.environ.get("RUNNER_PLACES", "16"))
STRICT = os.environ.get("STRICT_LIMITS")  # on a machine that does nothing else
IDLE_S = 1
PAGE = os.sysconf("SC_PAGE_SIZE")
GROWING = threading.Lock()  # one victim at a time grows to the size that tells it from the others

# Grows by so many MiB (by which its process is recognised) while it waits; else it answers at once.
VICTIM = """local held = {}
return { main = function(e)
    if e.mib then
        for i = 1, e.mib do held[i] = ('x'):rep(1048576) .. i end
        time.sleep(25)
    end
    return e.n
end }"""


@pytest.fixture(scope="module")
def house():
    with Server("--idle-timeout", str(IDLE_S), "--max-runners", str(PLACES)) as s:
        yield s
        assert s.stop(60) == 0, s.stderr()
        assert "Sanitizer" not in s.stderr() and "runtime error" not in s.stderr(), s.stderr()


def at_rest(server):
    """Waits until the idle runners have gone and only spares are left."""
    eventually(lambda: server.metric("runners") == 0, IDLE_S + 30, 0.05)
    spares = int(server.metric("runners_spare"))
    eventually(lambda: len(server.runners()) == max(spares, 2), 20, 0.05)


def private(pid):
    """Resident bytes without those of files, which the kernel takes back when it likes (the store is mapped)."""
    return int(re.search(r"^RssAnon:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M)[1]) << 10


def rss(pid):
    with contextlib.suppress(OSError, IndexError):
        return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    return 0


def holdings(server):
    """What core and zygote hold: kinds of descriptors (no connections), resident bytes; zombies among the runners. A log is open
    while it is written or synced, which comes by itself: then it is looked again."""
    return eventually(lambda: (h := held_now(server)) and not any(l.endswith(".log") for l in h[0][0]) and h, 20)


def held_now(server):
    core = server.proc.pid
    zygote = next(int(c) for c in pathlib.Path(f"/proc/{core}/task/{core}/children").read_text().split()
                  if pathlib.Path(f"/proc/{c}/task/{c}/children").read_text().split())
    kinds = []
    for pid in (core, zygote):
        links = []
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                links.append(re.sub(r"\d+", "", os.readlink(f"/proc/{pid}/fd/{fd}")))
        kinds.append(collections.Counter(l for l in links if not (pid == core and l.startswith("socket:"))))
    zombies = [p for p in server.runners() if "State:\tZ" in pathlib.Path(f"/proc/{p}/status").read_text()]
    return kinds, (private(core), private(zygote)), zombies


class Callers(threading.Thread):
    """Calls again and again until told to stop; what `wrong` says of an answer is kept."""

    def __init__(self, server, name, wrong=None, event=None, pause=0.003):
        super().__init__()
        self.server, self.name, self.wrong, self.event, self.pause = server, name, wrong, event, pause
        self.client, self.count, self.bad, self.slowest, self.done = server.client("lambda", read_timeout=60), 0, [], 0, False
        self.start()

    def run(self):
        while not self.done:
            event, began = self.event or {"n": self.count}, time.monotonic()
            try:
                value, error, _ = self.server.invoke(self.name, event, client=self.client)
                bad = f"{error} {value}" if error or (not self.wrong and value != event["n"]) else self.wrong and self.wrong(value)
            except Exception as e:  # whatever it is, a caller noticed
                bad = repr(e)
            if bad:
                self.bad.append(bad)
            self.slowest = max(self.slowest, time.monotonic() - began)
            self.count += 1
            time.sleep(self.pause)

    def stop(self):
        self.done = True
        self.join()
        return self


# --- killed runners ---------------------------------------------------------------------------


def kill_one(server, client, executor, name, mib):
    """One run under way is killed: what its caller was told, when, and when the function answered again."""
    with GROWING:
        had = {p: rss(p) for p in server.runners()}
        call = executor.submit(server.invoke, name, {"mib": mib}, client)
        grown = lambda p: rss(p) - had.get(p, 0) >= mib << 20
        pid = eventually(lambda: call.done() or next((p for p in server.runners() if grown(p)), None), 20, 0.002)
        assert pid is not True, call.result()
        os.kill(pid, signal.SIGKILL)
    began = time.monotonic()
    value, error, _ = call.result()
    told = time.monotonic() - began
    assert error == "Unhandled" and value["errorType"] == "Runtime.OutOfMemory", value
    assert server.invoke(name, {"n": mib}, client=client)[:2] == (mib, None)
    return told, time.monotonic() - began


def test_killed_runners(house):
    role = house.make_role()
    shared = house.make_function(VICTIM, role=role, Timeout=30, MemorySize=256)
    own = [house.make_function(VICTIM, role=role, Timeout=30, MemorySize=256) for _ in range(2)]
    other = house.make_function("return { main = function(e) return e.n end }", role=role, Timeout=30)
    clients = [house.client("lambda", read_timeout=60) for _ in range(3)]

    def rounds(n):
        def worker(i, name):
            return [kill_one(house, clients[i], executor, name, 24 + 16 * i) for _ in range(n // 3 + (i < n % 3))]
        with concurrent.futures.ThreadPoolExecutor(6) as executor, concurrent.futures.ThreadPoolExecutor(3) as workers:
            started = [workers.submit(worker, i, name) for i, name in enumerate([*own, shared])]
            return [t for w in started for t in w.result()]

    rounds(3)
    at_rest(house)
    kinds, memory, _ = holdings(house)
    errors = house.metric("invocation_errors_total")
    neighbours = [Callers(house, shared), Callers(house, other)]
    try:
        times = rounds(KILLS)
    finally:
        for n in neighbours:
            n.stop()
    assert not [b for n in neighbours for b in n.bad][:3]
    assert house.metric("invocation_errors_total") - errors == KILLS == len(times), "one error each, none elsewhere"
    figure("D2", f"{KILLS} kills of busy runners: one error each, told after {spread(t for t, _ in times)}, answered again after "
           f"{spread(t for _, t in times)}; neighbours {[n.count for n in neighbours]} calls, none failed, slowest "
           f"{max(n.slowest for n in neighbours):.3f} s")
    assert max(t for _, t in times) < (0.1 if STRICT else 10)
    at_rest(house)
    kinds_now, memory_now, zombies = holdings(house)
    assert kinds_now == kinds and not zombies
    figure("D2", f"no descriptor or zombie more; core and zygote hold {memory_now[0] >> 10} and {memory_now[1] >> 10} KiB (before: {memory[0] >> 10}, {memory[1] >> 10})")
    if STRICT:  # what its threads' heaps keep is there after some two hundred kills; the rest is given back when it is quiet
        eventually(lambda: private(house.proc.pid) < memory[0] + (2 << 20), 20, 0.5)
    if not SANITIZED:
        assert memory_now[0] < memory[0] + (12 << 20) and memory_now[1] < memory[1] + (1 << 20)


# --- replaced code ----------------------------------------------------------------------------


def code_of(n):
    return f"return {{ main = function(e) if e.s then time.sleep(e.s) end return {n} end }}"


def test_code_replaced_under_load(house):
    """Each answer comes from a version that was current at some time between question and answer."""
    name = house.make_function(code_of(0), Timeout=30)
    lam, said, known = house.client("lambda"), [0], [0]  # asked for, acknowledged
    bad, counts = [], collections.Counter()

    def caller(event):
        client = house.client("lambda", read_timeout=60)
        while not known or known[0] is not None:
            oldest = known[0]
            if oldest is None:
                return
            try:
                value, error, _ = house.invoke(name, event, client=client)
            except ClientError as e:
                value, error = None, str(e)
            counts["calls"] += 1
            if error or not oldest <= value <= said[0]:
                bad.append((oldest, value, said[0], error))

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        callers = [pool.submit(caller, e) for e in ({}, {}, {"s": 0.01}, {"s": 0.08})]
        try:
            for n in range(1, SWAPS + 1):
                package = make_zip(code_of(n))
                said[0] = n
                lam.update_function_code(FunctionName=name, ZipFile=package)
                known[0] = n
                if n % 4 == 0:
                    assert house.invoke(name, client=lam)[0] == n
        finally:
            known[0] = None
        for c in callers:
            c.result()
    print(f"{SWAPS} updates under {counts['calls']} calls")
    assert not bad, bad[:5]
    assert counts["calls"] >= SWAPS // 2


# --- more functions than places ---------------------------------------------------------------


def test_more_functions_than_places(house):
    role, prefix = house.make_role(), unique("many")
    begun = private(house.proc.pid)
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        clients = [house.client("lambda", read_timeout=60) for _ in range(6)]

        def make(i):
            clients[i % 6].create_function(FunctionName=f"{prefix}-{i}", Role=role, Runtime="provided.al2", Handler="handler.main",
                                           Code={"ZipFile": make_zip(f"return {{ main = function() return {i} end }}")})

        def ask(i):
            began = time.monotonic()
            got = house.invoke(f"{prefix}-{i}", client=clients[i % 6])[:2]
            return got, time.monotonic() - began

        list(pool.map(make, range(FUNCTIONS)))
        most, answers = 0, []
        for got in pool.map(ask, range(FUNCTIONS)):
            answers.append(got)
            if len(answers) % 20 == 0:
                most = max(most, house.metric("runners"))
    assert [a for a, _ in answers] == [(i, None) for i in range(FUNCTIONS)]
    assert 2 <= most <= PLACES
    times = sorted(t for _, t in answers)
    at_rest(house)
    most_kib, began = (private(house.proc.pid) - begun) >> 10, time.monotonic()
    if not SANITIZED:  # the log of a function is forgotten a minute after its last line
        eventually(lambda: private(house.proc.pid) - begun < (24 << 20) + FUNCTIONS * 1024, 150, 0.5)
    print(f"{FUNCTIONS} functions on {PLACES} places ({most:.0f} seen): first answer p50 {times[len(times) // 2] * 1000:.1f} ms, p99 "
          f"{times[len(times) * 99 // 100] * 1000:.1f} ms; the core had grown by {most_kib} KiB, by "
          f"{(private(house.proc.pid) - begun) >> 10} KiB {time.monotonic() - began:.0f} s later")


# --- few places -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small():
    with Server("--max-runners", "4", "--memory", "112M") as s:
        yield s
        assert s.stop() == 0, s.stderr()
        assert "Sanitizer" not in s.stderr() and "runtime error" not in s.stderr(), s.stderr()


def cold(server, name, event=None):
    r = server.client("lambda").invoke(FunctionName=name, LogType="Tail", Payload=b"{}" if event is None else event)
    assert "FunctionError" not in r, r["Payload"].read()
    return "Init Duration" in base64.b64decode(r["LogResult"]).decode()


def test_least_recently_used_goes(small):
    role = small.make_role()
    a, b, c, d, e = (small.make_function("return { main = function() return 1 end }", role=role) for _ in range(5))
    assert [cold(small, n) for n in (a, b, c, d)] == [True] * 4
    assert not cold(small, a)  # the oldest is b now
    assert cold(small, e)
    assert small.metric("runners") == 4
    assert [cold(small, n) for n in (a, c, d, e)] == [False] * 4
    assert cold(small, b), "b made place for e"
    assert cold(small, a), "and a for b"


def test_memory_of_all_runners(small):
    """Three hold 30 MiB: with a fourth they would pass the limit of 112, so one of them goes."""
    role = small.make_role()
    names = [small.make_function("local t = {} return { main = function() for i = 1, 30 do t[i] = ('x'):rep(1048576) .. i end return #t end }",
                                 role=role, MemorySize=128) for _ in range(5)]
    for name in names:
        assert small.invoke(name)[:2] == (30, None)
        assert small.metric("runners") <= 4
    assert small.metric("runners") == 3
    assert not cold(small, names[4]) and cold(small, names[0])


def test_a_crowd_before_one_function(small):
    """All places are taken by one function, whose callers ask again at once: another comes through."""
    role = small.make_role()
    crowded, alone = (small.make_function("return { main = function(e) time.sleep(0.05) return e.n end }", role=role, Timeout=20)
                      for _ in range(2))
    crowd = [Callers(small, crowded, pause=0) for _ in range(12)]
    try:
        eventually(lambda: small.metric("runners_busy") == 4, 10)
        times = []
        for n in range(8):
            began = time.monotonic()
            assert small.invoke(alone, {"n": n})[:2] == (n, None)
            times.append(time.monotonic() - began)
    finally:
        for c in crowd:
            c.stop()
    print(f"beside a crowd of 12: median {statistics.median(times) * 1000:.0f} ms, slowest {max(times) * 1000:.0f} ms; "
          f"{sum(c.count for c in crowd)} calls of the crowd")
    assert not [b for c in crowd for b in c.bad][:3]
    assert statistics.median(times) < (3 if not SANITIZED else 10)


def test_reserved_place(small):
    role = small.make_role({"Effect": "Allow", "Action": "perilune:*", "Resource": "*"})
    name = small.make_function("return { main = function(e) " + HOLD + "return 'done' end }", role=role, Timeout=60)
    lam = small.client("lambda", read_timeout=60, max_pool_connections=8)
    with occupied(small, name), pytest.raises(ClientError) as refused:
        small.invoke(name, {}, lam)
    assert refused.value.response["Error"]["Code"] == "TooManyRequestsException"
    assert refused.value.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert small.invoke(name, {}, lam)[0] == "done"


@pytest.mark.skipif(os.cpu_count() >= PLACES, reason="fewer places than processors")
def test_who_computes_yields(house):
    """Where more compute than there are processors, their runners are nicer than others while the runs last, and as they are
    after that; where the server may not take niceness back, they stay so. A function's state is kept."""
    name = house.make_function("""local n = 0
        return { main = function(e)
            local began = time.now()
            while e.s and time.now() - began < e.s do end
            n = n + 1 return n
        end }""", Timeout=60)
    assert house.invoke(name)[0] == 1

    def niceness():
        found = {}
        for pid in house.runners():
            with contextlib.suppress(ProcessLookupError):  # an idle one that has gone
                found[pid] = os.getpriority(os.PRIO_PROCESS, pid)
        return found
    usual, many = min(niceness().values()), os.cpu_count() + 1
    assert house.invoke(name, {"s": 0.2})[0] == 2
    assert set(niceness().values()) == {usual}, "alone it takes nothing from anybody"
    with concurrent.futures.ThreadPoolExecutor(many) as pool:
        running = [pool.submit(house.invoke, name, {"s": 3}) for _ in range(many)]
        yielding = eventually(lambda: [p for p, nice in niceness().items() if nice == usual + 10], 3, 0.02)
        assert max(r.result()[0] for r in running) >= 3
        again = [pool.submit(house.invoke, name, {"s": 1}) for _ in range(many)]
        while not all(r.done() for r in again):  # nobody is given less and less
            assert set(niceness().values()) <= {usual, usual + 10}
            time.sleep(0.02)
    may = re.search(r"Max nice priority +(\d+)", pathlib.Path(f"/proc/{house.proc.pid}/limits").read_text())[1]
    after = usual if int(may) >= 20 - usual else usual + 10
    eventually(lambda: {niceness().get(p, after) for p in yielding} == {after} or None, 5, 0.02)
