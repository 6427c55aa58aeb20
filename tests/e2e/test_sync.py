"""A tree goes up and comes down byte for byte, also when its client is killed on the way and starts again.

The short form is part of the suite; PERILUNE_SYNC=long (make sync-long) is 3,000 files of 0 B to 50 MB and prints its
figures."""
import os
import pathlib
import shutil
import subprocess
import time

import pytest

from conftest import aws_programs
from perilune import eventually, unique
from test_s3 import keys
from test_s3_clients import rclone
from trees import digests, make_tree

LONG = os.environ.get("PERILUNE_SYNC") == "long"
FILES, LARGEST, TIMEOUT = (3000, 50_000_000, 540) if LONG else (300, 20_000_000, 60)
AWS = aws_programs()


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return make_tree(tmp_path_factory.mktemp("tree"), FILES, LARGEST, seed=7)


def figure(what, began, top):
    if LONG:
        size = sum(p.stat().st_size for p in pathlib.Path(top).rglob("*") if p.is_file())
        print(f"\n{what}: {time.monotonic() - began:.1f} s ({size / 1e6:.0f} MB)")


def killed_midway(server, program, *args, when):
    """Starts a sync and kills it when `when()` says so; true when it was still at work."""
    p = subprocess.Popen([program, "--endpoint-url", server.url, "s3", "sync", *args, "--only-show-errors"], env=server.aws_env(), start_new_session=True)
    try:
        eventually(lambda: when() or p.poll() is not None, TIMEOUT)
        return p.poll() is None
    finally:
        p.kill()
        p.wait()


@pytest.mark.rclone
@pytest.mark.skipif(not shutil.which("rclone"), reason="rclone is not installed")
@pytest.mark.parametrize("program", [pytest.param(path, marks=getattr(pytest.mark, mark), id=mark) for mark, path in sorted(AWS.items())][:None if LONG else 1])
def test_sync(server, tree, tmp_path, program):
    s3, b, back = server.client("s3"), unique("sync"), tmp_path / "back"
    s3.create_bucket(Bucket=b)
    want = digests(tree)
    assert len(want) == FILES

    assert killed_midway(server, program, str(tree), f"s3://{b}", when=lambda: len(keys(s3, b)) > FILES / 5)
    assert len(keys(s3, b)) < FILES
    began = time.monotonic()
    server.aws(program, "s3", "sync", str(tree), f"s3://{b}", "--only-show-errors", timeout=TIMEOUT)
    figure(f"{program} up", began, tree)
    assert set(keys(s3, b)) == set(want)
    assert "0 differences found" in rclone(server, "check", str(tree), f"p:{b}").stderr

    files = lambda: sum(1 for p in back.rglob("*") if p.is_file())
    assert killed_midway(server, program, f"s3://{b}", str(back), when=lambda: files() > FILES / 5)
    began = time.monotonic()
    server.aws(program, "s3", "sync", f"s3://{b}", str(back), "--only-show-errors", timeout=TIMEOUT)
    figure(f"{program} down", began, back)
    got = digests(back)
    assert {name: got.get(name) for name in want} == want
    # what the killed client left is its own temporary files and uploads, none of them an object
    assert all(name.rsplit(".", 1)[0] in want for name in set(got) - set(want))
    assert server.aws(program, "s3", "sync", str(tree), f"s3://{b}", "--dryrun", timeout=TIMEOUT).stdout == ""
    if LONG:
        began = time.monotonic()
        assert "0 differences found" in rclone(server, "check", str(tree), f"p:{b}", "--download").stderr
        figure("rclone check --download", began, tree)


def rclone_sync(server, tree, tmp_path):
    s3, b = server.client("s3"), unique("sync")
    s3.create_bucket(Bucket=b)
    began = time.monotonic()
    rclone(server, "sync", str(tree), f"p:{b}", "--transfers", "8")
    figure("rclone up", began, tree)
    began = time.monotonic()
    rclone(server, "sync", f"p:{b}", str(tmp_path / "back"), "--transfers", "8")
    figure("rclone down", began, tree)
    assert digests(tmp_path / "back") == digests(tree) and len(keys(s3, b)) == FILES


if LONG:
    test_rclone_sync = pytest.mark.rclone(rclone_sync)
