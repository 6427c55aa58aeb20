"""Hostile functions, one Lua file each (tests/hostile), run mixed with healthy neighbours, with the compiler on and off.

A file says in its head what is to come of it:

    -- H8: what it does
    -- expect: Sandbox.Timedout ok       error types that will do; "ok" is an answer without error, "*" any error
    -- memory: 128  -- timeout: 1        MB and seconds, these when not given
    -- grants: lambda:InvokeFunction     an action its role allows on everything

HOSTILE_ROUNDS (1) is how often each is called; with STRICT_LIMITS=1 the answer must come within the timeout and
250 ms, and the neighbours' p99 is bounded too: figures for a machine that does nothing else.
"""
import concurrent.futures
import json
import os
import pathlib
import re
import statistics
import threading
import time

import pytest

from perilune import SANITIZED, Server, eventually

pytestmark = pytest.mark.boto3
HERE = pathlib.Path(__file__).parent.parent / "hostile"
ROUNDS = int(os.environ.get("HOSTILE_ROUNDS", "1"))
STRICT = os.environ.get("STRICT_LIMITS") == "1"
SLACK_S = 0.25 if STRICT else 2.0 if not SANITIZED else 10
AT_ONCE = 6
MEMORY_BACK_MIB = 24


class Case:
    def __init__(self, path):
        head = dict(re.findall(r"^-- (\w+): (.*)$", path.read_text(), re.M))
        self.name, self.code = path.stem.replace("_", "-"), path.read_text()
        self.expect = head["expect"].split()
        self.memory, self.timeout = int(head.get("memory", 128)), int(head.get("timeout", 1))
        self.grants = head.get("grants", "").split()

    def fits(self, value, error):
        if error is None:
            return "ok" in self.expect
        kind = value.get("errorType") if isinstance(value, dict) else None
        return bool(kind) and ("*" in self.expect or kind in self.expect)


CASES = [Case(p) for p in sorted(HERE.glob("h*.lua"))]


@pytest.fixture(scope="module")
def house():
    with Server("--idle-timeout", "3", "--max-runners", "64") as s:
        s.make_function("return { main = function(e) return e.n + 1 end }", name="healthy", Timeout=10)
        yield s
        assert s.stop() == 0, s.stderr()
        assert "Sanitizer" not in s.stderr() and "runtime error" not in s.stderr(), s.stderr()


def pss_mib(server):
    total = 0
    for pid in server.processes():
        try:
            total += int(re.search(r"^Pss:\s+(\d+)", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)[1])
        except OSError:
            pass  # it has ended
    return total / 1024


def percentile(times, p):
    return sorted(times)[min(len(times) - 1, int(len(times) * p))] * 1000


class Neighbour(threading.Thread):
    """Calls the healthy function until told to stop; every answer must be right."""

    def __init__(self, server):
        super().__init__()
        self.server, self.client, self.times, self.wrong, self.done = server, server.client("lambda"), [], [], False
        self.start()

    def run(self):
        n = 0
        while not self.done:
            began = time.monotonic()
            try:
                got = self.server.invoke("healthy", {"n": n}, client=self.client)[:2]
            except Exception as e:  # whatever it is, the neighbour noticed
                got = e
            self.times.append(time.monotonic() - began)
            if got != (n + 1, None):
                self.wrong.append(got)
            n += 1
            time.sleep(0.002)

    def stop(self):
        self.done = True
        self.join()
        return self.times


def attack(server, case, name):
    """One call: (took, what was wrong or None)."""
    client = server.client("lambda", read_timeout=60)
    began = time.monotonic()
    value, error, _ = server.invoke(name, {"again": False}, client=client)
    took = time.monotonic() - began
    kind = value.get("errorType") if error and isinstance(value, dict) else "ok"
    if not case.fits(value, error):
        return took, kind, f"{name}: {error} {json.dumps(value)[:300]}"
    if took > case.timeout + SLACK_S:
        return took, kind, f"{name}: {kind} after {took:.3f} s"
    if case.name.startswith("h27"):
        again, error, _ = server.invoke(name, {"again": True}, client=client)
        if not (again == "1" or error):
            return took, kind, f"{name}: then {again!r}"
    return took, kind, None


@pytest.mark.parametrize("jit", ["on", "off"])
def test_hostile_functions_among_healthy_ones(house, jit):
    names = {}
    for case in CASES:
        statements = [{"Effect": "Allow", "Action": case.grants, "Resource": "*"}] if case.grants else []
        names[case] = house.make_function({"handler.lua": case.code}, name=f"{case.name}-{jit}", Handler="handler.main",
                                          role=house.make_role(*statements), Timeout=case.timeout, MemorySize=case.memory,
                                          Environment={"Variables": {"PERILUNE_JIT": jit}})
    quiet = Neighbour(house)
    time.sleep(0.5)
    alone = quiet.stop()
    before = pss_mib(house)
    neighbour, wrong, seen = Neighbour(house), [], {}
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        calls = {pool.submit(attack, house, case, names[case]): case for _ in range(ROUNDS) for case in CASES}
        for call in concurrent.futures.as_completed(calls):
            took, kind, bad = call.result()
            seen.setdefault(calls[call].name, []).append((took, kind))
            if bad:
                wrong.append(bad)
    storm = neighbour.stop()
    for name, results in sorted(seen.items()):
        kinds = sorted({k for _, k in results})
        print(f"{name:24} jit {jit}: {len(results)} × {', '.join(kinds)}; median {statistics.median(t for t, _ in results):.3f} s, "
              f"slowest {max(t for t, _ in results):.3f} s")
    print(f"healthy neighbour: {len(storm)} answers, p50 {percentile(storm, .5):.2f} p99 {percentile(storm, .99):.2f} ms; "
          f"alone p50 {percentile(alone, .5):.2f} p99 {percentile(alone, .99):.2f} ms")
    assert not wrong, "\n".join(wrong)
    assert not neighbour.wrong and not quiet.wrong, (neighbour.wrong + quiet.wrong)[:3]
    if STRICT:
        assert percentile(storm, .99) <= 5 * max(percentile(alone, .99), 1)
    after = eventually(lambda: (len(house.runners()) <= 6 and pss_mib(house) < before + MEMORY_BACK_MIB) or None, 30, 0.2)
    assert after
