"""packaging/demo.sh, the part of `make demo` after set-up and build, in a build folder and on a port of its own."""
import os
import re
import shutil
import subprocess

import pytest

import pictures
from perilune import BINARY, TOP, Server, free_port

pytestmark = pytest.mark.cli


def aws_less():
    return {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "PERILUNE_"))}


@pytest.fixture
def demo(tmp_path):
    build = tmp_path / "build"
    build.mkdir()
    shutil.copy(BINARY, build / "perilune")
    listen = f"127.0.0.1:{free_port()}"

    def run(action, **env):
        env = dict(aws_less(), BUILD=str(build), LISTEN=listen, **env)
        return subprocess.run([str(TOP / "packaging" / "demo.sh"), action], env=env, capture_output=True, text=True, timeout=120)
    run.build, run.listen, run.data = build, listen, build / "demo" / "data"
    yield run
    run("stop")


def cli(demo, *args):
    env = dict(aws_less(), PERILUNE_ENDPOINT=f"http://{demo.listen}", PERILUNE_DATA=str(demo.data))
    return subprocess.run([str(demo.build / "perilune"), *args], env=env, capture_output=True, text=True, timeout=60)


def line_of(r):
    assert r.returncode == 0, r.stdout + r.stderr
    assert re.search(r"demo: \d+ ms from the upload's start to the line", r.stdout)
    return [l for l in r.stdout.splitlines() if l.startswith("  uploaded {")][0]


def test_the_whole_story(demo, tmp_path):
    first = demo("start")
    line = line_of(first)
    assert re.search(r"^  http://127\.0\.0\.1:\d+/#link=[\w-]{43}$", first.stdout, re.M) or "no console: its port was taken" in first.stdout
    assert all(w in line for w in ('"png"', "640", "400", "moonrise.png")), line
    pid = (demo.build / "demo" / "pid").read_text()

    picture = tmp_path / "it's a 50% picture.jpg"
    picture.write_bytes(pictures.jpeg(123, 45))
    r = demo("start", PICTURE=str(picture), KEY="pets/my cat+1 ü'$.jpg")
    line = line_of(r)
    assert all(w in line for w in ('"jpeg"', "123", "45", "pets/my cat+1 ü'$.jpg")), line
    assert (demo.build / "demo" / "pid").read_text() == pid, "the same server"
    assert str(demo.data) in r.stdout

    if shutil.which("aws"):  # the line to try next works as printed, even with another cloud's keys about
        r = demo("start", AWS_ACCESS_KEY_ID="AKIAOTHER", AWS_PROFILE="none")
        printed = ([l for l in r.stdout.splitlines() if " aws " in l] or [r.stdout + r.stderr])[0]
        env = dict(os.environ, AWS_ACCESS_KEY_ID="AKIAOTHER", AWS_PROFILE="none", AWS_PAGER="")
        out = subprocess.run(["bash", "-c", printed], env=env, capture_output=True, text=True, timeout=60)
        assert out.returncode == 0 and "moonrise.png" in out.stdout, (printed, out.stderr)

    r = cli(demo, "aws", "s3api", "put-bucket-notification-configuration", "--bucket", "uploads", "--notification-configuration", "{}")
    if r.returncode == 0:
        before = cli(demo, "logs", "s3-upload").stdout.count("uploaded {")
        assert cli(demo, "bucket", "cp", str(picture), "s3://uploads/unseen.jpg").returncode == 0
        line_of(demo("start", KEY="seen again.png"))  # this one is seen, and it came later
        assert "unseen.jpg" not in cli(demo, "logs", "s3-upload").stdout
        assert before > 0

    assert "stopped" in demo("stop").stdout
    assert cli(demo, "status").returncode == 6
    assert "no server" in demo("stop").stdout
    line_of(demo("start"))


def test_a_rebuilt_program_is_started_anew(demo):
    line_of(demo("start"))
    pid = (demo.build / "demo" / "pid").read_text()
    (demo.build / "perilune").unlink()
    shutil.copy(BINARY, demo.build / "perilune")
    r = demo("start")
    line_of(r)
    assert "rebuilt" in r.stdout and (demo.build / "demo" / "pid").read_text() != pid


def test_two_at_once(demo):
    env = dict(aws_less(), BUILD=str(demo.build), LISTEN=demo.listen)
    both = [subprocess.Popen([str(TOP / "packaging" / "demo.sh"), "start"], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            for _ in range(2)]
    for p in both:
        out, _ = p.communicate(timeout=120)
        assert p.returncode == 0, out


def test_what_goes_wrong_is_said(demo, tmp_path):
    r = demo("start", PICTURE=str(tmp_path / "none.png"))
    assert r.returncode != 0 and "none.png" in r.stderr
    assert demo("nonsense").returncode != 0
    with Server() as other:
        env = dict(aws_less(), BUILD=str(demo.build), LISTEN=f"127.0.0.1:{other.port}")
        r = subprocess.run([str(TOP / "packaging" / "demo.sh"), "start"], env=env, capture_output=True, text=True, timeout=60)
        assert r.returncode != 0 and "another server" in r.stderr
        assert other.healthz()[0] == 200
