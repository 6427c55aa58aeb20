"""Backups taken while everything changes: each is whole, restores into a folder of its own, verifies, and serves all that
was acknowledged before it began; scrub finds what the disk has changed behind the server's back.

BACKUPS is how many are taken under load (`make fault`: 100)."""
import hashlib
import io
import json
import os
import pathlib
import random
import subprocess
import tarfile
import threading
import time
import uuid

import pytest

from perilune import BINARY, Server, eventually
from traffic import BUCKET, Found, Load, Traffic, Wire, etag_of, figure, prepare, spread, unexecuted

pytestmark = pytest.mark.cli
BACKUPS = int(os.environ.get("BACKUPS", "3"))


def local(*args, stdin=None, check=True):
    """The command without any server in its environment."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "PERILUNE_"))}
    r = subprocess.run([str(BINARY), *map(str, args)], env=env, input=stdin, capture_output=True, timeout=120)
    if check and r.returncode:
        raise AssertionError(f"perilune {args}: exit {r.returncode}\n{r.stderr.decode()}")
    return r


class Remover(threading.Thread):
    """Deletes what is older, so that files go all the time while backups look at them."""

    def __init__(self, server, traffic, stop):
        super().__init__(daemon=True)
        self.wire, self.traffic, self.stop, self.gone = Wire(server), traffic, stop, set()
        self.start()

    def run(self):
        while not self.stop.is_set():
            for load in self.traffic.loads:
                names = [n for n, kind in list(load.told.items()) if kind != "event" and n not in self.gone and random.random() < 0.05]
                for name in names[:20]:
                    self.gone.add(name)  # before it is so: a backup may have it or not
                    assert self.wire.delete(name).status == 204
            time.sleep(0.02)


def objects_of(found):
    return {name for name, verdict in found.objects.items() if verdict == "ok"}


def check_copy(folder, told, gone, etags, serve):
    found = Found(folder)
    assert set(found.objects.values()) <= {"ok"} and set(found.functions.values()) == {"ok"}
    for name, kind in told.items():
        if name not in gone:
            assert kind == "event" or name in found.objects, f"{kind} {name} was acknowledged before the backup began"
            assert name in found.done or name in found.queued, f"the event of {kind} {name} is neither queued nor done"
    if not serve:
        return
    assert b" 0 damaged" in local("scrub", "--data", folder).stdout
    with Server(data=folder) as s:
        names = [n for n in told if n not in gone]
        # an upload's event fails when its object was deleted later: those are not asked for
        eventually(lambda: not unexecuted(s, names)[0], 120, 0.2)
        wire = Wire(s)
        for name in random.sample(names, min(40, len(names))):
            if told[name] != "event":
                assert wire.get(name).headers["etag"] == etags[name]
        assert s.stop(120) == 0, s.stderr()


def test_under_load(own_server, tmp_path):
    server, took, sizes, stop = own_server(), [], [], threading.Event()
    prepare(server)
    traffic = Traffic(server, 3, {"event": 2, "object": 3, "parts": 1}, pause=0.002)
    remover = Remover(server, traffic, stop)
    eventually(lambda: traffic.acknowledged() > 200, 60)
    for i in range(BACKUPS):
        file, folder = tmp_path / f"b{i}", tmp_path / f"data{i}"
        told = {n: k for load in traffic.loads for n, k in list(load.told.items())}
        began = time.monotonic()
        report = json.loads(server.cli("backup", str(file), "--json").stdout)
        took.append(time.monotonic() - began)
        sizes.append(file.stat().st_size)
        assert report["blobs"] > 0 and report["key"] and file.stat().st_mode & 0o777 == 0o600
        local("restore", "--check", file)
        local("restore", file, "--data", folder)
        file.unlink()
        check_copy(folder, told, set(remover.gone), traffic.etags(), serve=i % 10 == 0)
        subprocess.run(["rm", "-rf", str(folder)], check=True)
    stop.set()
    remover.join(60)
    told = traffic.end()
    assert not remover.is_alive() and not traffic.refused() and not traffic.lost()
    # what was deleted during a backup goes after it
    server.cli("scrub")
    assert server.stop() == 0
    blobs = {f for _, _, names in os.walk(server.data / "blobs") for f in names}
    assert "ok" in Found(server.data).blobs, len(blobs)
    figure("D8", f"{BACKUPS} backups under load ({len(told)} acknowledged, {len(remover.gone)} deleted meanwhile): all restored, verified and served, "
           f"0 lost; {sum(sizes) / len(sizes) / 1e6:.1f} MB each in {spread(took)}")


@pytest.fixture(scope="module")
def small():
    """A server with a little of everything, and its backup."""
    with Server() as s:
        prepare(s)
        wire = Wire(s)
        s.bodies = {"inline": b"x" * 100, "file": os.urandom(200000), "deep/" + "k" * 300: os.urandom(50000)}
        for name, body in s.bodies.items():
            assert wire.put(name, body).status == 200
        assert wire.multipart("parts", b"p" * 60000).status == 200
        s.make_function("return { main = function() print('hello') return 1 end } -- " + random.Random(1).randbytes(30000).hex(), name="large")
        assert s.invoke("large")[0] == 1
        eventually(lambda: any("hello" in line for line in s.log_lines("large")))
        s.cli("secret", "set", "token", stdin="hush")
        s.backup = s.dir / "backup"
        s.cli("backup", str(s.backup))
        yield s


def test_it_is_a_tar(small):
    """Other tools read it too: sums as sha256sum has them, nothing but plain files."""
    with tarfile.open(small.backup) as tar:
        files = {m.name: tar.extractfile(m).read() for m in tar if m.isfile()}
    assert {"perilune-backup", "meta.mdb", "master.key", "SHA256SUMS"} <= set(files)
    assert files["master.key"] == (small.data / "master.key").read_bytes()
    sums = dict(reversed(line.split("  ", 1)) for line in files.pop("SHA256SUMS").decode().splitlines())
    assert sums == {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    assert any(name.startswith("logs/") for name in files)
    assert len([n for n in files if n.startswith("blobs/")]) >= 4


def test_restored_serves(small, tmp_path):
    local("restore", small.backup, "--data", tmp_path / "data")
    with Server(data=tmp_path / "data") as s:
        wire = Wire(s)
        for name, body in small.bodies.items():
            assert wire.get(name).body == body
        assert wire.get("parts").headers["etag"] == etag_of(b"p" * 60000, True)
        assert s.invoke("large")[0] == 1
        assert any("hello" in line for line in s.log_lines("large"))
        assert [x["name"] for x in json.loads(s.cli("secret", "list", "--json").stdout)["secrets"]] == ["token"]
        assert b"0 damaged" in s.cli("scrub").stdout.encode()
        assert s.stop() == 0


def test_through_a_pipe(small, tmp_path):
    r = subprocess.run([str(BINARY), "backup", "-"], env=small.aws_env(), capture_output=True, timeout=60)
    assert r.returncode == 0 and not r.stderr, r.stderr
    local("restore", "-", "--data", tmp_path / "data", stdin=r.stdout)
    assert (tmp_path / "data/meta.mdb").exists()
    assert not list(tmp_path.glob("*.restoring*"))


def test_without_key(small, tmp_path):
    small.cli("backup", str(tmp_path / "b"), "--without-key")
    r = local("restore", tmp_path / "b", "--data", tmp_path / "data")
    assert b"master.key" in r.stderr
    assert not (tmp_path / "data/master.key").exists() and not (tmp_path / "data/root.credentials").exists()
    with pytest.raises(AssertionError, match="master.key is missing"):
        Server(data=tmp_path / "data")
    (tmp_path / "data/master.key").write_bytes((small.data / "master.key").read_bytes())
    with Server(data=tmp_path / "data") as s:
        assert s.invoke("large")[0] == 1


def test_folder_in_use_and_not_empty(small, tmp_path):
    r = local("restore", small.backup, "--data", small.data, check=False)
    assert r.returncode == 5 and b"not empty" in r.stderr
    (tmp_path / "empty").mkdir()
    local("restore", small.backup, "--data", tmp_path / "empty")
    assert local("restore", tmp_path / "nothing", "--data", tmp_path / "x", check=False).returncode == 3
    assert local("restore", small.backup, check=False).returncode == 2


def test_no_server(small, tmp_path):
    """The same from the folder alone."""
    local("restore", small.backup, "--data", tmp_path / "data")
    local("backup", tmp_path / "again", "--data", tmp_path / "data")
    local("restore", "--check", tmp_path / "again")
    local("restore", tmp_path / "again", "--data", tmp_path / "twice")
    with Server(data=tmp_path / "twice") as s:
        assert Wire(s).get("file").body == small.bodies["file"]
    r = local("backup", tmp_path / "b", "--data", tmp_path / "nowhere", check=False)
    assert r.returncode == 3 and not list(tmp_path.glob("b*"))


def test_who_may(small):
    iam = small.client("iam")
    iam.create_user(UserName="ada")
    key = iam.create_access_key(UserName="ada")["AccessKey"]
    env = dict(small.aws_env(), AWS_ACCESS_KEY_ID=key["AccessKeyId"], AWS_SECRET_ACCESS_KEY=key["SecretAccessKey"])
    for args in (["backup", "-"], ["scrub"]):
        r = subprocess.run([str(BINARY), *args], env=env, capture_output=True, timeout=60)
        assert r.returncode == 4 and not r.stdout and b"perilune:" in r.stderr, r.stderr


def variants(whole):
    """Archives that are none any more, each with a name."""
    yield "empty", b""
    yield "cut off", whole[:len(whole) // 2]
    yield "its end is missing", whole[:-8192]
    for i in (700, len(whole) // 3, len(whole) - 20000):
        yield f"byte {i}", whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1:]
    for name in ("../evil", "/tmp/evil", "blobs/00/../../evil", "logs/../evil/x", "lock", "tmp/x"):
        yield name, with_file(whole, name)
    yield "a link", with_file(whole, "root.credentials", tarfile.SYMTYPE)
    yield "another tar", with_file(None, "x")


def with_file(whole, name, kind=tarfile.REGTYPE):
    """The archive with one more file in it, and sums that are right."""
    out, sums = io.BytesIO(), ""
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        files = []
        if whole:
            with tarfile.open(fileobj=io.BytesIO(whole)) as old:
                files = [(m.name, old.extractfile(m).read()) for m in old if m.name not in (name, "SHA256SUMS")]
        for n, data in [*files, (name, b"evil")]:
            info = tarfile.TarInfo(n)
            info.size = len(data)
            if n == name:
                info.type, info.linkname = kind, "/etc/passwd" if kind == tarfile.SYMTYPE else ""
                info.size = 0 if kind == tarfile.SYMTYPE else len(data)
            tar.addfile(info, io.BytesIO(data))
            sums += f"{hashlib.sha256(data).hexdigest()}  {n}\n"
        info = tarfile.TarInfo("SHA256SUMS")
        info.size = len(sums)
        tar.addfile(info, io.BytesIO(sums.encode()))
    return out.getvalue()


def test_hostile_and_damaged(small, tmp_path):
    whole = small.backup.read_bytes()
    base = tmp_path / "a/b"
    base.mkdir(parents=True)
    for name, data in variants(whole):
        (base / "bad").write_bytes(data)
        for args in (["--check"], ["--data", base / "data"]):
            r = local("restore", base / "bad", *args, check=False)
            assert r.returncode == 1 and r.stderr, (name, args, r)
        assert sorted(p.name for p in base.iterdir()) == ["bad"], name
        assert sorted(p.name for p in tmp_path.iterdir()) == ["a"], name
    assert not pathlib.Path("/tmp/evil").exists()


# --- scrub --------------------------------------------------------------------------------------------


def scrub(server, code=0):
    r = server.cli("scrub", "--json", check=False)
    assert r.returncode == code, r.stderr
    return json.loads(r.stdout)


def blobs(server):
    return sum(len(names) for _, _, names in os.walk(server.data / "blobs"))


def blob_of(server, body):
    return next(p for p in (server.data / "blobs").rglob("*") if p.is_file() and p.read_bytes() == body)


def test_scrub_finds_damage(own_server, tmp_path):
    server = own_server()
    prepare(server)
    wire, bodies = Wire(server), {f"k{i}": os.urandom(50000 + i) for i in range(4)}
    for name, body in bodies.items():
        assert wire.put(name, body).status == 200
    upload = server.client("s3").create_multipart_upload(Bucket=BUCKET, Key="open")["UploadId"]
    part = os.urandom(70000)
    server.client("s3").upload_part(Bucket=BUCKET, Key="open", UploadId=upload, PartNumber=3, Body=part)
    assert wire.multipart("parts", os.urandom(40000)).status == 200
    clean = scrub(server)
    assert clean["objects"] == 5 and clean["parts"] == 2 and clean["packages"] == 2 and clean["damaged"] == 0 and clean["findings"] == []
    assert clean["bytes"] > 300000
    for path, change in ((blob_of(server, bodies["k0"]), lambda b: b[:100] + bytes([b[100] ^ 4]) + b[101:]),
                         (blob_of(server, bodies["k1"]), lambda b: b[:-1]), (blob_of(server, part), lambda b: b"y" + b[1:])):
        path.write_bytes(change(path.read_bytes()))
    blob_of(server, bodies["k2"]).unlink()
    found = {x["name"]: (x["kind"], x["why"]) for x in scrub(server, 1)["findings"]}
    assert found[f"s3://{BUCKET}/k0"] == ("object", "its bytes are not those that were stored")
    assert found[f"s3://{BUCKET}/k1"] == ("object", "its file has another size")
    assert found[f"s3://{BUCKET}/k2"] == ("object", "its file is missing")
    assert found["open, part 3"][0] == "upload" and len(found) == 4
    # such a store gives no backup that hides it; without those objects it does
    r = server.cli("backup", str(tmp_path / "b"), check=False)
    assert r.returncode == 1 and "scrub" in r.stderr and not list(tmp_path.glob("b*"))
    for name in ("k0", "k1", "k2"):
        assert wire.delete(name).status == 204
    server.client("s3").abort_multipart_upload(Bucket=BUCKET, Key="open", UploadId=upload)
    eventually(lambda: scrub(server, 0)["damaged"] == 0)
    server.cli("backup", str(tmp_path / "b"))


def test_scrub_removes_orphans(own_server):
    server = own_server()
    prepare(server)
    assert Wire(server).put("kept", os.urandom(50000)).status == 200

    def leave(name):
        path = server.data / "blobs" / name[-2:] / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"lost")
        os.chmod(path, 0o666)
        os.chmod(path.parent, 0o777)
        return path

    server.stop()
    last = leave("00000100000000ff")
    server.start()  # what an earlier boot left is nobody's: a sweep of its own removes it, this one at its end
    eventually(lambda: not last.exists())
    orphan, other = leave("0000010000000007"), server.data / "blobs/07/notes.txt"
    other.write_bytes(b"mine")
    assert scrub(server)["orphans"] == 1
    assert not orphan.exists() and other.exists() and Wire(server).get("kept").status == 200
    assert scrub(server)["orphans"] == 0


def test_one_at_a_time_and_stopping(own_server):
    """A client that takes nothing holds a backup open; another is told so; the server stops all the same."""
    server = own_server()
    prepare(server)
    wire = Wire(server)
    for i in range(8):
        assert wire.put(f"large{i}", os.urandom(3 << 20)).status == 200
    head = server.sign("GET", "/perilune/v1/backup", service="perilune")
    with server.raw("GET /perilune/v1/backup HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in head.items()) + "\r\n") as raw:
        status, headers = raw.head()
        assert status == 200 and headers["content-type"] == "application/x-tar"
        r = server.cli("scrub", check=False)
        assert r.returncode == 5 and "under way" in r.stderr
        # deletes and writes go on; a deleted object's file stays for the backup
        assert wire.delete("large7").status == 204 and wire.put("new", os.urandom(100000)).status == 200
        assert wire.get("large7").status == 404 and blobs(server) == 9
        assert server.stop() == 0, server.stderr()
    server.start()
    assert wire.get("large7") is None or wire.get("large7").status == 404
    scrub(server)
    assert blobs(server) == 8  # seven large ones and the new one
    with server.raw("GET /perilune/v1/backup HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in server.sign(
            "GET", "/perilune/v1/backup", service="perilune").items()) + "\r\n") as raw:
        assert raw.head()[0] == 200
    # a client that went away ends it
    eventually(lambda: server.cli("scrub", check=False).returncode == 0, 30, 0.1)
    assert not list((server.data / "tmp").iterdir())
