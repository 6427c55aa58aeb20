"""Limits bite, by the caller's clock, and the neighbours notice nothing."""
import concurrent.futures
import contextlib
import ctypes
import os
import signal
import statistics
import struct
import time

import pytest

from perilune import SANITIZED, eventually, memory_of

pytestmark = pytest.mark.boto3
ROUNDS = int(os.environ.get("LIMIT_ROUNDS", "6"))
TIMEOUT_S = 1
SLACK_S = 0.25 if not SANITIZED else 1.5

LOOPS = {
    "compiled": "return { main = function() local x = 0 while true do x = x + 1 end end }",
    "pcall": "return { main = function() while true do pcall(error, 'x') end end }",
    "pattern": "return { main = function() return ('a'):rep(800):find('.-.-.-b') end }",
    "sleep": "return { main = function() time.sleep(60) return 'late' end }",
}
EATERS = {
    "table": "return { main = function() local t = {} while true do t[#t + 1] = { #t } end end }",
    "string": "return { main = function() local s = 'x' while true do s = s .. s end end }",
    "rep": "return { main = function() return #(('x'):rep(1e9)) end }",
    "caught": "return { main = function() for i = 1, %d do pcall(function() local t = {} while true do t[#t + 1] = ('y'):rep(1000 + #t) end end) end return 'survived' end }"
              % (30 if SANITIZED else 300),  # under the sanitizer 300 take longer than the timeout
}


@pytest.fixture(scope="module")
def healthy(server):
    return server.make_function("return { main = function(e) return e.n + 1 end }", Timeout=10)


def steady(server, healthy, until):
    """Calls the healthy function until told to stop; its times in seconds."""
    client, times, n = server.client("lambda"), [], 0
    while not until():
        began = time.monotonic()
        value, error, _ = server.invoke(healthy, {"n": n}, client=client)
        times.append(time.monotonic() - began)
        assert (value, error) == (n + 1, None)
        n += 1
        time.sleep(0.005)
    return times


@pytest.mark.parametrize("kind", LOOPS)
def test_loop_is_timed_out(server, healthy, kind):
    name = server.make_function(LOOPS[kind], Timeout=TIMEOUT_S)
    client, took, pids = server.client("lambda", read_timeout=30), [], set()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        done = []
        neighbour = pool.submit(steady, server, healthy, lambda: done)
        try:
            for _ in range(ROUNDS):
                began = time.monotonic()
                value, error, _ = server.invoke(name, client=client)
                took.append(time.monotonic() - began)
                assert error == "Unhandled"
                assert value["errorType"] == "Sandbox.Timedout", value
                assert value["errorMessage"].endswith("Task timed out after 1.00 seconds"), value
                pids.update(server.runners())
        finally:
            done.append(True)
        times = neighbour.result()
    print(f"{kind}: {ROUNDS} rounds, median {statistics.median(took):.3f} s, slowest {max(took):.3f} s; "
          f"neighbour {len(times)} calls, median {statistics.median(times) * 1000:.1f} ms; {len(pids)} runner pids seen")
    assert max(took) <= TIMEOUT_S + SLACK_S and min(took) >= TIMEOUT_S - 0.01
    assert len(pids) >= ROUNDS, "each timed-out runner is replaced by a new process"
    assert times, "the neighbour answered"
    lines = server.log_lines(name)
    assert any("Task timed out after 1.00 seconds" in l for l in lines), lines
    assert any("REPORT" in l and "Status: timeout" in l for l in lines), lines


@pytest.mark.parametrize("kind", EATERS)
def test_memory_eater_is_stopped(server, healthy, kind):
    name = server.make_function(EATERS[kind], Timeout=20, MemorySize=128)
    rounds = max(3, ROUNDS // 2)
    for _ in range(rounds):
        value, error, _ = server.invoke(name)
        if kind == "caught" and error is None:
            assert value == "survived"  # every shortage was caught by the function itself
            continue
        assert error == "Unhandled"
        assert value["errorType"] == "Runtime.OutOfMemory", value
        assert "memory limit of 128 MB" in value["errorMessage"], value
    assert server.invoke(healthy, {"n": 1})[0] == 2


def test_waiting_callers_of_a_killed_runner_are_answered(server):
    """Eight callers at once: some wait behind the one that loops; all but that one get their answer."""
    name = server.make_function(
        "return { main = function(e) if e.loop then while true do end end return e.n end }", Timeout=1)
    server.invoke(name, {"n": 0})
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        client = server.client("lambda", read_timeout=30, max_pool_connections=32)
        for _ in range(3):
            calls = [pool.submit(server.invoke, name, {"n": i, "loop": i in (1, 2)}, client) for i in range(12)]
            results = [c.result() for c in calls]
            for i, (value, error, _) in enumerate(results):
                if i in (1, 2):
                    assert value["errorType"] == "Sandbox.Timedout"
                else:
                    assert (value, error) == (i, None)


def test_segfault_hits_its_caller_only(server, healthy):
    name = server.make_function("return { main = function(e) if e.wait then time.sleep(20) end return 'ok' end }", Timeout=30)
    assert server.invoke(name)[0] == "ok"
    for _ in range(max(3, ROUNDS // 2)):
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            before = set(server.runners())
            call = pool.submit(server.invoke, name, {"wait": True})
            time.sleep(0.5)  # an idle runner that dies is simply replaced: it must be at work
            pid = eventually(lambda: busy_runner(server, name), 10, 0.05)
            began = time.monotonic()
            os.kill(pid, signal.SIGSEGV)
            value, error, _ = call.result()
            assert error == "Unhandled" and value["errorType"] == "Runtime.ExitError", value
            assert "SIGSEGV" in value["errorMessage"] or "segmentation" in value["errorMessage"].lower(), value
            assert time.monotonic() - began < 2
            assert server.invoke(name)[0] == "ok"
            assert server.invoke(healthy, {"n": 4})[0] == 5
            eventually(lambda: pid not in server.runners(), 5)
            assert set(server.runners()) - (before - {pid}), "a new process took its place"


def busy_runner(server, name):
    """The runner that holds the function: its name is in the memory of no other. None while there is none."""
    for pid in server.runners():
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):  # it has ended meanwhile
            if any(name.encode() in block for block in memory_of(pid)):
                return pid
    return None


def slice_ms(pid):
    """In how large pieces the scheduler gives the process its share; 0: it has ended, or the kernel does not say."""
    attr, sched_getattr = ctypes.create_string_buffer(48), 315 if os.uname().machine == "x86_64" else 275
    if ctypes.CDLL(None).syscall(sched_getattr, pid, attr, len(attr), 0):
        return 0
    return struct.unpack_from("=Q", attr, 24)[0] / 1e6


def test_who_computes_yields(server):
    """A run that has used some of the processor takes its share in large pieces, so that who wants little gets it soon;
    afterwards its runner is as quick as any."""
    if not slice_ms(os.getpid()):
        pytest.skip("a kernel without slices")
    name = server.make_function("return { main = function(e) local till = os.clock() + e.s while os.clock() < till do end return 1 end }",
                                Timeout=20)
    longest = lambda: max([slice_ms(p) for p in server.runners()], default=0)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        assert server.invoke(name, {"s": 0})[:2] == (1, None) and longest() < 20
        call = pool.submit(server.invoke, name, {"s": 0.5})
        eventually(lambda: longest() == 20, 5, 0.002)
        assert call.result()[:2] == (1, None) and longest() < 20
