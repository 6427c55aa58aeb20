"""Power cuts of the whole server: its writes are logged under load, the log is replayed to random points with
unsynced pages dropped or torn, and every folder so made opens and holds what was acknowledged before."""
import json
import os
import pathlib
import random
import subprocess
import threading
import time
import urllib.request
import uuid

import powercut
import pytest

from perilune import BUILD, TOP, Server, eventually

pytestmark = pytest.mark.boto3
FAULT = pathlib.Path(os.environ.get("PERILUNE_BUILD", TOP / BUILD)) / "fault"
STARTS = 4  # of the cuts are also served again, until every event has run
CUTS = int(os.environ.get("POWERCUT_CUTS", "200"))
SEED = os.environ.get("POWERCUT_SEED", "1")
LOAD_S = 1.5

MARK = """
local done = kv.open("done")
return { main = function(e)
  done:incr(e.id or events.decode_key(e.Records[1].s3.object.key))
  return true
end }
"""


class Promises:
    """What clients were told, each with the length of the log at that moment."""

    def __init__(self, log):
        self.log, self.lock, self.made = log, threading.Lock(), []

    def note(self, kind, name):
        position = self.log.stat().st_size
        with self.lock:
            self.made.append((position, kind, name))


class Load(threading.Thread):
    def __init__(self, server, promises, stop, number):
        super().__init__(daemon=True)
        self.server, self.promises, self.stop, self.rng = server, promises, stop, random.Random(number)

    def run(self):
        lam, s3 = self.server.client("lambda"), self.server.client("s3")
        while not self.stop.is_set():
            name = uuid.uuid4().hex
            if self.rng.random() < 0.5:
                lam.invoke(FunctionName="mark", InvocationType="Event", Payload=json.dumps({"id": name}).encode())
                self.promises.note("event", name)
            else:
                size = self.rng.choice((10, 1000, 40000, 300000))
                s3.put_object(Bucket="cuts", Key=name, Body=self.rng.randbytes(size))
                self.promises.note("object", name)
                if self.rng.random() < 0.2:
                    self.promises.note("deleting", name)
                    s3.delete_object(Bucket="cuts", Key=name)
                    self.promises.note("deleted", name)


class Found:
    """What inspect saw in a folder."""

    def __init__(self, folder):
        env = dict(os.environ, ASAN_OPTIONS="detect_leaks=0")
        r = subprocess.run([FAULT / "inspect", folder], env=env, capture_output=True, text=True, timeout=60)
        assert r.returncode == 0, r.stderr
        self.done, self.queued, self.objects, self.functions = set(), "", {}, {}
        for line in r.stdout.splitlines():
            what, *rest = line.split(" ")
            if what == "kv" and rest[0] == "done":
                self.done.add(rest[1])
            elif what == "event":
                self.queued += line
            elif what == "object":
                self.objects[rest[1]] = rest[2]
            elif what == "function":
                self.functions[rest[0]] = rest[1]


def check_cut(promises, folder, position):
    found = Found(folder)
    told = {}
    for at, kind, name in promises.made:
        if at <= position:
            told.setdefault(kind, set()).add(name)
    objects, deleting = told.get("object", set()), told.get("deleting", set())
    assert set(found.functions.values()) | set(found.objects.values()) <= {"ok"}, (found.functions, found.objects)
    assert told.get("function", set()) <= set(found.functions)
    assert not objects - deleting - set(found.objects), "an acknowledged object is missing"
    assert not told.get("deleted", set()) & set(found.objects), "a deleted object is there"
    for name in objects | told.get("event", set()):
        assert name in found.done or name in found.queued, f"{name} was acknowledged and is neither queued nor done"
    return len(objects) + len(told.get("event", ()))


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
    role = server.make_role({"Effect": "Allow", "Action": ["s3:*", "perilune:*"], "Resource": "*"})
    server.make_function(MARK, name="mark", role=role)
    promises.note("function", "mark")
    s3, lam = server.client("s3"), server.client("lambda")
    s3.create_bucket(Bucket="cuts")
    lam.add_permission(FunctionName="mark", StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com",
                       SourceArn="arn:aws:s3:::cuts")
    s3.put_bucket_notification_configuration(Bucket="cuts", NotificationConfiguration={
        "LambdaFunctionConfigurations": [{
            "LambdaFunctionArn": lam.get_function_configuration(FunctionName="mark")["FunctionArn"],
            "Events": ["s3:ObjectCreated:*"]}]})
    loads = [Load(server, promises, stop, i) for i in range(4)]
    for load in loads:
        load.start()
    time.sleep(LOAD_S / 2)
    for i in range(4):
        server.make_function(MARK + f"-- {i}\n" + "-- " + uuid.uuid4().hex * 1500, name=f"large{i}", role=role)
        promises.note("function", f"large{i}")
    time.sleep(LOAD_S / 2)
    stop.set()
    for load in loads:
        load.join(30)
        assert not load.is_alive()
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
    acknowledged = sum(kind in ("event", "object") for _, kind, _ in promises.made)
    print(f"{CUTS} cuts of a log of {len(replay)} records: {acknowledged} acknowledgements, 0 lost")
    assert len(seen) == CUTS and max(seen) > acknowledged / 2 and acknowledged > 50
