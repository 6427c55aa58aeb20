"""Disks that fail and disks that fill, under a whole server and load: what cannot be kept is refused with a 503 and never
acknowledged, reads and runs go on, /healthz says so, and once the disk is well everything is taken again without a restart.

DISK_ROUNDS is how often each failure is made (`make fault`: 20)."""
import errno
import os
import pathlib
import random
import time
import uuid

import pytest

from perilune import eventually
from traffic import FAULT, Found, Traffic, Wire, etag_of, figure, prepare, spread, unexecuted

pytestmark = pytest.mark.http
ROUNDS = int(os.environ.get("DISK_ROUNDS", "1"))
STRICT = os.environ.get("STRICT_LIMITS")
HELLO = "return { main = function(e) return e.n end }"
# in step with tests/fault/failing.c
FDATASYNC, FSYNC, PAGES, META, WRITE, META_KEPT = 1, 2, 4, 8, 16, 32
COMMITS = {"fdatasync": FDATASYNC, "pages": PAGES, "meta page": META, "meta page, half": META_KEPT}


class Disk:
    def __init__(self, folder):
        self.data, self.control = folder / "data", folder / "control"
        self.control.write_bytes(bytes(4096))
        self.env = {"LD_PRELOAD": str(FAULT / "failing.so"), "FAILING_DIR": str(self.data), "FAILING_FILE": str(self.control),
                    "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}

    def fail(self, calls, error=0):
        with open(self.control, "r+b", 0) as f:
            f.write(bytes([calls, error]))


def can(server, name, body):
    """Reads and runs go on."""
    wire = Wire(server)
    answer = wire.get(name)
    assert answer.status == 200 and answer.body == body
    assert server.invoke("hello", {"n": 7})[:2] == (7, None)
    wire.close()


def writes(wire):
    """One of each kind; their answers."""
    return (wire.event(uuid.uuid4().hex), wire.put(uuid.uuid4().hex, b"small"), wire.put(uuid.uuid4().hex, os.urandom(50000)),
            wire.multipart(uuid.uuid4().hex, b"part"))


def refused(server):
    """Every kind of write is answered with a 503."""
    wire = Wire(server)
    for answer in writes(wire):
        assert answer is not None and answer.status == 503, answer
    wire.close()


def break_and_mend(server, disk, calls, error, kept):
    """One failure under load, from the first refusal to the first acknowledgement after it; seconds of recovery."""
    traffic = Traffic(server, 4, {"event": 2, "object": 2, "parts": 1})
    eventually(lambda: traffic.acknowledged() > 20, 60)
    disk.fail(calls, error)
    eventually(lambda: server.healthz()[0] == 503 and all(load.refused for load in traffic.loads), 60, 0.002)
    before = traffic.acknowledged()
    can(server, *kept)
    refused(server)
    assert server.healthz()[0] == 503 and b"read-only" in server.healthz()[1]
    assert traffic.acknowledged() == before, "acknowledged by a disk that does not keep it"
    disk.fail(0)
    mended = time.monotonic()
    eventually(lambda: server.healthz()[0] == 200, 30, 0.002)
    eventually(lambda: traffic.acknowledged() > before, 30, 0.002)
    took = time.monotonic() - mended
    eventually(lambda: traffic.acknowledged() > before + 20, 60)
    told = traffic.end()
    assert set(traffic.refused()) <= {503}, traffic.refused()
    return told, traffic.etags(), took


def check_after_kill(server, told, etags):
    """Executed or to be executed: a function whose own write the disk refused runs again, minutes later."""
    server.kill()
    found = Found(server.data)
    for name, kind in told.items():
        assert name in found.done or name in found.queued, f"{kind} {name} was acknowledged and is neither queued nor done"
        assert kind == "event" or found.objects[name] == "ok", (kind, name)
    server.start()
    wire = Wire(server)
    uploads = [name for name, kind in told.items() if kind != "event"]
    for name in random.sample(uploads, min(300, len(uploads))):
        answer = wire.get(name)
        assert answer.status == 200 and answer.headers["etag"] == etags[name], (name, answer)


@pytest.mark.parametrize("error", ("EIO", "ENOSPC"))
def test_commits_fail(own_server, tmp_path, error):
    disk, told, etags, recovered = Disk(tmp_path), {}, {}, []
    server = own_server(data=str(disk.data), env=disk.env)
    prepare(server)
    server.make_function(HELLO, name="hello")
    kept = "kept", os.urandom(60000)
    assert Wire(server).put(*kept).status == 200
    for _ in range(ROUNDS):
        for calls in COMMITS.values():
            now_told, now_etags, took = break_and_mend(server, disk, calls, getattr(errno, error), kept)
            told.update(now_told)
            etags.update(now_etags)
            recovered.append(took)
    assert server.proc.poll() is None
    check_after_kill(server, told, etags)
    figure("D4", f"{error} from {', '.join(COMMITS)}, {ROUNDS} times each under load: {len(told)} acknowledged, 0 lost, 0 while it failed; "
           f"takes writes again {spread(recovered)}")
    if STRICT:
        assert max(recovered) <= 1


@pytest.mark.parametrize("calls", (WRITE, FSYNC))
def test_blobs_fail(own_server, tmp_path, calls):
    """What needs a file of its own is refused; rows are still taken."""
    disk = Disk(tmp_path)
    server = own_server(data=str(disk.data), env=disk.env)
    prepare(server)
    wire = Wire(server)
    files = lambda: sum(len(names) for _, _, names in os.walk(disk.data / "blobs"))
    assert wire.put("before", os.urandom(300000)).status == 200
    count, told = files(), []
    for error in (errno.EIO, errno.ENOSPC):
        disk.fail(calls, error)
        for size in (30000, 300000, 3000000):
            answer = wire.put("refused", os.urandom(size))
            assert answer is not None and answer.status == 503, answer
        told.append(uuid.uuid4().hex)
        assert wire.event(told[-1]).status == 202 and wire.put("small", b"small").status == 200
        assert wire.get("refused").status == 404
        disk.fail(0)
        assert wire.put("after", os.urandom(300000)).status == 200 and wire.delete("after").status == 204
    eventually(lambda: files() == count, 30)
    eventually(lambda: not unexecuted(server, told)[0], 90, 0.1)
    server.kill()
    server.start()
    assert Wire(server).get("before").status == 200


# --- full ---------------------------------------------------------------------------------------


def small_disk(tmp_path):
    """How to start a server in a mount namespace of its own with 16 MiB for its data, or skip."""
    import subprocess
    folder = tmp_path / "disk"
    folder.mkdir()
    script = 'mount -t tmpfs -o size=16m,mode=0777 none "$0" && exec "$@"'
    way = ["unshare", "-m" if os.geteuid() == 0 else "-rm", "sh", "-c", script, str(folder)]
    if subprocess.run(way + ["true"], capture_output=True).returncode:
        pytest.skip("no tmpfs can be mounted here: not root, and no user namespaces")
    return folder, way


def fill(server, wire, told):
    """Uploads until there is no room for files, then until there is none for rows either and /healthz says so. What events
    leave behind when they are done makes room for a row now and then."""
    for sizes in ((1000, 12000, 100000), (1000, 12000)):
        for _ in range(20000):
            name, body = uuid.uuid4().hex, os.urandom(random.choice(sizes))
            answer = wire.put(name, body)
            assert answer is not None, "no answer from a full disk"
            if answer.status == 200:
                told[name] = etag_of(body)
                continue
            assert answer.status == 503, answer
            if len(sizes) == 3 or server.healthz()[0] == 503:
                break
        else:
            raise AssertionError("it never was full")
    for answer in writes(wire):  # nothing but a yes or a "later"
        assert answer is not None and answer.status in (200, 202, 503), answer


def read_and_delete(wire, told):
    """What was taken is there; deletes work, all of them."""
    names = list(told)
    for name in random.sample(names, min(30, len(names))):
        answer = wire.get(name)
        assert answer.status == 200 and answer.headers["etag"] == told[name]
    for name in names:
        assert wire.delete(name).status == 204
        del told[name]


def empty_and_refill(server, told, recovered):
    """Full: refused, readable; space comes back by deletes alone; within a second all is taken again."""
    wire = Wire(server)
    fill(server, wire, told)
    assert server.invoke("hello", {"n": 7})[:2] == (7, None)
    read_and_delete(wire, told)
    freed = time.monotonic()
    eventually(lambda: server.healthz()[0] == 200, 30, 0.002)
    eventually(lambda: wire.event(uuid.uuid4().hex).status == 202, 30, 0.002)
    eventually(lambda: wire.put("again", b"x" * 50000).status == 200, 30, 0.002)
    recovered.append(time.monotonic() - freed)
    told["again"] = etag_of(b"x" * 50000)
    wire.close()


def test_full_disk(own_server, tmp_path):
    folder, way = small_disk(tmp_path)
    user = () if os.geteuid() == 0 else ("--user", "root")  # nobody else is in a namespace of one's own
    server, told, recovered, others = own_server(*user, data=str(folder / "data"), prefix=way), {}, [], []
    prepare(server)
    server.make_function(HELLO, name="hello")
    for _ in range(ROUNDS):
        empty_and_refill(server, told, recovered)
        others.append(somebody_else_fills(server, folder, told))
    assert server.proc.poll() is None and server.stop() == 0
    figure("D5", f"16 MiB disk filled {ROUNDS} times by uploads and {ROUNDS} times by others: refused with 503, deletes work; takes writes again "
           f"{spread(recovered)} after the deletes, {spread(others)} after the others' files went")
    if STRICT:
        assert max(recovered + others) <= 1


def somebody_else_fills(server, folder, told):
    """Not a byte is left, by no doing of ours; seconds from the removal to the first acknowledgement."""
    ballast = pathlib.Path(f"/proc/{server.proc.pid}/root{folder}/ballast")
    with open(ballast, "wb", 0) as f:
        try:
            while True:
                f.write(bytes(4096))
        except OSError as e:
            assert e.errno == errno.ENOSPC
    wire = Wire(server)
    fill(server, wire, told)  # the pages that the store has free
    assert wire.put("large", os.urandom(300000)).status == 503
    assert server.invoke("hello", {"n": 7})[:2] == (7, None)
    ballast.unlink()
    freed = time.monotonic()
    eventually(lambda: wire.event(uuid.uuid4().hex).status == 202, 30, 0.002)
    took = time.monotonic() - freed
    eventually(lambda: server.healthz()[0] == 200, 30, 0.002)
    read_and_delete(wire, told)  # its file does not shrink: with rows left in it the next round would make it grow
    return took


def test_full_map(own_server):
    server, told, recovered = own_server("--store-max", "8M"), {}, []
    prepare(server)
    server.make_function(HELLO, name="hello")
    for _ in range(ROUNDS):
        empty_and_refill(server, told, recovered)
    assert server.proc.poll() is None and server.stop() == 0
    figure("D5", f"map of 8 MiB filled {ROUNDS} times: refused with 503, deletes work; takes writes again {spread(recovered)}")
    if STRICT:
        assert max(recovered) <= 1
