"""The forms in which clients send bodies: aws-chunked by hand, the five checksums, and what must be refused."""
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys

import pytest

from chunked import ALGORITHMS, FORMS, SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER, Upload, checksum
from perilune import ACCESS_KEY, REGION, SANITIZED, SECRET_KEY, eventually, unique

BUCKET = "bodies"


@pytest.fixture(scope="module")
def s3(server):
    client = server.client("s3")
    client.create_bucket(Bucket=BUCKET)
    return client


def code(answer):
    """(status, error code) of a raw answer."""
    found = re.search(rb"<Code>(\w+)</Code>", answer[2])
    return answer[0], found[1].decode() if found else None


def exists(s3, key):
    return any(o["Key"] == key for o in s3.list_objects_v2(Bucket=BUCKET, Prefix=key).get("Contents", []))


def blobs(server):
    return {p for p in (server.data / "blobs").rglob("*") if p.is_file()}


def some_bytes(n):
    return random.Random(n).randbytes(n)


# --- aws-chunked --------------------------------------------------------------------------------------


@pytest.mark.http
@pytest.mark.parametrize("inside_chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form(server, s3, form, inside_chunked):
    for size, pieces in [(0, (1,)), (1, (1,)), (700, (1, 2, 300, 4)), (16384, (8192,)), (16385, (16384,)), (200000, (65536,)),
                         (400000, (100, 250000)), (70000, (70000,)), (3000, (1,))]:
        data = some_bytes(size)
        trailer = [] if form == SIGNED else [("x-amz-checksum-crc32", checksum("crc32", data))]
        up = Upload(server, f"/{BUCKET}/k", data, form, pieces, trailer, inside_chunked=inside_chunked)
        status, headers, body = up.send(server)
        assert (status, body) == (200, b""), (size, body)
        assert headers["etag"] == f'"{hashlib.md5(data).hexdigest()}"'
        assert headers.get("x-amz-checksum-crc32") == (trailer[0][1] if trailer else None)
        got = s3.get_object(Bucket=BUCKET, Key="k", ChecksumMode="ENABLED")
        assert got["Body"].read() == data and "ContentEncoding" not in got
        assert got.get("ChecksumCRC32") == (trailer[0][1] if trailer else None)


@pytest.mark.http
@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_every_checksum(server, s3, algorithm):
    """As header and as trailers, right and wrong; stored, listed and given back."""
    name, member = f"x-amz-checksum-{algorithm}", f"Checksum{algorithm.upper()}"
    for size in (0, 5, 40000):
        data = some_bytes(size)
        right, wrong = checksum(algorithm, data), checksum(algorithm, data + b"!")
        for value, want in [(wrong, (400, "BadDigest")), (right, (200, None)), (right[:-4], (400, "InvalidRequest")),
                            (right[:-1] + "!", (400, "InvalidRequest")), ("", (400, "InvalidRequest"))]:
            key = unique("k")
            answers = [server.signed("PUT", f"/{BUCKET}/{key}-1", data, headers={name: value}),
                       Upload(server, f"/{BUCKET}/{key}-2", data, UNSIGNED_TRAILER, trailer=[(name, value)],
                              headers={"x-amz-sdk-checksum-algorithm": algorithm.upper()}).send(server),
                       Upload(server, f"/{BUCKET}/{key}-3", data, SIGNED_TRAILER, (9000,), [(name, value)]).send(server),
                       Upload(server, f"/{BUCKET}/{key}-4", data, SIGNED, headers={name: value}).send(server)]
            for i, answer in enumerate(answers):
                assert code(answer) == want, (i, answer)
                if want[1] == "BadDigest":
                    assert f"The {algorithm.upper()} you specified did not match the calculated checksum." in answer[2].decode()
                if want[1] == "InvalidRequest":
                    kind = "trailing header" if i in (1, 2) else "header"
                    assert f"Value for {name} {kind} is invalid." in answer[2].decode()
                if want[1]:
                    assert not exists(s3, f"{key}-{i + 1}")
                    continue
                assert answer[1][name] == right and answer[1]["x-amz-checksum-type"] == "FULL_OBJECT"
                head = s3.head_object(Bucket=BUCKET, Key=f"{key}-{i + 1}", ChecksumMode="ENABLED")["ResponseMetadata"]["HTTPHeaders"]
                assert head[name] == right and head["x-amz-checksum-type"] == "FULL_OBJECT"
                assert name not in s3.head_object(Bucket=BUCKET, Key=f"{key}-{i + 1}")["ResponseMetadata"]["HTTPHeaders"]
                listed = s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{key}-{i + 1}")["Contents"][0]
                assert listed["ChecksumAlgorithm"] == [algorithm.upper()], member


@pytest.mark.http
def test_habits_of_clients(server, s3):
    data = b"hello"
    sum_ = ("x-amz-checksum-crc32c", checksum("crc32c", data))
    for form in (SIGNED_TRAILER, UNSIGNED_TRAILER):  # a line feed before the CRLF: minio-go and AWS's own examples
        assert Upload(server, f"/{BUCKET}/h", data, form, trailer=[sum_], line_end="\n\r\n").send(server)[0] == 200
    up = Upload(server, f"/{BUCKET}/h", data, UNSIGNED_TRAILER, inside_chunked=True)
    for body in (b"5;\r\nhello\r\n0;x=y\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n\r\n", b"05\r\nhello\r\n0000\r\n\r\n"):
        assert up.send(server, body)[0] == 200
    for given, kept in [("aws-chunked,gzip", "gzip"), ("gzip, aws-chunked", "gzip"), ("aws-chunked, gzip ,br", "gzip,br"),
                        ("aws-chunked", None), ("gzip", "gzip"), ("AWS-Chunked, gzip", "gzip")]:
        assert Upload(server, f"/{BUCKET}/h", data, SIGNED, headers={"Content-Encoding": given}).send(server)[0] == 200
        assert s3.head_object(Bucket=BUCKET, Key="h").get("ContentEncoding") == kept
    up = Upload(server, f"/{BUCKET}/h", data, UNSIGNED_TRAILER)  # no trailer at all is whole as well
    assert up.send(server)[0] == 200
    with server.raw(up.head().replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")) as c:
        assert c.head()[0] == 100
        c.send(up.body)
        assert c.answer()[0] == 200


@pytest.mark.http
def test_refused_from_the_head(server, s3):
    data, crc = b"hello", ("x-amz-checksum-crc32", checksum("crc32", b"hello"))
    one = lambda form=UNSIGNED_TRAILER, trailer=(crc,), **more: Upload(server, f"/{BUCKET}/no", data, form, trailer=trailer, **more)
    cases = [
        (411, "MissingContentLength", one(length="")),
        (411, "MissingContentLength", one(length="five")),
        (411, "MissingContentLength", one(length="-5")),
        (411, "MissingContentLength", one(length="5 5")),
        (413, "EntityTooLarge", one(length=5368709121)),
        (400, "InvalidRequest", one(announce="x-amz-checksum-md5")),
        (400, "InvalidRequest", one(announce="content-type")),
        (400, "InvalidRequest", one(announce="x-amz-checksum-crc32,x-amz-checksum-sha1")),
        (400, "InvalidRequest", one(headers={"x-amz-checksum-sha1": checksum("sha1", data)})),
        (400, "InvalidRequest", one(headers={"x-amz-sdk-checksum-algorithm": "SHA256"})),
        (400, "InvalidRequest", one(headers={"x-amz-sdk-checksum-algorithm": "MD5"})),
        (400, "InvalidRequest", one(trailer=(), headers={"x-amz-sdk-checksum-algorithm": "CRC32"})),
        (400, "InvalidRequest", one(SIGNED, (), announce="x-amz-checksum-crc32")),
        (400, "InvalidRequest", one(headers={"x-amz-checksum-xxhash": "AAAA"})),
        (400, "InvalidDigest", one(headers={"Content-MD5": "AAAA"})),
        (403, "SignatureDoesNotMatch", one(secret_key="another")),
        (400, "InvalidArgument", one("STREAMING-AWS4-HMAC-SHA256-PAYLOADS", ())),
        (400, "InvalidArgument", one("STREAMING-", ())),
    ]
    for status, name, up in cases:
        with server.raw(up.head()) as c:  # no byte of the body is needed for the answer
            assert code(c.answer()) == (status, name), up.headers
    two = server.signed("PUT", f"/{BUCKET}/no", data, headers={"x-amz-checksum-crc32": crc[1], "x-amz-checksum-sha1": checksum("sha1", data)})
    assert code(two) == (400, "InvalidRequest") and b"Expecting a single x-amz-checksum- header" in two[2]
    assert not exists(s3, "no")


@pytest.mark.http
def test_refused_from_the_body(server, s3):
    data, crc = b"abcdefghij", ("x-amz-checksum-crc32", checksum("crc32", b"abcdefghij"))
    up = Upload(server, f"/{BUCKET}/no", data, UNSIGNED_TRAILER, trailer=[crc])
    end = f"0\r\n{crc[0]}:{crc[1]}\r\n\r\n".encode()
    cases = [
        ("IncompleteBody", b"A\nabcdefghij\r\n" + end), ("IncompleteBody", b"A\r\nabcdefghij" + end), ("IncompleteBody", b"B\r\nabcdefghij\r\n" + end),
        ("IncompleteBody", b"9\r\nabcdefghij\r\n" + end), ("IncompleteBody", b"9\r\nabcdefghi\r\n" + end), ("IncompleteBody", b"B\r\nabcdefghijk\r\n" + end),
        ("IncompleteBody", b"5\r\nabcde\r\n" + end), ("IncompleteBody", b"x\r\nabcdefghij\r\n" + end), ("IncompleteBody", b"\r\nabcdefghij\r\n" + end),
        ("IncompleteBody", b"A\r\nabcdefghij\r\n0\r\n"), ("IncompleteBody", b"A\r\nabcdefghij\r\n"), ("IncompleteBody", b"A\r\n"), ("IncompleteBody", b"A"),
        ("IncompleteBody", b"A\r\nabcdefghij\r\n" + end[:-2]), ("IncompleteBody", b"000000000000A\r\nabcdefghij\r\n" + end),
        ("IncompleteBody", b"A;" + b"x" * 600 + b"\r\nabcdefghij\r\n" + end), ("MalformedTrailerError", b"A\r\nabcdefghij\r\n" + end + b"more"),
        ("IncompleteBody", b"fffffffff\r\n" + b"abcdefghij\r\n" + end), ("IncompleteBody", end), ("IncompleteBody", data),
        ("MalformedTrailerError", b"A\r\nabcdefghij\r\n0\r\n\r\n"), ("MalformedTrailerError", b"A\r\nabcdefghij\r\n0\r\nx-amz-checksum-sha1:AAAA\r\n\r\n"),
        ("MalformedTrailerError", b"A\r\nabcdefghij\r\n0\r\n:AAAA\r\n\r\n"), ("MalformedTrailerError", b"A\r\nabcdefghij\r\n0\r\nnothing\r\n\r\n"),
        ("MalformedTrailerError", b"A\r\nabcdefghij\r\n" + end[:-2] + end[3:]), ("MalformedTrailerError", b"A\r\nabcdefghij\r\n" + end[:-2] + b"x-other:1\r\n\r\n"),
        ("MalformedTrailerError", b"A\r\nabcdefghij\r\n0\r\nx:" + b"y" * 600 + b"\r\n\r\n"),
    ]
    for want, body in cases:
        up = Upload(server, f"/{BUCKET}/no", data, UNSIGNED_TRAILER, trailer=[crc], inside_chunked=True)
        assert code(up.send(server, body)) == (400, want), body
    unannounced = Upload(server, f"/{BUCKET}/no", data, UNSIGNED_TRAILER, trailer=[crc], announce="")
    assert code(unannounced.send(server)) == (400, "MalformedTrailerError")
    for missing in [Upload(server, f"/{BUCKET}/no", data, SIGNED_TRAILER, trailer=[crc], trailer_signature=False),
                    Upload(server, f"/{BUCKET}/no", data, SIGNED_TRAILER, trailer_signature=False)]:
        assert code(missing.send(server)) == (400, "MalformedTrailerError")
    for length in (9, 11, 0, 10 ** 9):
        for form in FORMS:
            assert code(Upload(server, f"/{BUCKET}/no", data, form, length=length).send(server)) == (400, "IncompleteBody")
    assert not exists(s3, "no")


@pytest.mark.http
@pytest.mark.parametrize("size", [60, 300000])
@pytest.mark.parametrize("form", [SIGNED, SIGNED_TRAILER])
def test_nothing_signed_can_be_changed(server, s3, form, size):
    """Any byte of the body, another order, a chunk left out or repeated: never another object."""
    data, before = some_bytes(size), blobs(server)
    trailer = [("x-amz-checksum-crc32", checksum("crc32", data))] if form == SIGNED_TRAILER else []
    up = Upload(server, f"/{BUCKET}/sealed", data, form, (20 if size == 60 else 100000,), trailer)
    body, refused, rng = up.body, 0, random.Random(1)
    places = range(len(body)) if size == 60 else [rng.randrange(len(body)) for _ in range(40)]
    for i in places:
        touched = body[:i] + bytes([body[i] ^ (1 << rng.randrange(8))]) + body[i + 1:]
        answer = up.send(server, touched)
        if answer[0] == 200:  # hex digits in capitals, a trailer's name in capitals: the same thing
            assert touched.lower() == body.lower()
            assert s3.get_object(Bucket=BUCKET, Key="sealed")["Body"].read() == data
            s3.delete_object(Bucket=BUCKET, Key="sealed")
        else:
            refused += 1
            assert code(answer)[1] in ("SignatureDoesNotMatch", "IncompleteBody", "MalformedTrailerError", "InvalidRequest", "BadDigest"), answer
    assert refused > len(places) * 0.9
    parts = re.split(rb"(?<=\r\n)(?=(?:14|186a0);chunk-signature=)", body)
    first, second, last = parts[0], parts[1], b"".join(parts[2:])
    for other in (second + first + last, first + first + last, first + last, first + second + second):
        assert code(up.send(server, other.ljust(len(body), b"\0")[:len(body)]))[0] in (400, 403)
    assert not exists(s3, "sealed")
    eventually(lambda: not blobs(server) - before)  # of before, those of objects deleted since may go
    assert up.send(server)[0] == 200
    s3.delete_object(Bucket=BUCKET, Key="sealed")


@pytest.mark.http
def test_cut_at_every_byte(server, s3):
    data, before = some_bytes(100), blobs(server)
    for form in FORMS:
        trailer = [] if form == SIGNED else [("x-amz-checksum-crc32", checksum("crc32", data))]
        up = Upload(server, f"/{BUCKET}/cut", data, form, (40,), trailer)
        for i in range(len(up.body)):
            with server.raw(up.head() + up.body[:i]):
                pass
    big = some_bytes(500000)
    for form in FORMS:
        up = Upload(server, f"/{BUCKET}/cut", big, form, (65536,))
        for i in random.Random(7).sample(range(len(up.body)), 5):
            with server.raw(up.head() + up.body[:i]):
                pass
    assert server.signed("PUT", f"/{BUCKET}/whole", b"x")[0] == 200  # the cut ones came before
    assert not exists(s3, "cut")
    eventually(lambda: not blobs(server) - before)  # of before, those of objects deleted since may go


@pytest.mark.http
def test_parts_in_chunks(server, s3):
    """UploadPart takes its body as PutObject does."""
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="parts")["UploadId"]
    path = f"/{BUCKET}/parts?partNumber=%d&uploadId={upload}"
    big, parts, whole = some_bytes(5 << 20), [], b""
    for i, form in enumerate(FORMS, 1):
        data = big[i:] + big[:i]
        trailer = [] if form == SIGNED else [("x-amz-checksum-sha1", checksum("sha1", data))]
        up = Upload(server, path % i, data, form, (1 << 20,), trailer)
        assert code(up.send(server, up.body.replace(data[-20:], b"?" * 20)))[0] in (400, 403)
        status, headers, _ = up.send(server)
        assert status == 200 and headers["etag"] == f'"{hashlib.md5(data).hexdigest()}"'
        parts.append({"PartNumber": i, "ETag": headers["etag"]})
        whole += data
    assert [p["Size"] for p in s3.list_parts(Bucket=BUCKET, Key="parts", UploadId=upload)["Parts"]] == [5 << 20] * 3
    s3.complete_multipart_upload(Bucket=BUCKET, Key="parts", UploadId=upload, MultipartUpload={"Parts": parts})
    assert s3.get_object(Bucket=BUCKET, Key="parts")["Body"].read() == whole


def peak_kib(server):
    return int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{server.proc.pid}/status").read_text())[1])


@pytest.mark.http
@pytest.mark.skipif(SANITIZED, reason="a sanitizer's memory is its own")
def test_a_large_upload_needs_little_memory(server, s3):
    data = some_bytes(1 << 20) * 32
    Upload(server, f"/{BUCKET}/large", data[:2 << 20], SIGNED_TRAILER, trailer=[("x-amz-checksum-sha256", checksum("sha256", data[:2 << 20]))]).send(server)
    before = peak_kib(server)
    for form, algorithm in [(SIGNED, None), (SIGNED_TRAILER, "sha256"), (UNSIGNED_TRAILER, "sha1")]:
        trailer = [(f"x-amz-checksum-{algorithm}", checksum(algorithm, data))] if algorithm else []
        assert Upload(server, f"/{BUCKET}/large", data, form, (1 << 20,), trailer).send(server)[0] == 200
        assert s3.head_object(Bucket=BUCKET, Key="large")["ContentLength"] == len(data)
    assert peak_kib(server) - before < 1024


# --- another boto3 --------------------------------------------------------------------------------------


NEWER = """
import boto3, io, json, sys
from botocore.config import Config
url, key, secret, region, bucket = sys.argv[1:]
try:
    import awscrt.checksums
    algorithms = ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"]
except ImportError:
    algorithms = ["CRC32", "SHA1", "SHA256"]
s3 = boto3.client("s3", endpoint_url=url, region_name=region, aws_access_key_id=key, aws_secret_access_key=secret,
                  config=Config(retries={"max_attempts": 0}))
class Stream(io.RawIOBase):  # cannot be sought: goes out in chunks
    def __init__(self, data): self.data = io.BytesIO(data)
    def readable(self): return True
    def read(self, n=-1): return self.data.read(n)
done = []
for size in (0, 20000, 3000000):
    body = bytes(i * 7 % 251 for i in range(1000)) * (size // 1000 + 1)
    body = body[:size]
    for algorithm in algorithms:
        put = s3.put_object(Bucket=bucket, Key="newer", Body=body, ChecksumAlgorithm=algorithm)
        got = s3.get_object(Bucket=bucket, Key="newer", ChecksumMode="ENABLED")
        assert got["Body"].read() == body  # checks it too
        assert got["Checksum" + algorithm] == put["Checksum" + algorithm] and got["ChecksumType"] == "FULL_OBJECT"
        done.append(algorithm)
    put = s3.put_object(Bucket=bucket, Key="newer", Body=body)  # sends a CRC unasked
    assert put["ChecksumType"] == "FULL_OBJECT"
    s3.upload_fileobj(io.BytesIO(body), bucket, "newer")
    assert s3.get_object(Bucket=bucket, Key="newer")["Body"].read() == body
    for version in ("s3v4", "s3"):
        c = boto3.client("s3", endpoint_url=url, region_name=region, aws_access_key_id=key, aws_secret_access_key=secret,
                         config=Config(signature_version=version))
        import urllib.request
        link = c.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "linked"})
        with urllib.request.urlopen(urllib.request.Request(link, data=body, method="PUT", headers={"Content-Type": ""})) as r:
            assert r.status == 200
        link = c.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "linked"})
        with urllib.request.urlopen(link) as r:
            assert r.read() == body
print(json.dumps({"boto3": boto3.__version__, "algorithms": sorted(set(done))}))
"""


def newer_python():
    """A Python with a boto3 that sends checksums by itself (1.36 and later); None: none here."""
    for path in [shutil.which("python3"), *sorted(map(str, pathlib.Path.home().glob(".pyenv/versions/*/bin/python3")), reverse=True)]:
        if not path or os.path.realpath(path) == os.path.realpath(sys.executable):
            continue
        r = subprocess.run([path, "-c", "import boto3; print(boto3.__version__)"], capture_output=True, text=True)
        if r.returncode == 0 and tuple(map(int, r.stdout.split(".")[:2])) >= (1, 36):
            return path
    return None


@pytest.mark.boto3
def test_a_newer_boto3(server, s3):
    python = newer_python()
    if not python:
        pytest.skip("no Python with boto3 >= 1.36 here")
    r = subprocess.run([python, "-c", NEWER, server.url, ACCESS_KEY, SECRET_KEY, REGION, BUCKET], capture_output=True, text=True, timeout=120)
    assert r.returncode == 0, r.stderr
    assert "CRC32" in json.loads(r.stdout)["algorithms"]
