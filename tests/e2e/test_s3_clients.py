"""The tools people have: aws s3, rclone and s3cmd, against one server.

They start often and wait long, so each goes its way through its own buckets beside the others; a test waits for one."""
import concurrent.futures
import json
import os
import pathlib
import random
import shutil
import subprocess
import urllib.request

import pytest

from conftest import aws_programs
from perilune import ACCESS_KEY, REGION, SECRET_KEY, Server, unique
from test_s3 import keys
from trees import digests, make_tree

AWS = aws_programs()


def aws_marks():
    return [pytest.param(path, marks=getattr(pytest.mark, mark), id=mark) for mark, path in sorted(AWS.items())]


DOMAIN = "buckets.test"


@pytest.fixture(scope="module")
def server():
    with Server("--domain", DOMAIN) as s:
        yield s
        assert s.stop() == 0, s.stderr()


@pytest.fixture(scope="module")
def s3(server):
    return server.client("s3")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return make_tree(tmp_path_factory.mktemp("tree"), 45, 9_000_000)


@pytest.fixture(scope="module")
def ways(server, s3, tree, tmp_path_factory):
    """{name: the future of that client's way}."""
    own = lambda: tmp_path_factory.mktemp("way")
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        started = {program: pool.submit(way_of_aws, server, s3, program, own(), tree) for program in AWS.values()}
        if shutil.which("s3cmd"):
            started["s3cmd"] = pool.submit(way_of_s3cmd, server, s3, own(), tree)
        if shutil.which("rclone"):
            started |= {provider: pool.submit(way_of_rclone, server, s3, provider, own(), tree) for provider in ("Other", "AWS")}
        yield started


def write(path, size, seed=0):
    path.write_bytes(random.Random(seed).randbytes(size))
    return path


# --- aws s3 -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", aws_marks())
def test_aws_s3(ways, program):
    ways[program].result()


def way_of_aws(server, s3, program, tmp_path, tree):
    aws = lambda *args, **more: server.aws(program, "s3", *args, timeout=240, **more).stdout
    a, b = unique("aws"), unique("aws")
    assert f"make_bucket: {a}" in aws("mb", f"s3://{a}")
    s3.create_bucket(Bucket=b)

    small, large = write(tmp_path / "small.txt", 1000), write(tmp_path / "large.bin", 17_000_000)
    aws("cp", str(small), f"s3://{a}/d/small.txt", "--metadata", "k=v", "--content-type", "text/x")
    aws("mv", str(large), f"s3://{a}/large.bin")
    assert not large.exists() and s3.head_object(Bucket=a, Key="large.bin")["ETag"].endswith('-3"')
    head = s3.head_object(Bucket=a, Key="d/small.txt")
    assert (head["ContentType"], head["Metadata"]) == ("text/x", {"k": "v"})
    listed = aws("ls", f"s3://{a}", "--summarize")
    assert "PRE d/" in listed and "17000000 large.bin" in listed and "Total Size: 17000000" in listed
    aws("mv", f"s3://{a}/d/small.txt", f"s3://{b}/moved ü.txt")
    assert keys(s3, a) == ["large.bin"] and s3.head_object(Bucket=b, Key="moved ü.txt")["Metadata"] == {"k": "v"}
    aws("cp", f"s3://{a}/large.bin", str(large))
    assert large.read_bytes() == write(tmp_path / "again", 17_000_000).read_bytes()
    with urllib.request.urlopen(aws("presign", f"s3://{b}/moved ü.txt", "--expires-in", "60").strip()) as r:
        assert r.read() == small.read_bytes()

    aws("sync", str(tree), f"s3://{a}/tree", "--only-show-errors")
    assert {k[5:] for k in keys(s3, a, Prefix="tree/")} == set(digests(tree))
    if program == list(AWS.values())[0]:  # by the server: parts, a tree
        aws("cp", f"s3://{a}/large.bin", f"s3://{b}/copy.bin")
        assert s3.get_object(Bucket=b, Key="copy.bin")["Body"].read() == large.read_bytes()
        aws("sync", f"s3://{a}/tree", f"s3://{b}/tree", "--only-show-errors")
        assert keys(s3, b, Prefix="tree/") == keys(s3, a, Prefix="tree/")
    else:  # streams, and what is gone here goes there
        aws("cp", "-", f"s3://{a}/stdin", stdin="from a pipe")
        assert aws("cp", f"s3://{a}/stdin", "-") == "from a pipe"
    aws("sync", f"s3://{a}/tree", str(tmp_path / "tree"), "--only-show-errors")
    assert digests(tmp_path / "tree") == digests(tree)
    next((tmp_path / "tree").rglob("*.txt")).unlink()
    # deletes the one, uploads none
    assert aws("sync", str(tmp_path / "tree"), f"s3://{a}/tree", "--delete").count(": s3://") == 1
    assert len(keys(s3, a, Prefix="tree/")) == len(digests(tree)) - 1

    aws("rm", f"s3://{a}", "--recursive", "--only-show-errors")
    assert keys(s3, a) == []
    aws("rb", f"s3://{b}", "--force")
    assert b not in {x["Name"] for x in s3.list_buckets()["Buckets"]}


@pytest.mark.parametrize("program", aws_marks()[:1])
def test_aws_s3_failures(server, s3, program):
    b = unique("aws")
    s3.create_bucket(Bucket=b)
    s3.put_object(Bucket=b, Key="k", Body=b"x")
    for args, text in ((("cp", f"s3://{b}/none", "-"), "404"), (("rb", f"s3://{b}"), "BucketNotEmpty")):
        r = server.aws(program, "s3", *args, check=False)
        assert r.returncode != 0 and text in r.stdout + r.stderr, (args, r)


# --- rclone -------------------------------------------------------------------------------------------


def rclone(server, *args, provider="Other", check=True, stdin=None):
    """For the provider AWS rclone puts the bucket into the host's name: it then takes the server for its proxy."""
    env = dict({k: v for k, v in os.environ.items() if not k.startswith("AWS_")}, RCLONE_CONFIG="/dev/null", RCLONE_CONFIG_P_TYPE="s3", RCLONE_CONFIG_P_PROVIDER=provider,
               RCLONE_CONFIG_P_ACCESS_KEY_ID=ACCESS_KEY, RCLONE_CONFIG_P_SECRET_ACCESS_KEY=SECRET_KEY, RCLONE_CONFIG_P_REGION=REGION,
               RCLONE_RETRIES="1", RCLONE_LOW_LEVEL_RETRIES="1", RCLONE_CONFIG_P_ENDPOINT=server.url)
    if provider == "AWS":
        env.update(RCLONE_CONFIG_P_ENDPOINT=f"http://{DOMAIN}", HTTP_PROXY=server.url)
    r = subprocess.run(["rclone", *args], env=env, input=stdin, capture_output=True, text=True, timeout=540)
    if check and r.returncode:
        raise AssertionError(f"rclone {' '.join(args)}: exit {r.returncode}\n{r.stdout}{r.stderr}")
    return r


@pytest.mark.rclone
@pytest.mark.skipif(not shutil.which("rclone"), reason="rclone is not installed")
@pytest.mark.parametrize("provider", ["Other", "AWS"])
def test_rclone(ways, provider):
    ways[provider].result()


def way_of_rclone(server, s3, provider, tmp_path, tree):
    run = lambda *args, **more: rclone(server, *args, provider=provider, **more)
    b = unique("rclone")
    run("mkdir", f"p:{b}")
    assert b in run("lsd", "p:").stdout
    parts = ["--s3-chunk-size", "5M", "--s3-upload-cutoff", "5M"]
    run("copy", str(tree), f"p:{b}/t", *parts)
    assert "0 differences found" in run("check", str(tree), f"p:{b}/t").stderr
    assert set(run("lsf", "-R", "--files-only", f"p:{b}/t").stdout.split("\n")) - {""} == set(digests(tree))
    again = run("sync", "-v", str(tree), f"p:{b}/t", *parts).stderr
    assert "There was nothing to transfer" in again
    run("copy", f"p:{b}/t", str(tmp_path / "back"))
    assert digests(tmp_path / "back") == digests(tree)
    one = next((tmp_path / "back").rglob("*.bin"))
    assert int(one.stat().st_mtime) == int((tree / one.relative_to(tmp_path / "back")).stat().st_mtime)

    one.unlink()
    (tmp_path / "back" / "new").write_bytes(b"new")
    run("sync", str(tmp_path / "back"), f"p:{b}/t", *parts)
    assert "0 differences found" in run("check", str(tmp_path / "back"), f"p:{b}/t", "--download").stderr
    r = run("check", str(tree), f"p:{b}/t", check=False)
    assert r.returncode == 1 and "2 differences found" in r.stderr

    big = next(p for p in tree.rglob("*") if p.is_file() and p.stat().st_size == 9_000_000).relative_to(tree).as_posix()
    run("moveto", f"p:{b}/t/{big}", f"p:{b}/moved")
    run("copyto", f"p:{b}/moved", f"p:{b}/copied", "--s3-copy-cutoff", "5M", "--s3-chunk-size", "5M")
    want = s3.get_object(Bucket=b, Key="moved")["Body"].read()
    assert want == (tree / big).read_bytes() == s3.get_object(Bucket=b, Key="copied")["Body"].read()
    run("rcat", f"p:{b}/piped", stdin="x" * 1000)
    assert run("cat", f"p:{b}/piped", "--offset", "990").stdout == "x" * 10
    assert json.loads(run("size", "--json", f"p:{b}/piped").stdout)["bytes"] == 1000
    run("touch", f"p:{b}/piped", "-t", "2020-01-02T03:04:05")
    assert s3.head_object(Bucket=b, Key="piped")["Metadata"]["mtime"].startswith("1577934245")
    run("deletefile", f"p:{b}/piped")
    assert run("deletefile", f"p:{b}/piped", check=False).returncode
    run("purge", f"p:{b}")
    assert b not in [x["Name"] for x in s3.list_buckets()["Buckets"]]


# --- s3cmd --------------------------------------------------------------------------------------------


@pytest.mark.s3cmd
@pytest.mark.skipif(not shutil.which("s3cmd"), reason="s3cmd is not installed")
def test_s3cmd(ways):
    ways["s3cmd"].result()


def way_of_s3cmd(server, s3, tmp_path, tree):
    config = tmp_path / "s3cfg"
    host = f"127.0.0.1:{server.port}"
    config.write_text(f"[default]\naccess_key = {ACCESS_KEY}\nsecret_key = {SECRET_KEY}\nhost_base = {host}\nhost_bucket = {host}\n"
                      f"use_https = False\nbucket_location = {REGION}\n")

    def run(*args, check=True):
        r = subprocess.run(["s3cmd", "-c", str(config), "--no-progress", *args], capture_output=True, text=True, timeout=120, env=dict(os.environ, LC_ALL="C.UTF-8"))
        if check and (r.returncode or "WARNING" in r.stderr):
            raise AssertionError(f"s3cmd {' '.join(args)}: exit {r.returncode}\n{r.stdout}{r.stderr}")
        return r.stdout if check else r

    b = unique("s3cmd")
    run("mb", f"s3://{b}")
    assert f"s3://{b}" in run("ls")
    small, large = write(tmp_path / "small.txt", 5000), write(tmp_path / "large.bin", 17_000_000)
    run("put", str(small), f"s3://{b}/d/small ü.txt", "--add-header=x-amz-meta-colour:blue")
    run("put", "--multipart-chunk-size-mb=6", str(large), f"s3://{b}/large.bin")
    assert "DIR" in run("ls", f"s3://{b}") and "17000000" in run("ls", f"s3://{b}/large.bin")
    info = run("info", f"s3://{b}/d/small ü.txt")
    assert "File size: 5000" in info and "x-amz-meta-colour: blue" in info and "root: FULL_CONTROL" in info
    assert "Location:" in run("info", f"s3://{b}")
    run("get", f"s3://{b}/large.bin", str(tmp_path / "back.bin"))
    assert (tmp_path / "back.bin").read_bytes() == large.read_bytes()
    run("cp", f"s3://{b}/large.bin", f"s3://{b}/copy.bin")
    run("mv", f"s3://{b}/d/small ü.txt", f"s3://{b}/moved.txt")
    assert keys(s3, b) == ["copy.bin", "large.bin", "moved.txt"]
    assert s3.get_object(Bucket=b, Key="copy.bin")["Body"].read() == large.read_bytes()
    run("modify", "--add-header=Cache-Control:no-store", f"s3://{b}/moved.txt")
    assert s3.head_object(Bucket=b, Key="moved.txt")["CacheControl"] == "no-store"
    run("sync", f"{tree}/", f"s3://{b}/t/")
    assert {k[2:] for k in keys(s3, b, Prefix="t/")} == set(digests(tree))
    (tmp_path / "tree").mkdir()
    run("sync", f"s3://{b}/t/", f"{tmp_path}/tree/")
    assert digests(tmp_path / "tree") == digests(tree)
    next((tmp_path / "tree").rglob("*.txt")).unlink()
    run("sync", "--delete-removed", f"{tmp_path}/tree/", f"s3://{b}/t/")
    assert len(keys(s3, b, Prefix="t/")) == len(digests(tree)) - 1
    with urllib.request.urlopen(run("signurl", f"s3://{b}/moved.txt", "+60").strip()) as r:
        assert r.read() == small.read_bytes()
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{b}/*"}]}))
    run("setpolicy", str(policy), f"s3://{b}")
    with urllib.request.urlopen(f"{server.url}/{b}/moved.txt") as r:
        assert r.read() == small.read_bytes()
    run("delpolicy", f"s3://{b}")
    run("del", f"s3://{b}/moved.txt")
    assert "s3://" in run("multipart", f"s3://{b}")
    assert run("get", f"s3://{b}/moved.txt", str(tmp_path / "none"), check=False).returncode
    assert run("rb", f"s3://{b}", check=False).returncode
    run("del", "--recursive", "--force", f"s3://{b}")
    run("rb", f"s3://{b}")
    assert b not in [x["Name"] for x in s3.list_buckets()["Buckets"]]
