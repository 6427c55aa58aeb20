"""kill -9 and power cuts amid many multipart uploads: what was answered 200 is whole by ETag and checksum, nothing is
half visible, parts that were answered are there, and after a start no blob is left that nothing refers to.

`make fault-multipart` runs the long form: 50 kills of 64 uploads at a time, 500 cuts."""
import base64
import hashlib
import os
import random
import signal
import subprocess
import threading
import time
import zlib

import powercut
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from perilune import Server, eventually
from traffic import FAULT, figure

pytestmark = pytest.mark.boto3
KILLS = int(os.environ.get("MULTIPART_KILLS", "3"))
UPLOADS = int(os.environ.get("MULTIPART_UPLOADS", "16"))
CUTS = int(os.environ.get("MULTIPART_CUTS", "36"))
SEED = os.environ.get("MULTIPART_SEED", "1")
LOAD_S = float(os.environ.get("MULTIPART_LOAD_S", "0.7"))
STARTS = 2
BIG = 5 << 20
NOISE = random.Random(5).randbytes(BIG + (1 << 20))


def bytes_of(at, size):
    return NOISE[at:at + size]


def md5(data):
    return hashlib.md5(data).hexdigest()


class Upload:
    """One upload and what was said of it."""

    def __init__(self, rng):
        self.key, self.id, self.state = f"k{rng.getrandbits(60):x}", None, "beginning"
        self.tried, self.sent = {}, {}  # by number: hashes of all that was sent; the body that was answered last
        self.checked = rng.random() < 0.5  # with a CRC-32
        self.fate = rng.choices(("done", "aborted", "open"), (8, 1, 1))[0]
        sizes = {n: rng.choice((10, 3000, 40000, 150000)) for n in rng.sample(range(2, 30), rng.randint(1, 3))}
        last = max(sizes)
        self.chosen = [last]  # small parts can only be last: the others are left out and must be removed
        again = [(rng.choice(list(sizes)), rng.choice((20, 50000)))] if rng.random() < 0.3 else []
        if rng.random() < 0.08:
            sizes[last - 1] = BIG + rng.randint(0, 5000)
            self.chosen, again = [last - 1, last], []
        self.plan = list(sizes.items()) + again
        rng.shuffle(self.plan)
        self.rng = random.Random(rng.random())

    def run(self, s3, bucket, note):
        name = dict(Bucket=bucket, Key=self.key)
        extra = {"ChecksumAlgorithm": "CRC32"} if self.checked else {}
        self.id = s3.create_multipart_upload(**name, **extra)["UploadId"]
        self.state = "open"
        note(self, "begun")
        for number, size in self.plan:
            body = bytes_of(self.rng.randrange(1 << 20), size)
            self.tried.setdefault(number, []).append(md5(body))
            r = s3.upload_part(**name, UploadId=self.id, PartNumber=number, Body=body, **extra)
            assert r["ETag"] == f'"{md5(body)}"'
            self.sent[number] = body
            note(self, "part", number, md5(body))
        if self.fate == "aborted":
            self.state = "aborting"
            note(self, "aborting")
            s3.abort_multipart_upload(**name, UploadId=self.id)
            self.state = "aborted"
            note(self, "aborted")
        elif self.fate == "done":
            self.state = "completing"
            note(self, "completing")
            assert self.complete(s3, bucket)["ETag"] == self.etag
            self.state = "done"
            note(self, "done")

    def complete(self, s3, bucket):
        parts = [{"PartNumber": n, "ETag": f'"{md5(self.sent[n])}"'} for n in self.chosen]
        for p in parts if self.checked else ():
            p["ChecksumCRC32"] = base64.b64encode(zlib.crc32(self.sent[p["PartNumber"]]).to_bytes(4, "big")).decode()
        return s3.complete_multipart_upload(Bucket=bucket, Key=self.key, UploadId=self.id, MultipartUpload={"Parts": parts})

    @property
    def body(self):
        return b"".join(self.sent[n] for n in self.chosen)

    @property
    def etag(self):
        digests = b"".join(hashlib.md5(self.sent[n]).digest() for n in self.chosen)
        return f'"{md5(digests)}-{len(self.chosen)}"'

    @property
    def checksum(self):
        crcs = b"".join(zlib.crc32(self.sent[n]).to_bytes(4, "big") for n in self.chosen)
        return f'{base64.b64encode(zlib.crc32(crcs).to_bytes(4, "big")).decode()}-{len(self.chosen)}'

    def check_object(self, s3, bucket):
        r = s3.get_object(Bucket=bucket, Key=self.key, ChecksumMode="ENABLED")
        assert r["Body"].read() == self.body and r["ETag"] == self.etag
        assert r.get("ChecksumCRC32") == (self.checksum if self.checked else None)

    def listed(self, s3, bucket):
        r = s3.list_parts(Bucket=bucket, Key=self.key, UploadId=self.id)
        return {p["PartNumber"]: p["ETag"].strip('"') for p in r.get("Parts", [])}


class Load(threading.Thread):
    """Uploads until told to stop, or until the server dies."""

    def __init__(self, s3, bucket, stop, seed, note=lambda *_: None):
        super().__init__(daemon=True)
        self.s3, self.bucket, self.stop, self.rng, self.note = s3, bucket, stop, random.Random(seed), note
        self.uploads, self.failed = [], None

    def run(self):
        while not self.stop.is_set():
            self.uploads.append(Upload(self.rng))
            try:
                self.uploads[-1].run(self.s3, self.bucket, self.note)
            except (BotoCoreError, ClientError, OSError) as e:  # the server is being killed under us
                code = e.response["ResponseMetadata"]["HTTPStatusCode"] if isinstance(e, ClientError) else 500
                if code < 500:
                    self.failed = e
                return
            except AssertionError as e:
                self.failed = e
                return


def exists(s3, bucket, key):
    try:
        s3.head_object(Bucket=bucket, Key=key)
        return True
    except ClientError as e:
        assert e.response["ResponseMetadata"]["HTTPStatusCode"] == 404
        return False


def check_after_kill(s3, bucket, u):
    """What clients were told of u is so; whatever was cut off is one of its two ends."""
    if u.state == "beginning":
        return
    if u.state == "done" or (u.state == "completing" and exists(s3, bucket, u.key)):
        u.check_object(s3, bucket)
        assert u.complete(s3, bucket)["ETag"] == u.etag  # asked again
        return
    assert not exists(s3, bucket, u.key), f"half visible: {u.state}"
    try:
        listed = u.listed(s3, bucket)
        assert u.state != "aborted"
    except ClientError as e:
        assert e.response["Error"]["Code"] == "NoSuchUpload" and u.state in ("aborted", "aborting")
        return
    for number, body in u.sent.items():
        tried = u.tried[number]
        assert listed.get(number) in tried[tried.index(md5(body)):], (number, u.state)
    if u.state == "completing":
        u.complete(s3, bucket)
        u.check_object(s3, bucket)
    else:
        s3.abort_multipart_upload(Bucket=bucket, Key=u.key, UploadId=u.id)


def inspect(folder, *flags):
    env = dict(os.environ, ASAN_OPTIONS="detect_leaks=0")
    r = subprocess.run([FAULT / "inspect", folder, *flags], env=env, capture_output=True, text=True, timeout=60)
    assert r.returncode == 0, r.stderr
    return [line.split(" ") for line in r.stdout.splitlines()]


def files_of(data):
    return sum(len(files) for _, _, files in os.walk(data / "blobs"))


def quiet(data):
    """Waits until no more files go."""
    last = [None, 0]

    def same():
        now = files_of(data)
        last[1] = last[1] + 1 if now == last[0] else 0
        last[0] = now
        return last[1] > 10
    eventually(same, 20, 0.03)


def test_kills(own_server):
    server, bucket, told = own_server(), "multi", {"done": 0, "open": 0, "parts": 0, "cut off": 0}
    config = dict(max_pool_connections=UPLOADS + 4, connect_timeout=2, read_timeout=20)
    server.client("s3").create_bucket(Bucket=bucket)
    for kill in range(KILLS):
        stop, s3 = threading.Event(), server.client("s3", **config)
        loads = [Load(s3, bucket, stop, f"{SEED}/{kill}/{i}") for i in range(UPLOADS)]
        for load in loads:
            load.start()
        eventually(lambda: sum(u.state == "done" for load in loads for u in list(load.uploads)) > 1, 60)  # where there is little to be had
        time.sleep(random.uniform(0, LOAD_S))
        server.kill()
        stop.set()
        for load in loads:
            load.join(30)
            assert not load.is_alive() and load.failed is None, load.failed
        server.start()
        s3, checks = server.client("s3", **config), [u for load in loads for u in load.uploads]
        for u in checks:
            check_after_kill(s3, bucket, u)
            told["done"] += u.state == "done"
            told["cut off"] += u.state not in ("done", "aborted", "open")
            told["open"] += u.state == "open"
            told["parts"] += len(u.sent)
        for x in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []):  # begun, and the answer was lost
            assert x["Key"] in {u.key for u in checks if u.state == "beginning"}
            s3.abort_multipart_upload(Bucket=bucket, Key=x["Key"], UploadId=x["UploadId"])
    quiet(server.data)
    server.kill()
    seen = inspect(server.data, "--as-is")
    objects = {line[2]: line[3] for line in seen if line[0] == "object"}
    assert set(objects.values()) <= {"ok"} and len(objects) >= told["done"]
    assert [line for line in seen if line[0] in ("blobs", "upload")] == [["blobs", "ok"]]
    figure("D6", f"{KILLS} kills of {UPLOADS} uploads at a time: {told['done']} completed, {told['parts']} parts, "
          f"{told['open']} open and {told['cut off']} cut off: 0 lost, 0 half visible, 0 orphans")
    assert told["done"] > KILLS and told["cut off"] > 0


def test_stop_at_once(own_server):
    """Two signals: what is under way is dropped, and nothing is touched that is gone."""
    server, stop = own_server(), threading.Event()
    s3 = server.client("s3", max_pool_connections=20, connect_timeout=2, read_timeout=20)
    s3.create_bucket(Bucket="multi")
    loads = [Load(s3, "multi", stop, f"{SEED}/{i}") for i in range(8)]
    for load in loads:
        load.start()
    time.sleep(0.4)
    server.proc.send_signal(signal.SIGTERM)
    time.sleep(0.02)
    server.proc.send_signal(signal.SIGTERM)
    stop.set()
    assert server.proc.wait(20) == 0, server.stderr()
    assert "Sanitizer" not in server.stderr()
    server.start()
    for load in loads:
        load.join(30)
        for u in load.uploads:
            if u.state == "done":
                u.check_object(s3, "multi")


# --- power cuts -----------------------------------------------------------------------------------------


class Promises:
    """What clients were told or had asked for, each with the length of the log at that moment."""

    def __init__(self, log):
        self.log, self.lock, self.made = log, threading.Lock(), []

    def note(self, upload, what, *more):
        position = self.log.stat().st_size
        with self.lock:
            self.made.append((position, upload, what, *more))


def check_cut(promises, folder, position):
    told, count = {}, 0
    for at, upload, what, *more in promises.made:
        if at > position:
            continue
        state = told.setdefault(upload, {"what": set(), "parts": {}})
        state["what"].add(what)
        if what == "part":
            state["parts"][more[0]] = more[1]
    seen = inspect(folder)
    objects = {line[2]: line[3] for line in seen if line[0] == "object"}
    open_now = {line[1] for line in seen if line[0] == "upload"}
    parts = {(line[1], int(line[2])): line[3:] for line in seen if line[0] == "part"}
    assert set(objects.values()) <= {"ok"}, objects
    assert {p[0] for p in parts.values()} <= {"ok"}, parts
    assert ["blobs", "ok"] in seen, [line for line in seen if line[0] == "blobs"]
    for u, state in told.items():
        what = state["what"]
        if "done" in what:
            assert u.key in objects, "a completed upload is no object"
            count += 1
        if "aborted" in what:
            assert u.id not in open_now and u.key not in objects
        if "completing" not in what:
            assert u.key not in objects, "an object that nobody had completed"
        if what <= {"begun", "part"}:
            assert u.id in open_now, "an upload is lost"
            for number, digest in state["parts"].items():
                found, tried = parts[u.id, number][1], u.tried[number]
                assert found in tried[tried.index(digest):], "a part is lost, or an older one is there"
            count += len(state["parts"])
    return count


def run_on(promises, folder, position):
    """A server starts on the folder; uploads that are whole can be completed; nothing is left behind."""
    before = {u for at, u, what, *_ in promises.made if at <= position and what == "done"}
    with Server(data=folder) as s:
        s3 = s.client("s3")
        for u in before:
            u.check_object(s3, "cuts")
        listed = s3.get_paginator("list_multipart_uploads").paginate(Bucket="cuts")
        for x in [x for page in listed for x in page.get("Uploads", [])]:
            s3.abort_multipart_upload(Bucket="cuts", Key=x["Key"], UploadId=x["UploadId"])
        quiet(s.data)
        assert s.stop() == 0, s.stderr()
    assert ["blobs", "ok"] in inspect(folder, "--as-is")


def test_cuts(own_server, fast_dir):
    data, log = fast_dir / "data", fast_dir / "log"
    promises, stop = Promises(log), threading.Event()
    server = own_server(data=str(data), env={
        "LD_PRELOAD": str(FAULT / "shim.so"), "POWERCUT_DIR": str(data), "POWERCUT_LOG": str(log),
        "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"})
    s3 = server.client("s3", max_pool_connections=20)
    s3.create_bucket(Bucket="cuts")
    start = log.stat().st_size
    loads = [Load(s3, "cuts", stop, f"{SEED}/{i}", promises.note) for i in range(8)]
    for load in loads:
        load.start()
    time.sleep(LOAD_S)
    stop.set()
    for load in loads:
        load.join(60)
        assert not load.is_alive() and load.failed is None, load.failed
    server.kill()
    replay, seen = powercut.Log(log), []

    def check(folder, position, describe):
        if position < start:
            return
        try:
            seen.append(check_cut(promises, folder, position))
            if len(seen) % (CUTS // STARTS) == 0:
                run_on(promises, folder, position)
        except AssertionError as e:
            raise AssertionError(f"{describe}: {e}") from None
    powercut.cut_many(replay, CUTS, SEED, str(fast_dir), check, [at for at, *_ in promises.made])
    done = sum(what == "done" for _, _, what, *_ in promises.made)
    figure("D6", f"{len(seen)} power cuts of a log of {len(replay)} records, {replay.end >> 20} MiB: {done} uploads completed, 0 lost")
    assert len(seen) > CUTS * 0.9 and done > 10 and max(seen) > done / 2
