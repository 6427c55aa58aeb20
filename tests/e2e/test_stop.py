"""SIGTERM under load: whoever has sent a request is answered, and the server ends within its functions' timeout; SIGSTOP
and SIGCONT: time that passed without the server costs nobody an event.

STOP_CYCLES is how many servers are ended (`make fault`: 500), STOP_S for how long one is stopped (30)."""
import collections
import json
import os
import random
import signal
import threading
import time
import uuid

import pytest

from perilune import SANITIZED, Server, eventually
from traffic import Traffic, Wire, figure, prepare, spread, unexecuted

pytestmark = pytest.mark.http
CYCLES = int(os.environ.get("STOP_CYCLES", "8"))
STOP_S = float(os.environ.get("STOP_S", "2"))
TIMEOUT_S = 3
SLOW = "return { main = function(e) time.sleep(e.ms / 1000) return e.n end }"


class Caller(threading.Thread):
    """Runs functions, queues events and uploads; keeps each request's (when it was out, answer, what)."""

    def __init__(self, server, stop):
        super().__init__(daemon=True)
        self.wire, self.stop, self.log, self.told = Wire(server), stop, [], []
        self.start()

    def run(self):
        while not self.stop.is_set():
            out, kind = [], random.choice(("invoke", "invoke", "event", "put"))
            sent = lambda: out.append(time.monotonic())
            if kind == "invoke":
                n = random.randrange(1 << 30)
                answer = self.wire.invoke("slow", json.dumps({"ms": random.choice((0, 5, 30, 120)), "n": n}).encode(), sent=sent)
                good = answer is not None and answer.status == 200 and answer.body == str(n).encode()
            else:
                name = uuid.uuid4().hex
                answer = self.wire.event(name, sent=sent) if kind == "event" else self.wire.put(name, os.urandom(20000), sent=sent)
                good = answer is not None and answer.status in (200, 202)
                if good:
                    self.told.append(name)
            if out:
                self.log.append((out[0], good, kind, answer))
            if answer is None:
                time.sleep(0.002)
        self.wire.close()


def test_terminated():
    took, seen, in_flight, told = [], collections.Counter(), 0, []
    with Server() as server:
        prepare(server)
        server.make_function(SLOW, name="slow", Timeout=TIMEOUT_S)
        for _ in range(CYCLES):
            stop = threading.Event()
            callers = [Caller(server, stop) for _ in range(8)]
            time.sleep(random.uniform(0.02, 0.3))
            before = time.monotonic()  # what was out by now is in flight, or has been answered
            server.proc.send_signal(signal.SIGTERM)
            assert server.proc.wait(60) == 0, server.stderr()
            took.append(time.monotonic() - before)
            stop.set()
            for caller in callers:
                caller.join(30)
                assert not caller.is_alive()
                told += caller.told
                for out, good, kind, answer in caller.log:
                    assert good or out >= before, f"{kind}: sent {before - out:.4f} s before the signal and answered {answer}"
                    seen[kind] += good
                in_flight += bool([1 for out, *_ in caller.log[-2:] if out < before])
            assert took[-1] <= (TIMEOUT_S + 1) * (5 if SANITIZED else 1) + 20 * SANITIZED
            server.start()
        eventually(lambda: not unexecuted(server, told)[0], 120, 0.2)
        twice = unexecuted(server, told)[1]
    figure("D7", f"{CYCLES} SIGTERMs under load: {seen['invoke']} runs, {seen['event']} events and {seen['put']} uploads answered, "
           f"0 in flight failed, {twice} events run twice; exit {spread(took)}")
    assert in_flight > CYCLES and twice == 0


def test_on_the_wire():
    """What was sent while the server could not look is answered, though the signal is what it sees first."""
    with Server() as server:
        prepare(server)
        server.make_function(SLOW, name="slow", Timeout=TIMEOUT_S)
        for _ in range(5):
            open_before, answers = Wire(server), []
            assert open_before.invoke("slow", b'{"ms": 0, "n": 1}').status == 200
            os.kill(server.proc.pid, signal.SIGSTOP)
            wires = [open_before, *(Wire(server) for _ in range(5))]
            sent = [threading.Event() for _ in wires]
            callers = [threading.Thread(target=lambda w, n, e: answers.append(w.invoke("slow", json.dumps({"ms": 20, "n": n}).encode(), sent=e.set)),
                                        args=(w, n, e)) for n, (w, e) in enumerate(zip(wires, sent))]
            for caller in callers:
                caller.start()
            assert all(e.wait(20) for e in sent)
            os.kill(server.proc.pid, signal.SIGTERM)
            os.kill(server.proc.pid, signal.SIGCONT)
            for caller in callers:
                caller.join(30)
            assert [a and a.status for a in answers] == [200] * len(wires), answers
            assert server.proc.wait(60) == 0, server.stderr()
            server.start()


def test_two_signals_amid_uploads():
    """What was being written when the second came is written out as the last thing, and answers to nobody that is gone."""
    with Server() as server:
        prepare(server)
        body = os.urandom(1000)
        for cycle in range(3):
            wires, answers = [Wire(server) for _ in range(6)], {}
            for wire in wires:
                assert wire.put("before", body).status == 200
            os.kill(server.proc.pid, signal.SIGSTOP)
            sent = [threading.Event() for _ in wires]
            callers = [threading.Thread(target=lambda w, key, e: answers.update({key: w.put(key, body, sent=e.set)}), args=(w, f"{cycle}-{n}", e))
                       for n, (w, e) in enumerate(zip(wires, sent))]
            for caller in callers:
                caller.start()
            assert all(e.wait(20) for e in sent)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCONT):
                os.kill(server.proc.pid, number)
            for caller in callers:
                caller.join(30)
            assert server.proc.wait(60) == 0 and "Sanitizer" not in server.stderr(), server.stderr()
            server.start()
            reader = Wire(server)
            assert all(reader.get(key).status == 200 for key, answer in answers.items() if answer and answer.status == 200)


def test_stopped():
    with Server() as server:
        prepare(server)
        server.make_function(SLOW, name="slow", Timeout=1)
        traffic = Traffic(server, 4, {"event": 3, "object": 1}, pause=0.005)
        eventually(lambda: traffic.acknowledged() > 20, 60)
        os.killpg(server.proc.pid, signal.SIGSTOP)
        time.sleep(STOP_S)
        before = traffic.acknowledged()
        os.killpg(server.proc.pid, signal.SIGCONT)
        went_on = time.monotonic()
        eventually(lambda: traffic.acknowledged() > before + 20, 60, 0.002)
        went_on = time.monotonic() - went_on
        told = traffic.end()
        assert not traffic.refused() and server.proc.poll() is None
        eventually(lambda: not unexecuted(server, list(told))[0], 120, 0.2)
        _, twice, _ = unexecuted(server, list(told))
        value, error, _ = server.invoke("slow", {"ms": 1, "n": 7})
        assert (value, error) == (7, None)
        assert server.stop() == 0, server.stderr()
    figure("D7", f"stopped for {STOP_S:g} s and continued: {len(told)} acknowledged, 0 lost, {twice} run twice; answers again after {went_on * 1000:.0f} ms")
