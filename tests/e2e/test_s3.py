"""Buckets and objects as boto3 and the aws command see them."""
import base64
import concurrent.futures
import contextlib
import datetime
import hashlib
import os
import random
import time
import urllib.parse
import zlib

import pytest
from botocore.exceptions import ClientError

from conftest import aws_programs
from perilune import REGION, SANITIZED, eventually, unique

AWS = aws_programs()


def aws_marks():
    return [pytest.param(path, marks=getattr(pytest.mark, mark), id=mark) for mark, path in sorted(AWS.items())]


@contextlib.contextmanager
def refused(code, status):
    """The call in the block must fail with this code and status."""
    with pytest.raises(ClientError) as e:
        yield e
    got = e.value.response
    assert (got["Error"]["Code"], got["ResponseMetadata"]["HTTPStatusCode"]) == (code, status), got


@pytest.fixture(scope="module")
def s3(server):
    return server.client("s3")


@pytest.fixture
def bucket(s3):
    name = unique("b")
    s3.create_bucket(Bucket=name)
    return name


def keys(s3, bucket, **more):
    return [o["Key"] for p in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, **more) for o in p.get("Contents", [])]


# --- buckets ------------------------------------------------------------------------------------------


@pytest.mark.boto3
def test_bucket_life(s3):
    name = unique("life")
    before = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=1)
    assert s3.create_bucket(Bucket=name)["Location"] == f"/{name}"
    s3.get_waiter("bucket_exists").wait(Bucket=name)
    mine = {b["Name"]: b["CreationDate"] for b in s3.list_buckets()["Buckets"]}
    assert before <= mine[name] <= before + datetime.timedelta(seconds=30)
    assert s3.head_bucket(Bucket=name)["ResponseMetadata"]["HTTPHeaders"]["x-amz-bucket-region"] == REGION
    assert s3.get_bucket_location(Bucket=name)["LocationConstraint"] is None
    with refused("BucketAlreadyOwnedByYou", 409):
        s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="k", Body=b"x")
    with refused("BucketNotEmpty", 409):
        s3.delete_bucket(Bucket=name)
    s3.delete_object(Bucket=name, Key="k")
    s3.delete_bucket(Bucket=name)
    assert name not in [b["Name"] for b in s3.list_buckets()["Buckets"]]
    with refused("404", 404):
        s3.head_bucket(Bucket=name)
    with refused("NoSuchBucket", 404):
        s3.delete_bucket(Bucket=name)
    with refused("NoSuchBucket", 404):
        s3.put_object(Bucket=name, Key="k", Body=b"x")
    with refused("NoSuchBucket", 404):
        s3.get_bucket_location(Bucket=name)
    with refused("NoSuchBucket", 404):
        s3.list_objects_v2(Bucket=name)


@pytest.mark.boto3
def test_bucket_region(server, s3):
    here, there = unique("here"), unique("there")
    s3.create_bucket(Bucket=here, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.head_bucket(Bucket=here)
    with refused("IllegalLocationConstraintException", 400):
        s3.create_bucket(Bucket=there, CreateBucketConfiguration={"LocationConstraint": "eu-west-3"})
    with refused("404", 404):
        s3.head_bucket(Bucket=there)
    for region in (REGION, "eu-west-3"):
        assert (here.encode() in server.signed("GET", f"/?bucket-region={region}")[2]) == (region == REGION)


@pytest.mark.http
@pytest.mark.parametrize("name", ["ab", "Upper", "a_b", "1.2.3.4", "a..b", "-ab", "ab-", "xn--a", "x" * 64, "a-.b", "perilune", "metrics", "2015-03-31"], ids=lambda n: n[:12])
def test_bucket_name_refused(server, name):
    status, _, body = server.signed("PUT", f"/{name}")
    assert status == 400 and b"<Code>InvalidBucketName</Code>" in body, body
    assert name.encode() + b"<" not in server.signed("GET", "/")[2]


# --- objects ------------------------------------------------------------------------------------------


@pytest.mark.boto3
@pytest.mark.parametrize("size", [0, 1, 16384, 16385, 300000, 5 * 1024 * 1024 + 7])
def test_body_round_trip(s3, bucket, size):
    body = random.Random(size).randbytes(size)
    md5 = hashlib.md5(body).hexdigest()
    assert s3.put_object(Bucket=bucket, Key="k", Body=body)["ETag"] == f'"{md5}"'
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["ETag"] == f'"{md5}"' and got["ContentLength"] == size
    assert got["Body"].read() == body
    head = s3.head_object(Bucket=bucket, Key="k")
    assert (head["ContentLength"], head["ETag"], head["ContentType"]) == (size, f'"{md5}"', "binary/octet-stream")
    assert abs((datetime.datetime.now(datetime.timezone.utc) - head["LastModified"]).total_seconds()) < 30


@pytest.mark.boto3
def test_overwrite_and_delete(s3, bucket):
    for body in (b"small", b"L" * 100000, b"M" * 200000, b"small again"):
        s3.put_object(Bucket=bucket, Key="k", Body=body)
        assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == body
    assert s3.delete_object(Bucket=bucket, Key="k")["ResponseMetadata"]["HTTPStatusCode"] == 204
    with refused("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key="k")
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="k")
    s3.delete_object(Bucket=bucket, Key="k")  # twice is no error


@pytest.mark.boto3
def test_files_go_with_their_objects(own_server):
    server = own_server()
    s3 = server.client("s3")
    s3.create_bucket(Bucket="files")
    blobs = lambda: [f for d, _, names in os.walk(server.data / "blobs") for f in names]
    for body in (b"1" * 50000, b"2" * 60000):
        s3.put_object(Bucket="files", Key="k", Body=body)
    eventually(lambda: len(blobs()) == 1, 20)
    s3.delete_object(Bucket="files", Key="k")
    eventually(lambda: blobs() == [], 20)


@pytest.mark.boto3
def test_objects_survive_restart(own_server):
    server = own_server()
    s3 = server.client("s3")
    s3.create_bucket(Bucket="kept")
    bodies = {"small": b"x" * 100, "large": os.urandom(300000)}
    for key, body in bodies.items():
        s3.put_object(Bucket="kept", Key=key, Body=body, Metadata={"k": key})
    server.kill()
    server.start()
    for key, body in bodies.items():
        got = s3.get_object(Bucket="kept", Key=key)
        assert got["Body"].read() == body and got["Metadata"] == {"k": key}


@pytest.mark.boto3
def test_metadata(s3, bucket):
    given = dict(ContentType="image/png", CacheControl="max-age=60", ContentDisposition='attachment; filename="x.png"',
                 ContentEncoding="gzip", ContentLanguage="fr", Expires=datetime.datetime(2030, 1, 2, 3, 4, 5),
                 Metadata={"Author": "me", "empty": "", "blanks": "a  b"})
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", **given)
    for got in (s3.head_object(Bucket=bucket, Key="k"), s3.get_object(Bucket=bucket, Key="k")):
        assert got["ContentType"] == "image/png"
        assert got["CacheControl"] == "max-age=60"
        assert got["ContentDisposition"] == 'attachment; filename="x.png"'
        assert got["ContentEncoding"] == "gzip"
        assert got["ContentLanguage"] == "fr"
        assert got["ResponseMetadata"]["HTTPHeaders"]["expires"] == "Wed, 02 Jan 2030 03:04:05 GMT"
        assert got["Metadata"] == {"author": "me", "empty": "", "blanks": "a  b"}
        assert got["AcceptRanges"] == "bytes"
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == {}
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"a": "v" * 2047})
    with refused("MetadataTooLarge", 400):
        s3.put_object(Bucket=bucket, Key="k", Body=b"y", Metadata={"a": "v" * 2048})
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"


@pytest.mark.boto3
def test_response_overrides(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ContentType="text/plain", CacheControl="no-store")
    got = s3.get_object(Bucket=bucket, Key="k", ResponseContentType="application/json", ResponseContentDisposition="inline")
    assert (got["ContentType"], got["ContentDisposition"], got["CacheControl"]) == ("application/json", "inline", "no-store")


HARD_KEYS = ["plain", "a b", "a+b", "a%b", "a%20b", "ünï/cödé", "日本", "a//b", "/lead", "trail/", "..", "../up", "./here", "a/../b",
             "q?x=1&y=2", "hash#tag", "quote\"'<>&", "tab\tnew\nline", "~tilde*star", "=;,:@$!()", "k" * 1024, "é" * 512]


@pytest.mark.boto3
def test_hard_keys(s3, bucket):
    for key in HARD_KEYS:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert sorted(keys(s3, bucket), key=str.encode) == sorted(HARD_KEYS, key=str.encode) == keys(s3, bucket)
    for key in HARD_KEYS:
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
        s3.delete_object(Bucket=bucket, Key=key)
    assert keys(s3, bucket) == []


@pytest.mark.http
@pytest.mark.parametrize("path,code", [("k" * 1025, "KeyTooLongError"), ("%FF%FE", "InvalidURI"), ("%ED%A0%80", "InvalidURI")], ids=["long", "bytes", "surrogate"])
def test_key_refused(server, bucket, path, code):
    status, _, body = server.signed("PUT", f"/{bucket}/{path}", b"x")
    assert status == 400 and f"<Code>{code}</Code>".encode() in body, body
    assert b"<KeyCount>0<" in server.signed("GET", f"/{bucket}?list-type=2")[2]


# --- reading parts ------------------------------------------------------------------------------------


@pytest.mark.boto3
@pytest.mark.parametrize("size", [1000, 700000])
def test_ranges(s3, bucket, size):
    body = random.Random(size).randbytes(size)
    s3.put_object(Bucket=bucket, Key="k", Body=body)
    for asked, first, last in [("bytes=0-9", 0, 10), ("bytes=10-", 10, size), ("bytes=-7", size - 7, size), (f"bytes={size - 1}-", size - 1, size),
                               (f"bytes=5-{size * 9}", 5, size), (f"bytes=-{size * 2}", 0, size)]:
        got = s3.get_object(Bucket=bucket, Key="k", Range=asked)
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert got["ContentRange"] == f"bytes {first}-{last - 1}/{size}"
        assert got["Body"].read() == body[first:last], asked
        head = s3.head_object(Bucket=bucket, Key="k", Range=asked)
        assert (head["ContentLength"], head["ResponseMetadata"]["HTTPStatusCode"]) == (last - first, 206)
    for asked in (f"bytes={size}-", f"bytes={size}-{size + 5}", "bytes=-0"):
        with refused("InvalidRange", 416) as e:
            s3.get_object(Bucket=bucket, Key="k", Range=asked)
        assert e.value.response["ResponseMetadata"]["HTTPHeaders"]["content-range"] == f"bytes */{size}"
    got = s3.get_object(Bucket=bucket, Key="k", Range="bytes=1-2,4-5")
    assert (got["ResponseMetadata"]["HTTPStatusCode"], got["ContentLength"]) == (200, size)


@pytest.mark.http
def test_a_range_of_what_it_was(server, s3, bucket):
    """Who goes on with a download says of what: of another object he gets all."""
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")["ETag"]
    when = s3.head_object(Bucket=bucket, Key="k")["ResponseMetadata"]["HTTPHeaders"]["last-modified"]
    for given, status in ((etag, 206), (when, 206), ('"other"', 200), ("Sat, 01 Jan 2000 00:00:00 GMT", 200)):
        got = server.signed("GET", f"/{bucket}/k", headers={"Range": "bytes=4-", "If-Range": given})
        assert (got[0], got[2]) == (status, b"456789" if status == 206 else b"0123456789"), given


@pytest.mark.boto3
def test_conditions(s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"x" * 50000)["ETag"]
    now = datetime.datetime.now(datetime.timezone.utc)
    hour = datetime.timedelta(hours=1)
    for call in (s3.get_object, s3.head_object):
        code = {s3.get_object: "PreconditionFailed"}.get(call, "412")
        assert call(Bucket=bucket, Key="k", IfMatch=etag)["ETag"] == etag
        assert call(Bucket=bucket, Key="k", IfNoneMatch='"other"')["ETag"] == etag
        assert call(Bucket=bucket, Key="k", IfModifiedSince=now - hour)["ETag"] == etag
        assert call(Bucket=bucket, Key="k", IfUnmodifiedSince=now + hour)["ETag"] == etag
        with refused(code, 412):
            call(Bucket=bucket, Key="k", IfMatch='"other"')
        with refused(code, 412):
            call(Bucket=bucket, Key="k", IfUnmodifiedSince=now - hour)
        with refused("304", 304):
            call(Bucket=bucket, Key="k", IfNoneMatch=etag)
        with refused("304", 304):
            call(Bucket=bucket, Key="k", IfModifiedSince=now + hour)


@pytest.mark.http
def test_conditional_put(server, bucket, s3):
    put = lambda **h: server.signed("PUT", f"/{bucket}/k", b"new", headers={k.replace("_", "-"): v for k, v in h.items()})
    assert put(If_Match='"abc"')[0] == 404
    assert put(If_None_Match="*")[0] == 200
    status, _, body = put(If_None_Match="*")
    assert status == 412 and b"<Code>PreconditionFailed</Code>" in body
    assert put(If_Match='"abc"')[0] == 412
    assert put(If_Match='"%s"' % hashlib.md5(b"new").hexdigest())[0] == 200
    assert put(If_None_Match='"abc"')[0] == 501
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"new"


# --- what the head promises ---------------------------------------------------------------------------


def crc32(body):
    return base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()


@pytest.mark.http
@pytest.mark.parametrize("size", [0, 500, 400000])
def test_promises_about_the_body(server, s3, bucket, size):
    body = random.Random(size).randbytes(size)
    md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
    put = lambda sha256=None, **h: server.signed("PUT", f"/{bucket}/k", body, headers={k.replace("_", "-"): v for k, v in h.items()}, sha256=sha256)
    other = crc32(body + b"!")
    for status, code, answer in [
        (400, b"BadDigest", put(Content_MD5=base64.b64encode(hashlib.md5(b"else").digest()).decode())),
        (400, b"InvalidDigest", put(Content_MD5="bm9wZQ==")),
        (400, b"InvalidDigest", put(Content_MD5="*")),
        (400, b"BadDigest", put(x_amz_checksum_crc32=other)),
        (400, b"InvalidRequest", put(x_amz_checksum_crc32="xyz")),
        (400, b"InvalidRequest", put(x_amz_sdk_checksum_algorithm="CRC32")),
        (400, b"XAmzContentSHA256Mismatch", put(sha256=hashlib.sha256(body + b"!").hexdigest())),
        (400, b"InvalidRequest", put(x_amz_checksum_sha1="a" * 27 + "=")),  # bits behind the last byte
    ]:
        assert answer[0] == status and b"<Code>" + code + b"</Code>" in answer[2], answer
        with refused("404", 404):
            s3.head_object(Bucket=bucket, Key="k")
    status, headers, answer = put(Content_MD5=md5, x_amz_checksum_crc32=crc32(body), x_amz_sdk_checksum_algorithm="CRC32")
    assert (status, answer) == (200, b"") and headers["x-amz-checksum-crc32"] == crc32(body)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == body
    assert put(sha256="UNSIGNED-PAYLOAD")[0] == 200


@pytest.mark.boto3
def test_checksum_is_returned_when_asked_for(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"123456789", ChecksumAlgorithm="CRC32")
    assert s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")["ChecksumCRC32"] == "y/Q5Jg=="
    assert s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")["ChecksumCRC32"] == "y/Q5Jg=="
    assert "ChecksumCRC32" not in s3.head_object(Bucket=bucket, Key="k")
    assert s3.list_objects_v2(Bucket=bucket)["Contents"][0]["ChecksumAlgorithm"] == ["CRC32"]


@pytest.mark.http
def test_metadata_by_raw_headers(server, s3, bucket):
    """Names have no case, repeated ones are joined, long ones fit, too much is refused."""
    def put(*headers):
        return server.signed("PUT", f"/{bucket}/m", b"x", headers=dict(headers))[0]
    long = "n" * 300
    assert put(("X-Amz-Meta-Mixed-Case", "V"), ("x-amz-meta-empty", ""), (f"x-amz-meta-{long}", "w")) == 200
    assert s3.head_object(Bucket=bucket, Key="m")["Metadata"] == {"mixed-case": "V", "empty": "", long: "w"}
    assert put(("x-amz-meta-" + "n" * 2040, "123456789")) == 400
    assert put(("x-amz-meta-" + "n" * 2040, "12345678")) == 200
    headers = server.sign("PUT", f"/{bucket}/m", b"x", headers={"x-amz-meta-a": "1,2"})
    lines = [f"{k}: {v}" for k, v in headers.items() if k != "x-amz-meta-a"]
    with server.raw("\r\n".join([f"PUT /{bucket}/m HTTP/1.1", *lines, "x-amz-meta-a: 1", "X-AMZ-META-A: 2", "", "x"])) as c:
        assert c.answer()[0] == 200
    assert s3.head_object(Bucket=bucket, Key="m")["Metadata"] == {"a": "1,2"}


# --- lists --------------------------------------------------------------------------------------------


@pytest.mark.boto3
@pytest.mark.parametrize("version", ["list_objects_v2", "list_objects"])
def test_lists(s3, bucket, version):
    names = sorted(["a/1", "a/2", "a/b/3", "a/b/c/4", "a ü/+%", "b", "c/1", "c/2", "d"], key=str.encode)
    for n in names:
        s3.put_object(Bucket=bucket, Key=n, Body=n.encode())
    call = getattr(s3, version)
    all_ = call(Bucket=bucket)
    assert [o["Key"] for o in all_["Contents"]] == names and all_["IsTruncated"] is False
    one = all_["Contents"][0]
    assert one["Size"] == len(one["Key"].encode()) and one["ETag"] == '"%s"' % hashlib.md5(one["Key"].encode()).hexdigest()
    assert one["StorageClass"] == "STANDARD"
    page = call(Bucket=bucket, Delimiter="/")
    assert [o["Key"] for o in page["Contents"]] == ["b", "d"]
    assert [p["Prefix"] for p in page["CommonPrefixes"]] == sorted(["a ü/", "a/", "c/"], key=str.encode)
    page = call(Bucket=bucket, Prefix="a/", Delimiter="/")
    assert [o["Key"] for o in page["Contents"]] == ["a/1", "a/2"] and page["CommonPrefixes"] == [{"Prefix": "a/b/"}]
    assert "Contents" not in call(Bucket=bucket, Prefix="zzz")
    for delimiter in ("", "/"):
        for size in (1, 2, 3, 1000):
            pages = list(s3.get_paginator(version).paginate(Bucket=bucket, Delimiter=delimiter, PaginationConfig={"PageSize": size}))
            got = [o["Key"] for p in pages for o in p.get("Contents", [])]
            groups = [o["Prefix"] for p in pages for o in p.get("CommonPrefixes", [])]
            assert got == (["b", "d"] if delimiter else names) and len(groups) == (3 if delimiter else 0)
            assert all(len(p.get("Contents", [])) + len(p.get("CommonPrefixes", [])) <= size for p in pages)
    nothing = call(Bucket=bucket, MaxKeys=0)
    assert "Contents" not in nothing and nothing["IsTruncated"] is False


@pytest.mark.boto3
def test_list_v2_only(s3, bucket):
    for n in ("a", "b", "c"):
        s3.put_object(Bucket=bucket, Key=n, Body=b"")
    page = s3.list_objects_v2(Bucket=bucket, StartAfter="a", MaxKeys=1)
    assert ([o["Key"] for o in page["Contents"]], page["KeyCount"], page["StartAfter"], page["IsTruncated"]) == (["b"], 1, "a", True)
    s3.delete_object(Bucket=bucket, Key="b")  # the token does not need its key any more
    rest = s3.list_objects_v2(Bucket=bucket, ContinuationToken=page["NextContinuationToken"])
    assert [o["Key"] for o in rest["Contents"]] == ["c"]
    assert "Owner" not in rest["Contents"][0]
    assert s3.list_objects_v2(Bucket=bucket, FetchOwner=True)["Contents"][0]["Owner"]["ID"]
    with refused("InvalidArgument", 400):
        s3.list_objects_v2(Bucket=bucket, ContinuationToken="!nonsense!")


@pytest.mark.boto3
def test_long_lists(s3, bucket):
    """More rows than are made in one turn of the server's loop."""
    names = [f"d{i // 50}/{'x' * 800}{i:03}" for i in range(300)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: s3.put_object(Bucket=bucket, Key=n, Body=b"x"), names))
    page = s3.list_objects_v2(Bucket=bucket)
    assert [o["Key"] for o in page["Contents"]] == sorted(names) and page["KeyCount"] == 300 and not page["IsTruncated"]
    page = s3.list_objects_v2(Bucket=bucket, MaxKeys=130)
    assert (len(page["Contents"]), page["KeyCount"], page["IsTruncated"]) == (130, 130, True)
    rest = s3.list_objects_v2(Bucket=bucket, ContinuationToken=page["NextContinuationToken"])
    assert [o["Key"] for o in page["Contents"] + rest["Contents"]] == sorted(names)
    assert [o["Key"] for o in s3.list_objects(Bucket=bucket)["Contents"]] == sorted(names)
    assert len(s3.list_objects_v2(Bucket=bucket, Delimiter="/")["CommonPrefixes"]) == 6
    assert len(s3.list_objects_v2(Bucket=bucket, Delimiter="x0")["CommonPrefixes"]) == 2


@pytest.mark.http
def test_list_arguments(server, bucket):
    for query in ("max-keys=-1", "max-keys=x", "max-keys=99999999999", "encoding-type=base64"):
        status, _, body = server.signed("GET", f"/{bucket}?list-type=2&{query}")
        assert status == 400 and b"<Code>InvalidArgument</Code>" in body, query
    server.signed("PUT", f"/{bucket}/{urllib.parse.quote('a b+c<é')}", b"")
    assert b"<Key>a%20b%2Bc%3C%C3%A9</Key>" in server.signed("GET", f"/{bucket}?encoding-type=url&list-type=2")[2]
    assert "<Key>a b+c&lt;é</Key>".encode() in server.signed("GET", f"/{bucket}?list-type=2")[2]


# --- the rest of the protocol -------------------------------------------------------------------------


@pytest.mark.http
@pytest.mark.parametrize("method,path", [("GET", "?metadataTable"), ("PUT", "?website"), ("POST", "/k?restore"),
                                         ("PUT", "/k?partNumber=1"), ("PATCH", "/k"),
                                         ("GET", "/k?torrent"), ("POST", "/k?select&select-type=2")])
def test_what_is_not_there_says_so(server, bucket, method, path):
    status, headers, body = server.signed(method, f"/{bucket}{path}", b"<x/>" if method != "GET" else b"")
    assert status in (405, 501) and headers["content-type"] == "application/xml", (status, body)
    assert b"<Code>NotImplemented</Code>" in body or b"<Code>MethodNotAllowed</Code>" in body
    assert b"<RequestId>" + headers["x-amz-request-id"].encode() in body


@pytest.mark.http
@pytest.mark.parametrize("header", [("x-amz-server-side-encryption", "aws:kms"),
                                    ("x-amz-object-lock-mode", "GOVERNANCE")], ids=lambda h: h[0])
def test_asked_for_what_is_not_there(server, s3, bucket, header):
    status, _, body = server.signed("PUT", f"/{bucket}/k", b"x", headers=dict([header]))
    assert status == 501 and b"<Code>NotImplemented</Code>" in body
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="k")


@pytest.mark.http
def test_put_with_expect(server, bucket, s3):
    body = b"e" * 70000
    headers = server.sign("PUT", f"/{bucket}/k", body, headers={"Expect": "100-continue"})
    head = f"PUT /{bucket}/k HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n"
    with server.raw(head) as c:
        assert c.head()[0] == 100
        c.send(body)
        status, headers, text = c.answer()
        assert (status, text, headers["etag"]) == (200, b"", '"%s"' % hashlib.md5(body).hexdigest())
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == body


@pytest.mark.http
def test_put_refused_from_the_head_alone(server, bucket):
    """No 100 Continue, no byte of the body taken: unknown bucket, bad signature, too large."""
    for path, size, tamper, status in ((f"/{unique('none')}/k", 100000, False, 404), (f"/{bucket}/k", 100000, True, 403), (f"/{bucket}/k", 6 << 30, False, 413)):
        headers = server.sign("PUT", path, headers={"Expect": "100-continue", "Content-Length": str(size)}, sha256="UNSIGNED-PAYLOAD")
        if tamper:
            headers["Authorization"] = headers["Authorization"][:-4] + "0000"
        with server.raw(f"PUT {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n") as c:
            got = c.answer()
            assert got[0] == status and got[1]["connection"] == "close", got
            assert c.closed()


@pytest.mark.http
def test_put_without_a_length(server, bucket, s3):
    headers = server.sign_by_hand("PUT", f"/{bucket}/k")
    with server.raw(f"PUT /{bucket}/k HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n") as c:
        status, _, body = c.answer()
        assert status == 411 and b"<Code>MissingContentLength</Code>" in body
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="k")


@pytest.mark.http
def test_interrupted_upload_leaves_nothing(server, bucket, s3):
    headers = server.sign("PUT", f"/{bucket}/k", headers={"Content-Length": "500000"}, sha256="UNSIGNED-PAYLOAD")
    with server.raw(f"PUT /{bucket}/k HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n" + "x" * 300000):
        time.sleep(0.05)
    time.sleep(0.1)
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="k")


@pytest.mark.http
def test_slow_reader_gets_it_all(server, bucket, s3):
    body = os.urandom(6 << 20)
    s3.put_object(Bucket=bucket, Key="k", Body=body)
    headers = server.sign("GET", f"/{bucket}/k")
    with server.raw(f"GET /{bucket}/k HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n") as c:
        status, answer = c.head()
        assert status == 200 and int(answer["content-length"]) == len(body)
        time.sleep(0.2)
        s3.delete_object(Bucket=bucket, Key="k")  # a download in flight keeps its bytes
        got = c.body(answer)
    assert hashlib.md5(got).digest() == hashlib.md5(body).digest()


@pytest.mark.http
def test_gone_reader_disturbs_nobody(server, bucket, s3):
    s3.put_object(Bucket=bucket, Key="k", Body=os.urandom(6 << 20))
    headers = server.sign("GET", f"/{bucket}/k")
    for _ in range(5):
        with server.raw(f"GET /{bucket}/k HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n") as c:
            assert c.head()[0] == 200
    assert s3.head_object(Bucket=bucket, Key="k")["ContentLength"] == 6 << 20


@pytest.mark.boto3
def test_large_upload_needs_little_memory(own_server):
    """64 MiB up and down while the server's memory is watched."""
    server = own_server()
    s3 = server.client("s3", read_timeout=120)
    s3.create_bucket(Bucket="large")
    s3.put_object(Bucket="large", Key="warm", Body=b"w" * 300000)
    rss = lambda: max(int(line.split()[1]) for line in open(f"/proc/{server.proc.pid}/status") if line.startswith(("VmRSS", "VmHWM")))
    before = rss()
    body = os.urandom(1 << 20) * 64
    s3.put_object(Bucket="large", Key="k", Body=body)
    got = s3.get_object(Bucket="large", Key="k")["Body"]
    digest = hashlib.md5()
    while chunk := got.read(1 << 20):
        digest.update(chunk)
    assert digest.hexdigest() == hashlib.md5(body).hexdigest()
    assert SANITIZED or rss() - before < 6 * 1024, f"{before} KiB before, {rss()} KiB at the peak"


# --- the stock command --------------------------------------------------------------------------------


@pytest.mark.parametrize("aws", aws_marks())
def test_aws_cp_ls_rm(server, s3, aws, tmp_path):
    bucket = unique("cli")
    source, back = tmp_path / "in.bin", tmp_path / "out.bin"
    source.write_bytes(os.urandom(100000))
    server.aws(aws, "s3", "mb", f"s3://{bucket}")
    server.aws(aws, "s3", "cp", str(source), f"s3://{bucket}/dir/a b.bin")
    assert s3.get_object(Bucket=bucket, Key="dir/a b.bin")["Body"].read() == source.read_bytes()
    listed = server.aws(aws, "s3", "ls", f"s3://{bucket}/dir/").stdout
    assert f"{source.stat().st_size} a b.bin" in listed
    server.aws(aws, "s3", "cp", f"s3://{bucket}/dir/a b.bin", str(back))
    assert back.read_bytes() == source.read_bytes()
    server.aws(aws, "s3", "rb", f"s3://{bucket}", "--force")
    assert bucket not in [b["Name"] for b in s3.list_buckets()["Buckets"]]
    r = server.aws(aws, "s3", "cp", f"s3://{bucket}/none", str(back), check=False)
    assert r.returncode != 0 and "404" in r.stderr
