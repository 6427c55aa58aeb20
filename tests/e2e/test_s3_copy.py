"""CopyObject: whole objects under other names, without a byte being written."""
import base64
import concurrent.futures
import datetime
import hashlib
import os
import pathlib
import random
import urllib.parse
import zlib

import pytest

from perilune import eventually, unique
from test_s3 import keys, refused
from test_s3_policy import allow, document
from test_trigger import HANDLER, permit, rule, seen, watch


@pytest.fixture(scope="module")
def s3(server):
    return server.client("s3")


@pytest.fixture
def bucket(s3):
    name = unique("copy")
    s3.create_bucket(Bucket=name)
    return name


def crc32(body):
    return base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()


def blobs(server):
    return sum(1 for p in pathlib.Path(server.data, "blobs").rglob("*") if p.is_file())


@pytest.mark.boto3
@pytest.mark.parametrize("size", [0, 100, 3_000_000])
def test_copy(server, s3, bucket, size):
    body, other = random.Random(size).randbytes(size), unique("other")
    s3.create_bucket(Bucket=other)
    s3.put_object(Bucket=bucket, Key="a/ü &+.txt", Body=body, ContentType="text/x", CacheControl="no-store", Metadata={"m": "1"}, Tagging="t=1")
    before = blobs(server)
    got = s3.copy_object(Bucket=other, Key="k", CopySource={"Bucket": bucket, "Key": "a/ü &+.txt"})["CopyObjectResult"]
    assert got["ETag"] == '"%s"' % hashlib.md5(body).hexdigest()
    assert abs((datetime.datetime.now(datetime.timezone.utc) - got["LastModified"]).total_seconds()) < 30
    assert blobs(server) == before
    s3.delete_object(Bucket=bucket, Key="a/ü &+.txt")
    copy = s3.get_object(Bucket=other, Key="k")
    assert copy["Body"].read() == body
    assert (copy["ContentType"], copy["CacheControl"], copy["Metadata"], copy["TagCount"]) == ("text/x", "no-store", {"m": "1"}, 1)
    s3.delete_object(Bucket=other, Key="k")
    eventually(lambda: blobs(server) <= before)


@pytest.mark.boto3
def test_copy_directives(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x" * 20000, ContentType="text/a", Metadata={"old": "1"}, Tagging="old=1")
    source = {"Bucket": bucket, "Key": "k"}
    s3.copy_object(Bucket=bucket, Key="ignored", CopySource=source, ContentType="text/b", Metadata={"new": "1"}, Tagging="new=1")
    got = s3.head_object(Bucket=bucket, Key="ignored")
    assert (got["ContentType"], got["Metadata"]) == ("text/a", {"old": "1"})
    assert s3.get_object_tagging(Bucket=bucket, Key="ignored")["TagSet"] == [{"Key": "old", "Value": "1"}]
    s3.copy_object(Bucket=bucket, Key="k", CopySource=source, MetadataDirective="REPLACE", ContentType="text/b", Metadata={"new": "1"})
    got = s3.head_object(Bucket=bucket, Key="k")
    assert (got["ContentType"], got["Metadata"], got["ContentLength"]) == ("text/b", {"new": "1"}, 20000)
    s3.copy_object(Bucket=bucket, Key="tags", CopySource=source, TaggingDirective="REPLACE", Tagging="new=1")
    assert s3.get_object_tagging(Bucket=bucket, Key="tags")["TagSet"] == [{"Key": "new", "Value": "1"}]
    assert s3.head_object(Bucket=bucket, Key="tags")["Metadata"] == {"new": "1"}
    with refused("InvalidRequest", 400) as e:
        s3.copy_object(Bucket=bucket, Key="k", CopySource=source)
    assert e.value.response["Error"]["Message"].startswith("This copy request is illegal because it is trying to copy an object to itself")
    for more in ({"MetadataDirective": "ELSE"}, {"TaggingDirective": "ELSE"}):
        with refused("InvalidArgument", 400):
            s3.copy_object(Bucket=bucket, Key="bad", CopySource=source, **more)
    with refused("MetadataTooLarge", 400):
        s3.copy_object(Bucket=bucket, Key="bad", CopySource=source, MetadataDirective="REPLACE", Metadata={"m": "x" * 2049})


@pytest.mark.boto3
def test_copy_conditions(s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"one")["ETag"]
    source, now = {"Bucket": bucket, "Key": "k"}, datetime.datetime.now(datetime.timezone.utc)
    ago, later = now - datetime.timedelta(hours=1), now + datetime.timedelta(hours=1)
    for holds in ({"CopySourceIfMatch": etag}, {"CopySourceIfNoneMatch": '"else"'}, {"CopySourceIfModifiedSince": ago},
                  {"CopySourceIfUnmodifiedSince": later}, {"CopySourceIfMatch": etag, "CopySourceIfUnmodifiedSince": ago}):
        s3.copy_object(Bucket=bucket, Key="t", CopySource=source, **holds)
    s3.delete_object(Bucket=bucket, Key="t")
    for fails in ({"CopySourceIfMatch": '"else"'}, {"CopySourceIfNoneMatch": etag}, {"CopySourceIfUnmodifiedSince": ago},
                  {"CopySourceIfNoneMatch": etag, "CopySourceIfModifiedSince": ago}):
        with refused("PreconditionFailed", 412):
            s3.copy_object(Bucket=bucket, Key="t", CopySource=source, **fails)
    assert keys(s3, bucket) == ["k"]


@pytest.mark.http
def test_copy_sources(server, s3, bucket):
    key = "a b/ü+%.txt"
    s3.put_object(Bucket=bucket, Key=key, Body=b"body")
    quoted = urllib.parse.quote(key)
    for source in (f"{bucket}/{quoted}", f"/{bucket}/{quoted}", urllib.parse.quote(f"/{bucket}/{key}", safe=""), f"/{bucket}/{quoted}?versionId=null"):
        status, _, body = server.signed("PUT", f"/{bucket}/t", headers={"x-amz-copy-source": source})
        assert status == 200 and b"<CopyObjectResult" in body, (source, body)
        assert s3.get_object(Bucket=bucket, Key="t")["Body"].read() == b"body"
        s3.delete_object(Bucket=bucket, Key="t")
    missing = unique("no")
    for source, status, code in (("", 400, "InvalidArgument"), (bucket, 400, "InvalidArgument"), (f"/{bucket}/", 400, "InvalidArgument"),
                                 ("/%zz/k", 400, "InvalidArgument"), (f"/{bucket}/none", 404, "NoSuchKey"), (f"/{missing}/k", 404, "NoSuchBucket"),
                                 (f"/{bucket}/{quoted}?versionId=x", 400, "InvalidArgument"),
                                 (f"/{bucket}/{quoted}?versionId=3sL4kqtJlcpXroDTDmJrmSpXd3dIbrHY", 404, "NoSuchVersion")):
        got, _, body = server.signed("PUT", f"/{bucket}/t", headers={"x-amz-copy-source": source})
        assert (got, f"<Code>{code}</Code>".encode() in body) == (status, True), (source, body)
    assert server.signed("PUT", f"/{missing}/t", headers={"x-amz-copy-source": f"/{bucket}/{quoted}"})[0] == 404
    assert keys(s3, bucket) == [key]


@pytest.mark.boto3
def test_copy_makes_checksums(server, s3, bucket):
    body = os.urandom(1_000_000)
    s3.put_object(Bucket=bucket, Key="k", Body=body)
    stored = lambda key: server.signed("HEAD", f"/{bucket}/{key}", headers={"x-amz-checksum-mode": "ENABLED"})[1]
    got = s3.copy_object(Bucket=bucket, Key="c", CopySource={"Bucket": bucket, "Key": "k"}, ChecksumAlgorithm="SHA256")
    want = base64.b64encode(hashlib.sha256(body).digest()).decode()
    assert got["CopyObjectResult"]["ChecksumSHA256"] == want and stored("c")["x-amz-checksum-sha256"] == want
    s3.copy_object(Bucket=bucket, Key="c", CopySource={"Bucket": bucket, "Key": "c"}, ChecksumAlgorithm="CRC32")
    assert stored("c")["x-amz-checksum-crc32"] == crc32(body) and "x-amz-checksum-sha256" not in stored("c")
    assert s3.get_object(Bucket=bucket, Key="c")["Body"].read() == body
    for size in (0, 10):
        s3.put_object(Bucket=bucket, Key="s", Body=body[:size])
        s3.copy_object(Bucket=bucket, Key="t", CopySource={"Bucket": bucket, "Key": "s"}, ChecksumAlgorithm="CRC32")
        assert stored("t")["x-amz-checksum-crc32"] == crc32(body[:size])
    with refused("InvalidRequest", 400):
        s3.copy_object(Bucket=bucket, Key="t", CopySource={"Bucket": bucket, "Key": "s"}, ChecksumAlgorithm="MD4")


@pytest.mark.boto3
def test_copy_needs_both_sides(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    s3.put_object(Bucket=bucket, Key="open", Body=b"x")
    s3.put_bucket_policy(Bucket=bucket, Policy=document(allow(bucket, "s3:GetObject", resource="/k", effect="Deny"),
                                                        allow(bucket, "s3:PutObject", resource="/no*", effect="Deny")))
    for target, source in (("t", "k"), ("no", "open")):
        with refused("AccessDenied", 403):
            s3.copy_object(Bucket=bucket, Key=target, CopySource={"Bucket": bucket, "Key": source})
    s3.copy_object(Bucket=bucket, Key="t", CopySource={"Bucket": bucket, "Key": "open"})


@pytest.mark.boto3
def test_copy_sends_its_event(server, s3, bucket):
    f = server.make_function(HANDLER)
    permit(server, f, bucket)
    watch(s3, bucket, rule(f, ("s3:ObjectCreated:*",)))
    s3.put_object(Bucket=bucket, Key="k", Body=b"four")
    s3.copy_object(Bucket=bucket, Key="c", CopySource={"Bucket": bucket, "Key": "k"})
    eventually(lambda: len(seen(server, f)) >= 2)
    got = {r["eventName"]: r["s3"]["object"] for r in seen(server, f)}
    assert got["ObjectCreated:Copy"]["key"] == "c" and got["ObjectCreated:Copy"]["size"] == 4
    assert got["ObjectCreated:Copy"]["sequencer"] > got["ObjectCreated:Put"]["sequencer"]


@pytest.mark.boto3
def test_copies_while_the_source_changes(s3, bucket):
    bodies = [bytes([i]) * 50_000 for i in range(4)]
    s3.put_object(Bucket=bucket, Key="k", Body=bodies[0])
    def write(i):
        s3.put_object(Bucket=bucket, Key="k", Body=bodies[i % 4])
    def copy(i):
        s3.copy_object(Bucket=bucket, Key=f"c{i}", CopySource={"Bucket": bucket, "Key": "k"})
        return s3.get_object(Bucket=bucket, Key=f"c{i}")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        writes = [pool.submit(write, i) for i in range(40)]
        for got in pool.map(copy, range(40)):
            body = got["Body"].read()
            assert body in bodies and got["ETag"] == '"%s"' % hashlib.md5(body).hexdigest()
        [w.result() for w in writes]
