"""Objects that come in parts: uploads by stock clients and by hand, in any order, twice, wrongly, and all at once."""
import base64
import hashlib
import io
import os
import random
import re
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import boto3.s3.transfer
import pytest
from botocore.exceptions import ClientError

from conftest import aws_programs
from perilune import eventually, make_zip, unique

pytestmark = pytest.mark.boto3
MB = 1 << 20
PART = 5 * MB
NOISE = random.Random(7).randbytes(8 * MB)


def data_of(size, seed=0):
    """Bytes that differ from part to part."""
    at = seed * 4099 % MB
    return (NOISE[at:] + NOISE * (size // len(NOISE) + 1))[:size]


def etag_of(parts):
    return '"%s-%d"' % (hashlib.md5(b"".join(hashlib.md5(p).digest() for p in parts)).hexdigest(), len(parts))


def crc32(data):
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


def code_of(e):
    return e.value.response["Error"]["Code"], e.value.response["ResponseMetadata"]["HTTPStatusCode"]


@pytest.fixture(scope="module")
def s3(server):
    return server.client("s3", max_pool_connections=20)


@pytest.fixture(scope="module")
def bucket(s3):
    name = unique("parts")
    s3.create_bucket(Bucket=name)
    return name


class Upload:
    """One upload of a key; keeps what complete needs."""

    def __init__(self, s3, bucket, key=None, **create):
        self.s3, self.name = s3, dict(Bucket=bucket, Key=key or unique("key"))
        self.begun = s3.create_multipart_upload(**self.name, **create)
        self.id = self.begun["UploadId"]
        self.parts = {}

    def part(self, number, body, **more):
        r = self.s3.upload_part(**self.name, UploadId=self.id, PartNumber=number, Body=body, **more)
        self.parts[number] = {"PartNumber": number, "ETag": r["ETag"]}
        self.parts[number].update({k: v for k, v in r.items() if k.startswith("Checksum") and more})
        return r

    def complete(self, numbers=None, parts=None, **more):
        parts = parts if parts is not None else [self.parts[n] for n in numbers or sorted(self.parts)]
        return self.s3.complete_multipart_upload(**self.name, UploadId=self.id, MultipartUpload={"Parts": parts}, **more)

    def get(self, **more):
        r = self.s3.get_object(**self.name, **more)
        return r, r["Body"].read()


@pytest.fixture
def begin(s3, bucket):
    return lambda key=None, **create: Upload(s3, bucket, key, **create)


def blobs(server):
    return sum(len(files) for _, _, files in os.walk(server.data / "blobs"))


# --- the way through ----------------------------------------------------------------------------------


def test_three_parts_out_of_order(begin, s3, bucket):
    bodies = [data_of(PART, 1), data_of(PART + 1, 2), b"the end"]
    u = begin(ContentType="text/x-parts", Metadata={"colour": "blue"}, CacheControl="max-age=3", Tagging="a=1&b=2",
              StorageClass="STANDARD_IA")
    assert s3.list_parts(**u.name, UploadId=u.id)["StorageClass"] == "STANDARD_IA"
    for n in (3, 1, 2):
        assert u.part(n, bodies[n - 1])["ETag"] == f'"{hashlib.md5(bodies[n - 1]).hexdigest()}"'
    with pytest.raises(ClientError) as e:
        u.get()
    assert code_of(e) == ("NoSuchKey", 404)
    done = u.complete()
    assert done["ETag"] == etag_of(bodies) and done["Bucket"] == bucket and done["Key"] == u.name["Key"]
    assert done["Location"].endswith(f"/{bucket}/{u.name['Key']}")
    r, body = u.get()
    assert body == b"".join(bodies)
    assert (r["ETag"], r["ContentType"], r["Metadata"], r["CacheControl"], r["TagCount"], r["StorageClass"]) == (
        etag_of(bodies), "text/x-parts", {"colour": "blue"}, "max-age=3", 2, "STANDARD_IA")
    assert {t["Key"]: t["Value"] for t in s3.get_object_tagging(**u.name)["TagSet"]} == {"a": "1", "b": "2"}
    listed = [o for o in s3.list_objects_v2(Bucket=bucket, Prefix=u.name["Key"])["Contents"] if o["Key"] == u.name["Key"]]
    assert listed[0]["Size"] == len(body) and listed[0]["ETag"] == etag_of(bodies)
    with pytest.raises(ClientError) as e:
        u.part(4, b"late")
    assert code_of(e) == ("NoSuchUpload", 404)


def test_ranges_across_parts(begin):
    bodies = [data_of(PART, 3), data_of(PART + 3, 4), data_of(1000, 5)]
    u, whole = begin(), b"".join(bodies)
    for n, b in enumerate(bodies, 1):
        u.part(n, b)
    u.complete()
    edges = [0, PART, 2 * PART + 3, len(whole)]
    cuts = {(0, 0), (0, len(whole) - 1), (len(whole) - 1, len(whole) - 1), (PART - 70000, 2 * PART + 900)}
    for e in edges[1:-1]:
        cuts |= {(e - 1, e), (e, e), (e - 1, e - 1), (e - 5, e + 5), (e, len(whole) - 1), (0, e), (0, e - 1)}
    for a, b in sorted(cuts):
        r, body = u.get(Range=f"bytes={a}-{b}")
        assert body == whole[a:b + 1] and r["ContentRange"] == f"bytes {a}-{b}/{len(whole)}", (a, b)
    assert u.get(Range="bytes=-1005")[1] == whole[-1005:]
    with pytest.raises(ClientError) as e:
        u.get(Range=f"bytes={len(whole)}-")
    assert code_of(e) == ("InvalidRange", 416)


def test_get_and_head_of_one_part(begin, s3):
    bodies = [data_of(PART, 3), b"tail"]
    u = begin(ChecksumAlgorithm="CRC32")
    for n, b in enumerate(bodies, 1):
        u.part(n, b, ChecksumCRC32=crc32(b))
    u.complete()
    at = 0
    for n, b in enumerate(bodies, 1):
        r, body = u.get(PartNumber=n, ChecksumMode="ENABLED")
        h = s3.head_object(**u.name, PartNumber=n, ChecksumMode="ENABLED")
        assert body == b and r["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert r["ContentRange"] == h["ResponseMetadata"]["HTTPHeaders"]["content-range"] == f"bytes {at}-{at + len(b) - 1}/{PART + 4}"
        assert r["PartsCount"] == h["PartsCount"] == 2 and h["ContentLength"] == len(b)
        assert r["ETag"] == etag_of(bodies) and h["ChecksumCRC32"] == crc32(b)
        at += len(b)
    with pytest.raises(ClientError) as e:
        u.get(PartNumber=3)
    assert code_of(e) == ("InvalidPartNumber", 416)
    with pytest.raises(ClientError) as e:
        u.get(PartNumber=1, Range="bytes=0-1")
    assert code_of(e) == ("InvalidRequest", 400)
    s3.put_object(Bucket=u.name["Bucket"], Key="in-one", Body=b"whole")
    one = s3.get_object(Bucket=u.name["Bucket"], Key="in-one", PartNumber=1)
    assert one["Body"].read() == b"whole" and "PartsCount" not in one
    assert "PartsCount" not in s3.head_object(**u.name)


def test_a_part_sent_again_replaces(begin, server):
    u = begin()
    u.part(1, data_of(PART, 1))
    files = blobs(server)
    stale = dict(u.parts[1])
    u.part(1, data_of(PART, 2))
    eventually(lambda: blobs(server) == files)
    with pytest.raises(ClientError) as e:
        u.complete(parts=[stale])
    assert code_of(e) == ("InvalidPart", 400)
    u.complete()
    assert u.get()[1] == data_of(PART, 2)


def test_parts_left_out_are_removed(begin, server):
    u = begin()
    before = blobs(server)
    for n in (1, 2, 5, 9, 10000):
        u.part(n, data_of(PART, n))
    assert blobs(server) == before + 5
    u.complete([2, 9, 10000])
    assert u.get()[1] == b"".join(data_of(PART, n) for n in (2, 9, 10000))
    eventually(lambda: blobs(server) == before + 3)
    assert u.get(PartNumber=2)[1] == data_of(PART, 9)
    u.s3.delete_object(**u.name)
    eventually(lambda: blobs(server) == before)


def test_complete_again(begin, server):
    u = begin()
    u.part(1, data_of(PART))
    u.part(2, b"x")
    first, again = u.complete(), u.complete()
    assert first["ETag"] == again["ETag"]
    with pytest.raises(ClientError) as e:
        u.complete([1])
    assert code_of(e) == ("NoSuchUpload", 404)
    u.s3.put_object(**u.name, Body=b"other")
    with pytest.raises(ClientError) as e:
        u.complete()
    assert code_of(e) == ("NoSuchUpload", 404) and u.get()[1] == b"other"


def test_two_completes_at_once(begin):
    for _ in range(3):
        u = begin()
        for n in range(1, 3):
            u.part(n, data_of(PART, n))
        with ThreadPoolExecutor(2) as pool:
            etags = {r["ETag"] for r in pool.map(lambda _: u.complete(), range(2))}
        assert len(etags) == 1
        assert u.get()[1] == data_of(PART, 1) + data_of(PART, 2)


def test_complete_against_abort(begin):
    for _ in range(4):
        u = begin()
        u.part(1, data_of(PART))

        def attempt(what):
            try:
                what()
                return True
            except ClientError as e:
                assert e.response["Error"]["Code"] == "NoSuchUpload"
                return False
        with ThreadPoolExecutor(2) as pool:
            jobs = [pool.submit(attempt, u.complete), pool.submit(attempt, lambda: u.s3.abort_multipart_upload(**u.name, UploadId=u.id))]
        done, aborted = (j.result() for j in jobs)
        assert done != aborted
        if done:
            assert u.get()[1] == data_of(PART)


# --- what is refused ------------------------------------------------------------------------------------


def test_what_complete_refuses(begin, server, s3):
    u = begin()
    small = u.part(1, b"small")
    u.part(2, data_of(PART, 2))
    u.part(3, b"end")
    p = u.parts
    none = {"PartNumber": 7, "ETag": p[2]["ETag"]}
    for parts, want in (
            ([p[1], p[2]], "EntityTooSmall"), ([p[3], p[2]], "InvalidPartOrder"), ([p[2], p[2]], "InvalidPartOrder"),
            ([p[2], none], "InvalidPart"), ([none], "InvalidPart"), ([dict(p[2], ETag='"0"')], "InvalidPart"),
            ([dict(p[2], ETag=small["ETag"])], "InvalidPart"), ([dict(p[2], PartNumber=0)], "InvalidArgument"),
            ([dict(p[2], PartNumber=10001)], "InvalidArgument"), ([dict(p[2], PartNumber=-4)], "InvalidArgument"), ([], "InvalidRequest")):
        with pytest.raises(ClientError) as e:
            u.complete(parts=parts)
        assert code_of(e) == (want, 400), parts
        with pytest.raises(ClientError):
            s3.head_object(**u.name)
    path = f"/{u.name['Bucket']}/{u.name['Key']}?uploadId={u.id}"
    part = f"<Part><PartNumber>2</PartNumber><ETag>{p[2]['ETag']}</ETag></Part>"
    many = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>x</ETag></Part>" for n in range(1, 10001))
    for doc, want in (
            ("", "InvalidRequest"), ("<CompleteMultipartUpload>", "MalformedXML"), ("<Other>" + part + "</Other>", "MalformedXML"),
            ("<CompleteMultipartUpload><Part><PartNumber>2</PartNumber></Part></CompleteMultipartUpload>", "MalformedXML"),
            ("<CompleteMultipartUpload><Part><ETag>x</ETag></Part></CompleteMultipartUpload>", "MalformedXML"),
            ("<CompleteMultipartUpload><Part><PartNumber>two</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>", "MalformedXML"),
            ('<!DOCTYPE a [<!ENTITY b "c">]><CompleteMultipartUpload>' + part + "</CompleteMultipartUpload>", "MalformedXML"),
            ("<CompleteMultipartUpload>" + many + "</CompleteMultipartUpload>", "InvalidPart"),
            ("<CompleteMultipartUpload>" + many + "<Part><PartNumber>10001</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>",
             "InvalidArgument"),
            ("<CompleteMultipartUpload>" + "<a>" * 1000 + "</CompleteMultipartUpload>", "MalformedXML")):
        status, _, body = server.signed("POST", path, doc.encode())
        assert status == 400 and f"<Code>{want}</Code>" in body.decode(), (doc[:80], body)
    u.complete([2, 3])
    assert u.get()[1] == data_of(PART, 2) + b"end"


def test_numbers_and_ids(begin, server, s3, bucket):
    u = begin()
    for number in ("0", "10001", "-1", "x", "1.0", "", "99999999999999999999"):
        status, _, body = server.signed("PUT", f"/{bucket}/{u.name['Key']}?partNumber={number}&uploadId={u.id}", b"x")
        assert status == 400 and b"<Code>InvalidArgument</Code>" in body, number
    for wrong in ("0" * 16, "zz", "", u.id[:-1], u.id + "0", "f" * 16):
        for method, query in (("PUT", "partNumber=1&"), ("GET", ""), ("POST", ""), ("DELETE", "")):
            body = b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>"
            status, _, answer = server.signed(method, f"/{bucket}/{u.name['Key']}?{query}uploadId={wrong}", body if method == "POST" else b"")
            assert status == 404 and b"<Code>NoSuchUpload</Code>" in answer, (method, wrong, answer)
    other = unique("parts")
    s3.create_bucket(Bucket=other)
    for name in (dict(Bucket=bucket, Key="another"), dict(Bucket=other, Key=u.name["Key"])):
        with pytest.raises(ClientError) as e:
            s3.upload_part(**name, UploadId=u.id, PartNumber=1, Body=b"x")
        assert code_of(e) == ("NoSuchUpload", 404)
    with pytest.raises(ClientError) as e:
        s3.create_multipart_upload(Bucket="no-such-bucket-here", Key="k")
    assert code_of(e) == ("NoSuchBucket", 404)
    status, _, answer = server.signed("PUT", f"/{bucket}/k?partNumber=1", b"x")
    assert status == 501 and b"<Code>NotImplemented</Code>" in answer  # never a plain object
    with pytest.raises(ClientError):
        s3.head_object(Bucket=bucket, Key="k")


def test_digests_of_parts(begin):
    u = begin()
    wrong = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    with pytest.raises(ClientError) as e:
        u.part(1, b"body", ContentMD5=wrong)
    assert code_of(e) == ("BadDigest", 400)
    u = begin(ChecksumAlgorithm="SHA256")
    with pytest.raises(ClientError) as e:
        u.part(1, b"body", ChecksumSHA256=base64.b64encode(hashlib.sha256(b"other").digest()).decode())
    assert code_of(e) == ("BadDigest", 400)
    for more, word in (({"ChecksumCRC32": crc32(b"body")}, "crc32"), ({}, "null")):
        with pytest.raises(ClientError) as e:
            u.part(1, b"body", **more)
        assert code_of(e) == ("InvalidRequest", 400)
        assert e.value.response["Error"]["Message"] == (
            f"Checksum Type mismatch occurred, expected checksum Type: sha256, actual checksum Type: {word}")
    assert u.s3.list_parts(**u.name, UploadId=u.id).get("Parts", []) == []


def test_conditions(begin, server, s3):
    u = begin()
    u.part(1, b"first")
    header = lambda u, name, value: complete_with(server, u, {name: value})
    assert header(u, "If-Match", '"0"') == (404, "NoSuchKey")
    assert header(u, "If-None-Match", "*")[0] == 200
    v = begin(u.name["Key"])
    v.part(1, b"second")
    assert header(v, "If-None-Match", "*") == (412, "PreconditionFailed")
    assert header(v, "If-Match", '"0"') == (412, "PreconditionFailed")
    assert header(v, "If-Match", "*")[0] == 501
    assert u.get()[1] == b"first"
    assert header(v, "If-Match", s3.head_object(**u.name)["ETag"])[0] == 200
    assert u.get()[1] == b"second"


def complete_with(server, u, headers):
    """CompleteMultipartUpload with headers that boto3 may not know: (status, code)."""
    doc = "".join("<Part>" + "".join(f"<{k}>{v}</{k}>" for k, v in p.items()) + "</Part>" for _, p in sorted(u.parts.items()))
    status, _, body = server.signed("POST", f"/{u.name['Bucket']}/{u.name['Key']}?uploadId={u.id}",
                                    f"<CompleteMultipartUpload>{doc}</CompleteMultipartUpload>".encode(), headers=headers)
    found = re.search(rb"<Code>(\w+)</Code>", body)
    return status, found and found[1].decode()


# --- checksums -------------------------------------------------------------------------------------------


def test_composite_checksum(begin, server, s3):
    bodies = [data_of(PART, 1), b"end"]
    u = begin(ChecksumAlgorithm="CRC32")
    assert u.begun["ChecksumAlgorithm"] == "CRC32"
    for n, b in enumerate(bodies, 1):
        assert u.part(n, b, ChecksumCRC32=crc32(b))["ChecksumCRC32"] == crc32(b)
    listed = s3.list_parts(**u.name, UploadId=u.id)
    assert listed["ChecksumAlgorithm"] == "CRC32" and [p["ChecksumCRC32"] for p in listed["Parts"]] == [crc32(b) for b in bodies]
    right = crc32(b"".join(zlib.crc32(b).to_bytes(4, "big") for b in bodies))
    with pytest.raises(ClientError) as e:
        u.complete(parts=[u.parts[1], dict(u.parts[2], ChecksumCRC32=crc32(b"?"))])
    assert code_of(e) == ("InvalidPart", 400)
    assert e.value.response["Error"].items() >= {"UploadId": u.id, "PartNumber": "2", "ETag": u.parts[2]["ETag"].strip('"')}.items()
    for wrong, want in (({}, "InvalidRequest"), ({"ChecksumCRC32": "AAAA"}, "InvalidArgument"),
                        ({"ChecksumSHA1": base64.b64encode(bytes(20)).decode()}, "BadDigest")):
        with pytest.raises(ClientError) as e:
            u.complete(parts=[u.parts[1], {"PartNumber": 2, "ETag": u.parts[2]["ETag"], **wrong}])
        assert code_of(e) == (want, 400)
    for value, want in ((crc32(b"?") + "-2", "BadDigest"), (right + "-3", "BadDigest"), (right + "-x", "InvalidRequest"),
                        ("AAAA", "InvalidRequest")):
        assert complete_with(server, u, {"x-amz-checksum-crc32": value}) == (400, want)
    assert complete_with(server, u, {"x-amz-checksum-type": "FULL_OBJECT"}) == (400, "InvalidRequest")
    assert complete_with(server, u, {"x-amz-mp-object-size": "17"}) == (400, "InvalidRequest")
    assert complete_with(server, u, {"x-amz-checksum-crc32": right + "-2", "x-amz-checksum-type": "COMPOSITE",
                              "x-amz-mp-object-size": str(PART + 3)})[0] == 200
    assert u.complete()["ChecksumCRC32"] == right + "-2"
    r, body = u.get(ChecksumMode="ENABLED")
    assert r["ChecksumCRC32"] == right + "-2" and body == b"".join(bodies)
    assert r["ResponseMetadata"]["HTTPHeaders"]["x-amz-checksum-type"] == "COMPOSITE"


def test_checksum_of_all_bytes(server, bucket):
    bodies, key = [data_of(PART, 1), data_of(PART, 2), b"end"], unique("full")
    path = f"/{bucket}/{key}"
    status, headers, body = server.signed("POST", path + "?uploads", headers={"x-amz-checksum-algorithm": "CRC32",
                                                                           "x-amz-checksum-type": "FULL_OBJECT"})
    assert status == 200 and headers["x-amz-checksum-type"] == "FULL_OBJECT"
    upload = re.search(rb"<UploadId>(.*)</UploadId>", body)[1].decode()
    doc = ""
    for n, b in enumerate(bodies, 1):  # without a checksum of their own: they get one
        status, headers, _ = server.signed("PUT", f"{path}?partNumber={n}&uploadId={upload}", b)
        assert status == 200 and headers["x-amz-checksum-crc32"] == crc32(b)
        doc += f"<Part><PartNumber>{n}</PartNumber><ETag>{headers['etag']}</ETag></Part>"
    send = lambda more: server.signed("POST", f"{path}?uploadId={upload}", f"<CompleteMultipartUpload>{doc}</CompleteMultipartUpload>".encode(), headers=more)
    assert send({"x-amz-checksum-crc32": crc32(b"?")})[0] == 400
    status, _, body = send({"x-amz-checksum-crc32": crc32(b"".join(bodies)), "x-amz-checksum-type": "FULL_OBJECT"})
    assert status == 200 and f"<ChecksumCRC32>{crc32(b''.join(bodies))}</ChecksumCRC32>".encode() in body
    assert b"<ChecksumType>FULL_OBJECT</ChecksumType>" in body
    status, headers, _ = server.signed("HEAD", path, headers={"x-amz-checksum-mode": "ENABLED"})
    assert headers["x-amz-checksum-crc32"] == crc32(b"".join(bodies)) and headers["x-amz-checksum-type"] == "FULL_OBJECT"
    for alg, kind in (("SHA1", "FULL_OBJECT"), ("CRC64NVME", "COMPOSITE"), ("MD5", ""), ("", "FULL_OBJECT"), ("CRC32", "HALF")):
        asked = {k: v for k, v in (("x-amz-checksum-algorithm", alg), ("x-amz-checksum-type", kind)) if v}
        status, _, body = server.signed("POST", path + "?uploads", headers=asked)
        assert status == 400 and b"<Code>InvalidRequest</Code>" in body, asked


# --- copies ----------------------------------------------------------------------------------------------


def test_parts_from_objects(begin, s3, bucket):
    whole, key = data_of(2 * PART + 100, 6), "copied ü+/source"
    s3.upload_fileobj(io.BytesIO(whole), bucket, key, Config=boto3.s3.transfer.TransferConfig(multipart_threshold=PART, multipart_chunksize=PART))
    source = {"Bucket": bucket, "Key": key}
    u = begin()
    copy = lambda n, **more: s3.upload_part_copy(**u.name, UploadId=u.id, PartNumber=n, CopySource=source, **more)
    made = [copy(1, CopySourceRange=f"bytes=10-{PART + 20}"), copy(2), copy(3, CopySourceRange="bytes=0-0")]
    parts = [whole[10:PART + 21], whole, whole[:1]]
    assert [m["CopyPartResult"]["ETag"] for m in made] == [f'"{hashlib.md5(p).hexdigest()}"' for p in parts]
    for bad in (f"bytes=0-{len(whole)}", f"bytes={len(whole)}-{len(whole)}", "bytes=5-", "bytes=-5", "bytes=5-4", "items=0-1", "bytes=a-b", "0-5"):
        with pytest.raises(ClientError) as e:
            copy(4, CopySourceRange=bad)
        assert code_of(e) == ("InvalidArgument", 400), bad
    with pytest.raises(ClientError) as e:
        copy(4, CopySourceIfMatch='"0"')
    assert code_of(e) == ("PreconditionFailed", 412)
    for wrong, want in (({"Bucket": bucket, "Key": "nothing"}, "NoSuchKey"), ({"Bucket": "nothing-here", "Key": "x"}, "NoSuchBucket")):
        with pytest.raises(ClientError) as e:
            s3.upload_part_copy(**u.name, UploadId=u.id, PartNumber=4, CopySource=wrong)
        assert code_of(e) == (want, 404)
    u.complete(parts=[{"PartNumber": n, "ETag": m["CopyPartResult"]["ETag"]} for n, m in enumerate(made, 1)])
    assert u.get()[1] == b"".join(parts)


# --- lists, abort ------------------------------------------------------------------------------------------


def test_list_parts(begin, s3):
    u = begin()
    assert "Parts" not in s3.list_parts(**u.name, UploadId=u.id)
    for n in range(1, 8):
        u.part(n, b"%d" % n)
    pages, marker = [], 0
    while True:
        r = s3.list_parts(**u.name, UploadId=u.id, MaxParts=3, PartNumberMarker=marker)
        pages.append([(p["PartNumber"], p["Size"], p["ETag"]) for p in r["Parts"]])
        if not r["IsTruncated"]:
            break
        marker = r["NextPartNumberMarker"]
    assert [len(p) for p in pages] == [3, 3, 1]
    assert sum(pages, []) == [(n, 1, u.parts[n]["ETag"]) for n in range(1, 8)]
    assert [p["PartNumber"] for p in s3.get_paginator("list_parts").paginate(**u.name, UploadId=u.id, PaginationConfig={"PageSize": 2}).search("Parts[]")] == list(range(1, 8))


def test_list_uploads(s3):
    bucket = unique("uploads")
    s3.create_bucket(Bucket=bucket)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    keys = ["a", "b/1", "b/2", "b/2", "c ü", "c&d", "d/x/1", "d/y", "long/" + "x" * 1000, "z"]
    made = [(k, s3.create_multipart_upload(Bucket=bucket, Key=k)["UploadId"]) for k in keys]
    want = sorted(made, key=lambda m: (m[0].encode(), m[1]))
    every = lambda **more: [(x["Key"], x["UploadId"]) for r in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, **more) for x in r.get("Uploads", [])]
    for size in (1, 2, 3, 1000):
        assert every(PaginationConfig={"PageSize": size}) == want
    assert every(Prefix="b/") == [m for m in want if m[0].startswith("b/")]
    pages = list(s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": 1}))
    assert [p["Prefix"] for r in pages for p in r.get("CommonPrefixes", [])] == ["b/", "d/", "long/"]
    assert [x["Key"] for r in pages for x in r.get("Uploads", [])] == sorted(["a", "c ü", "c&d", "z"], key=str.encode)
    r = s3.list_multipart_uploads(Bucket=bucket, KeyMarker="b/2", UploadIdMarker=want[2][1], MaxUploads=1)
    assert [(x["Key"], x["UploadId"]) for x in r["Uploads"]] == [want[3]] and r["IsTruncated"]
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    for k, i in made:
        s3.abort_multipart_upload(Bucket=bucket, Key=k, UploadId=i)
        with pytest.raises(ClientError) as e:
            s3.abort_multipart_upload(Bucket=bucket, Key=k, UploadId=i)
        assert code_of(e) == ("NoSuchUpload", 404)
    assert every() == []
    s3.delete_bucket(Bucket=bucket)


def test_long_lists(begin, s3):
    bucket = unique("long")
    s3.create_bucket(Bucket=bucket)
    u = Upload(s3, bucket, "k" * 1000 + "é&")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: u.part(n, b"%d" % n), range(1, 201)))
        made = list(pool.map(lambda n: (f"{n % 90:03}/", Upload(s3, bucket, f"{n % 90:03}/").id), range(150)))
    assert [p["PartNumber"] for p in s3.list_parts(**u.name, UploadId=u.id)["Parts"]] == list(range(1, 201))
    r = s3.list_parts(**u.name, UploadId=u.id, MaxParts=130, PartNumberMarker=5)
    assert [p["PartNumber"] for p in r["Parts"]] == list(range(6, 136)) and r["IsTruncated"] and r["NextPartNumberMarker"] == 135
    want = sorted(made) + [(u.name["Key"], u.id)]
    assert [(x["Key"], x["UploadId"]) for x in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == want
    r = s3.list_multipart_uploads(Bucket=bucket, MaxUploads=100)
    assert [(x["Key"], x["UploadId"]) for x in r["Uploads"]] == want[:100]
    assert (r["NextKeyMarker"], r["NextUploadIdMarker"]) == want[99]
    r = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/", MaxUploads=70)
    assert len(r["CommonPrefixes"]) == 70 and r["NextKeyMarker"] == "069/"


def test_abort_while_parts_arrive(begin, server, s3):
    before, u = blobs(server), begin()
    u.part(1, data_of(PART))
    sign = server.sign("PUT", f"/{u.name['Bucket']}/{u.name['Key']}?partNumber=2&uploadId={u.id}", data_of(MB))
    head = "".join(f"{k}: {v}\r\n" for k, v in sign.items())
    with server.raw(f"PUT /{u.name['Bucket']}/{u.name['Key']}?partNumber=2&uploadId={u.id} HTTP/1.1\r\n{head}\r\n") as raw:
        raw.send(data_of(MB)[:MB // 2])
        time.sleep(0.05)
        s3.abort_multipart_upload(**u.name, UploadId=u.id)
        raw.send(data_of(MB)[MB // 2:])
        status, _, body = raw.answer()
    assert status == 404 and b"NoSuchUpload" in body
    eventually(lambda: blobs(server) == before)


def test_a_bucket_goes_with_its_uploads(s3, server):
    before, bucket = blobs(server), unique("gone")
    s3.create_bucket(Bucket=bucket)
    uploads = [Upload(s3, bucket, f"k{i % 7}") for i in range(20)]
    for u in uploads[:4]:
        u.part(1, data_of(PART))
    s3.delete_bucket(Bucket=bucket)
    eventually(lambda: blobs(server) == before)
    s3.create_bucket(Bucket=bucket)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    with pytest.raises(ClientError) as e:
        uploads[0].part(2, b"x")
    assert code_of(e) == ("NoSuchUpload", 404)


# --- readers, owners, events -------------------------------------------------------------------------------


def test_read_while_it_goes(begin, server, s3):
    bodies, before = [data_of(PART, n) for n in range(4)], blobs(server)
    for end in (lambda u: s3.delete_object(**u.name), lambda u: s3.put_object(**u.name, Body=b"new")):
        u = begin()
        for n, b in enumerate(bodies, 1):
            u.part(n, b)
        u.complete()
        r = s3.get_object(**u.name)
        got = r["Body"].read(100000)
        end(u)
        time.sleep(0.1)
        assert blobs(server) == before + 4  # held
        assert got + r["Body"].read() == b"".join(bodies)
        eventually(lambda: blobs(server) == before)


def test_event_and_function(server, s3):
    lam, bucket, name = server.client("lambda"), unique("ev"), unique("fn")
    role = server.make_role({"Effect": "Allow", "Action": "s3:*", "Resource": "*"})
    s3.create_bucket(Bucket=bucket)
    lam.create_function(FunctionName=name, Runtime="lua", Handler="handler.handler", Role=role, Code={"ZipFile": make_zip("""
        local s3 = require "s3"
        return { handler = function(event)
          local r = event.Records[1]
          local b, k = r.s3.bucket.name, r.s3.object.key
          if k == "seen" then return end
          local edge = s3.get(b, k, { range = { 5242875, 5242884 } })
          s3.put(b, "seen", r.eventName .. " " .. r.s3.object.size .. " " .. r.s3.object.eTag .. " " .. edge.body)
        end }""")})
    lam.add_permission(FunctionName=name, StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com", SourceArn=f"arn:aws:s3:::{bucket}")
    arn = lam.get_function(FunctionName=name)["Configuration"]["FunctionArn"]
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={"LambdaFunctionConfigurations": [
        {"LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:CompleteMultipartUpload"]}]})
    u = Upload(s3, bucket, "big")
    bodies = [data_of(PART - 5, 1) + b"-----", b"+++++tail"]
    for n, b in enumerate(bodies, 1):
        u.part(n, b)
    u.complete()

    def seen():
        try:
            return s3.get_object(Bucket=bucket, Key="seen")["Body"].read().decode()
        except ClientError:
            return None
    assert eventually(seen) == f"ObjectCreated:CompleteMultipartUpload {PART + 9} {etag_of(bodies)[1:-1]} -----+++++"


def test_code_from_a_bucket(begin, server):
    u, lam, name = begin(), server.client("lambda"), unique("fn")
    code = make_zip({"handler.lua": "return { main = function() return 'from parts' end }", "noise": data_of(6 * MB)})
    u.part(1, code[:PART])
    u.part(2, code[PART:])
    u.complete()
    lam.create_function(FunctionName=name, Runtime="lua", Handler="handler.main", Role=server.make_role(),
                        Code={"S3Bucket": u.name["Bucket"], "S3Key": u.name["Key"]})
    assert server.invoke(name, {})[0] == "from parts"


def test_many_parts_at_once(begin, server):
    u = begin()
    bodies = {n: data_of(PART + n, n) for n in range(1, 13)}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: u.part(n, bodies[n]), random.Random(3).sample(sorted(bodies), 12)))
    u.complete()
    assert u.get()[1] == b"".join(bodies[n] for n in sorted(bodies))


def test_transfer_manager(s3, bucket, tmp_path):
    whole = data_of(64 * MB, 9)
    (tmp_path / "up").write_bytes(whole)
    config = boto3.s3.transfer.TransferConfig(max_concurrency=8)
    s3.upload_file(str(tmp_path / "up"), bucket, "transfer", Config=config)
    s3.download_file(bucket, "transfer", str(tmp_path / "down"), Config=config)
    assert (tmp_path / "down").read_bytes() == whole
    assert s3.head_object(Bucket=bucket, Key="transfer")["ETag"].endswith('-8"')


@pytest.mark.parametrize("version", [pytest.param(v, marks=getattr(pytest.mark, v)) for v in ("aws_v1", "aws_v2")])
def test_aws_cp(version, server, bucket, tmp_path):
    program = aws_programs().get(version)
    if not program:
        pytest.skip(f"no {version} here")
    whole = data_of(20 * MB, 11)
    (tmp_path / "up").write_bytes(whole)
    server.aws(program, "s3", "cp", str(tmp_path / "up"), f"s3://{bucket}/cli")
    server.aws(program, "s3", "cp", f"s3://{bucket}/cli", f"s3://{bucket}/cli-copy")
    server.aws(program, "s3", "cp", f"s3://{bucket}/cli-copy", str(tmp_path / "down"))
    assert (tmp_path / "down").read_bytes() == whole
