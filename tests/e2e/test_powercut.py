"""Power cuts of the whole server: its writes are logged under load, the log is replayed to random points with
unsynced pages dropped or torn, and every folder so made opens and holds what was acknowledged before: events, uploads,
completed multipart uploads, new code of functions.

POWERCUT_CUTS, POWERCUT_SEED and POWERCUT_LOAD_S change the size of a run (`make fault`: 2,000 cuts for each of three seeds)."""
import base64
import os
import random
import threading
import time
import urllib.request
import uuid

import powercut
import pytest

from perilune import Server, eventually, make_zip
from traffic import FAULT, Found, Traffic, Wire, figure, prepare

pytestmark = pytest.mark.http
STARTS = 4  # of the cuts are also served again, until every event has run
CUTS = int(os.environ.get("POWERCUT_CUTS", "200"))
SEED = os.environ.get("POWERCUT_SEED", "1")
LOAD_S = float(os.environ.get("POWERCUT_LOAD_S", "1.5"))


class Promises:
    """What clients were told, each with the length of the log at that moment."""

    def __init__(self, log):
        self.log, self.lock, self.made = log, threading.Lock(), []

    def note(self, kind, name):
        position = self.log.stat().st_size
        with self.lock:
            self.made.append((position, kind, name))


class Deleter(threading.Thread):
    """Uploads and deletes again."""

    def __init__(self, server, promises, stop):
        super().__init__(daemon=True)
        self.wire, self.promises, self.stop = Wire(server), promises, stop
        self.start()

    def run(self):
        while not self.stop.is_set():
            name = "gone" + uuid.uuid4().hex
            assert self.wire.put(name, os.urandom(random.choice((10, 40000, 300000)))).status == 200
            self.promises.note("object", name)
            self.promises.note("deleting", name)
            assert self.wire.delete(name).status == 204
            self.promises.note("deleted", name)
        self.wire.close()


def update_functions(server, promises, role, until):
    """New functions, and new code for an old one, again and again; small packages lie in rows, large ones in blobs."""
    lam, i = server.client("lambda"), 0
    while time.monotonic() < until:
        code = make_zip(f"return {{ main = function() return {i} end }} -- " + random.Random(i).randbytes(12 + i % 3 * 30000).hex())
        if i % 4 == 0:
            server.make_function("return { main = function() end }", name=f"made{i}", role=role)
            promises.note("function", f"made{i}")
        promises.note("updating", None)
        r = lam.update_function_code(FunctionName="changing", ZipFile=code)
        promises.note("updated", base64.b64decode(r["CodeSha256"]).hex())
        i += 1
        time.sleep(0.02)


def check_cut(promises, folder, position):
    found = Found(folder)
    told = {}
    for at, kind, name in promises.made:
        if at <= position:
            told.setdefault(kind, set()).add(name)
    check_code(promises, found, position)
    objects, deleting = told.get("object", set()), told.get("deleting", set())
    assert set(found.functions.values()) | set(found.objects.values()) <= {"ok"}, (found.functions, found.objects)
    assert told.get("function", set()) <= set(found.functions)
    assert not objects - deleting - set(found.objects), "an acknowledged object is missing"
    assert not told.get("deleted", set()) & set(found.objects), "a deleted object is there"
    for name in objects | told.get("event", set()):
        assert name in found.done or name in found.queued, f"{name} was acknowledged and is neither queued nor done"
    return len(objects) + len(told.get("event", ()))


def check_code(promises, found, position):
    """The code is that of the last acknowledged update, or of a later one."""
    updates = [(at, name) for at, kind, name in promises.made if kind == "updated"]
    old = [name for at, name in updates if at <= position]
    begun = sum(at <= position for at, kind, _ in promises.made if kind == "updating")
    if old:
        possible = [name for _, name in updates[len(old) - 1:begun]]
        assert found.code["changing"] in possible, "older code than was acknowledged"


def run_on(promises, folder, position):
    """The server starts on the folder and does what was left to do."""
    with Server(data=folder) as s:
        def idle():
            text = urllib.request.urlopen(f"http://127.0.0.1:{s.port}/metrics").read().decode()
            gauges = dict(line.split(" ", 1) for line in text.splitlines() if line[0] != "#")
            return all(float(gauges[f"perilune_events_{g}"]) == 0 for g in ("queued", "running", "waiting", "dead"))
        eventually(idle, 30, 0.05)
        assert s.stop() == 0, s.stderr()
    done = Found(folder).done
    left = {name for at, kind, name in promises.made if at <= position and kind in ("object", "event")} - done
    assert not left, f"acknowledged and not executed: {left}"


def test_cuts(own_server, fast_dir):
    data, log = fast_dir / "data", fast_dir / "log"
    promises, stop = Promises(log), threading.Event()
    server = own_server(data=str(data), env={
        "LD_PRELOAD": str(FAULT / "shim.so"), "POWERCUT_DIR": str(data), "POWERCUT_LOG": str(log),
        "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"})
    role = prepare(server)
    promises.note("function", "mark")
    server.make_function("return { main = function() end }", name="changing", role=role)
    promises.note("function", "changing")
    kinds = {"event": "event", "object": "object", "parts": "object"}
    traffic = Traffic(server, 3, {"event": 4, "object": 4, "parts": 2}, note=lambda kind, name: promises.note(kinds[kind], name), pause=0.004)
    deleter = Deleter(server, promises, stop)
    update_functions(server, promises, role, time.monotonic() + LOAD_S)
    told = traffic.end()
    stop.set()
    deleter.join(30)
    assert not deleter.is_alive() and not traffic.refused() and not traffic.lost()
    server.kill()
    replay, seen = powercut.Log(log), []

    def check(folder, position, describe):
        try:
            seen.append(check_cut(promises, folder, position))
            if len(seen) % (CUTS // STARTS) == 0:
                run_on(promises, folder, position)
        except AssertionError as e:
            raise AssertionError(f"{describe}: {e}") from None
    powercut.cut_many(replay, CUTS, SEED, str(fast_dir), check, [at for at, *_ in promises.made])
    count = {kind: list(told.values()).count(kind) for kind in kinds}
    updates = sum(kind == "updated" for _, kind, _ in promises.made)
    acknowledged = sum(kind in ("event", "object") for _, kind, _ in promises.made)
    figure("D3", f"seed {SEED}: {CUTS} power cuts in {len(replay)} writes: {count['event']} events, {count['object']} uploads, {count['parts']} multipart "
           f"uploads and {updates} code updates acknowledged, 0 lost")
    assert len(seen) == CUTS and max(seen) > acknowledged / 2 and acknowledged > 50 and updates > 5
