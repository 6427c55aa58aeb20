"""Uploads from a browser's form: policies of both signatures, conditions, answers."""
import base64
import hashlib
import hmac
import http.client
import json
import random

import pytest

from perilune import ACCESS_KEY, SECRET_KEY, eventually, unique
from test_s3 import keys
from test_s3_policy import allow, document
from test_trigger import HANDLER, permit, rule, seen, watch


@pytest.fixture(scope="module")
def s3(server):
    return server.client("s3")


@pytest.fixture
def bucket(s3):
    name = unique("form")
    s3.create_bucket(Bucket=name)
    return name


def encode(fields, body, filename="name.txt", boundary="----form4711", after=()):
    parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode() for k, v in fields]
    if body is not None:
        parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\nContent-Type: text/file\r\n\r\n'.encode() + body + b"\r\n")
    parts += [f'--{boundary}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode() for k, v in after]
    return b"".join(parts) + f"--{boundary}--\r\n".encode(), {"Content-Type": f"multipart/form-data; boundary={boundary}"}


def post(server, bucket, fields, body=b"posted", **more):
    """(status, headers, body) of one form."""
    data, headers = encode(list(fields.items()) if isinstance(fields, dict) else fields, body, **more)
    c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        c.request("POST", f"/{bucket}", data, headers)
        r = c.getresponse()
        return r.status, {k.lower(): v for k, v in r.getheaders()}, r.read()
    finally:
        c.close()


def by_hand(conditions, expiration="2099-01-01T00:00:00Z", secret=SECRET_KEY, **changes):
    """The fields of a policy signed in the older form."""
    text = json.dumps({"expiration": expiration, "conditions": conditions, **changes})
    policy = base64.b64encode(text.encode()).decode()
    return {"AWSAccessKeyId": ACCESS_KEY, "policy": policy,
            "signature": base64.b64encode(hmac.new(secret.encode(), policy.encode(), hashlib.sha1).digest()).decode()}


@pytest.mark.boto3
@pytest.mark.http
@pytest.mark.parametrize("version", ["s3", "s3v4"])
@pytest.mark.parametrize("size", [0, 20, 1_500_000])
def test_presigned_post(server, s3, bucket, version, size):
    body = random.Random(size).randbytes(size)
    made = server.client("s3", signature_version=version).generate_presigned_post(
        bucket, "in/${filename}", Fields={"Content-Type": "text/x", "x-amz-meta-Colour": "blue", "success_action_status": "201"},
        Conditions=[["eq", "$Content-Type", "text/x"], ["starts-with", "$x-amz-meta-colour", "b"], {"success_action_status": "201"}, ["content-length-range", 0, 2_000_000]])
    status, headers, answer = post(server, bucket, made["fields"], body, filename="C/dir/ü &.bin")
    etag = hashlib.md5(body).hexdigest()
    assert status == 201 and f"<ETag>&quot;{etag}&quot;</ETag>".encode() in answer and "<Key>in/ü &amp;.bin</Key>".encode() in answer, answer
    assert headers["etag"] == f'"{etag}"' and headers["location"].endswith(f"/{bucket}/in/%C3%BC%20%26.bin")
    got = s3.get_object(Bucket=bucket, Key="in/ü &.bin")
    assert (got["Body"].read(), got["ContentType"], got["Metadata"]) == (body, "text/x", {"colour": "blue"})


@pytest.mark.http
def test_answers(server, s3, bucket):
    fields = by_hand([{"bucket": bucket}, ["starts-with", "$key", ""], ["StArTs-WiTh", "$SuCcEsS_action_redirect", ""], ["starts-with", "$success_action_status", ""]])
    assert post(server, bucket, {"key": "a", **fields})[::2] == (204, b"")
    assert post(server, bucket, {"key": "a", **fields, "success_action_status": "200", "success_action_redirect": "http:"})[::2] == (200, b"")
    assert post(server, bucket, {"key": "a", **fields, "success_action_status": "404", "success_action_redirect": "http:"})[0] == 204
    status, headers, _ = post(server, bucket, {"kEy": "a b", **fields, "success_action_redirect": "http://else/?x=1"})
    assert (status, headers["location"]) == (303, f"http://else/?x=1&bucket={bucket}&key=a%20b&etag=%22{hashlib.md5(b'posted').hexdigest()}%22")
    assert post(server, bucket, {"key": "a", **fields, "success_action_redirect": "http://else/\r\nSet-Cookie: a"})[0] == 204
    # what comes after the file is not read
    assert post(server, bucket, {"key": "late", **fields}, after=[("acl", "public-read")])[0] == 204
    assert keys(s3, bucket) == ["a", "a b", "late"]


REFUSED = {
    "expired": (lambda b: by_hand([{"bucket": b}, {"key": "k"}], "2020-01-01T00:00:00Z"), 403, "AccessDenied"),
    "other key": (lambda b: by_hand([{"bucket": b}, {"key": "else"}]), 403, "AccessDenied"),
    "other bucket": (lambda b: by_hand([{"bucket": "else"}, {"key": "k"}]), 403, "AccessDenied"),
    "extra field": (lambda b: {**by_hand([{"bucket": b}, {"key": "k"}]), "x-amz-meta-a": "1"}, 403, "AccessDenied"),
    "no condition on the key": (lambda b: by_hand([{"bucket": b}]), 403, "AccessDenied"),
    "too large": (lambda b: by_hand([{"bucket": b}, {"key": "k"}, ["content-length-range", 0, 5]]), 400, "EntityTooLarge"),
    "too small": (lambda b: by_hand([{"bucket": b}, {"key": "k"}, ["content-length-range", 7, 90]]), 400, "EntityTooSmall"),
    "bad range": (lambda b: by_hand([{"bucket": b}, {"key": "k"}, ["content-length-range", -1, 0]]), 400, "InvalidPolicyDocument"),
    "short range": (lambda b: by_hand([{"bucket": b}, {"key": "k"}, ["content-length-range", 512]]), 400, "InvalidPolicyDocument"),
    "empty condition": (lambda b: by_hand([{}]), 400, "InvalidPolicyDocument"),
    "no expiration": (lambda b: by_hand([{"key": "k"}], None), 400, "InvalidPolicyDocument"),
    "no conditions": (lambda b: by_hand(None), 400, "InvalidPolicyDocument"),
    "wrong secret": (lambda b: by_hand([{"bucket": b}, {"key": "k"}], secret="x"), 403, "SignatureDoesNotMatch"),
    "unknown key": (lambda b: {**by_hand([{"key": "k"}]), "AWSAccessKeyId": "AKIANOBODY"}, 403, "InvalidAccessKeyId"),
    "no signature": (lambda b: {k: v for k, v in by_hand([{"key": "k"}]).items() if k != "signature"}, 400, "InvalidArgument"),
    "no policy": (lambda b: {k: v for k, v in by_hand([{"key": "k"}]).items() if k != "policy"}, 400, "InvalidArgument"),
    "policy is no base64": (lambda b: {**by_hand([]), "policy": "%%", "signature": base64.b64encode(hmac.new(SECRET_KEY.encode(), b"%%", hashlib.sha1).digest()).decode()},
                            400, "InvalidPolicyDocument"),
    "nobody": (lambda b: {}, 403, "AccessDenied"),
    "acl": (lambda b: {**by_hand([{"key": "k"}, {"acl": "public-read"}]), "acl": "public-read"}, 400, "AccessControlListNotSupported"),
}


@pytest.mark.http
@pytest.mark.parametrize("name", REFUSED)
def test_refused(server, s3, bucket, name):
    make, status, code = REFUSED[name]
    for body in (b"posted", b"x" * 300_000 if name not in ("too small",) else b"posted"):
        got, _, answer = post(server, bucket, {"key": "k", **make(bucket)}, body)
        assert (got, f"<Code>{code}</Code>".encode() in answer) == (status, True), answer
    assert keys(s3, bucket) == []


@pytest.mark.http
def test_checksums(server, s3, bucket):
    field = "x-amz-checksum-sha256"
    fields = by_hand([{"key": "k"}, ["starts-with", f"${field}", ""]])
    for promised, status, code in ((b"posted", 204, b""), (b"else", 400, b"BadDigest"), (b"", 400, b"BadDigest")):
        value = base64.b64encode(hashlib.sha256(promised).digest()).decode()
        got, _, answer = post(server, bucket, {"key": "k", **fields, field: value})
        assert got == status and code in answer, answer
    assert post(server, bucket, {"key": "k", **fields, field: "none"})[0] == 400
    assert s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")["ChecksumSHA256"] == base64.b64encode(hashlib.sha256(b"posted").digest()).decode()


@pytest.mark.http
def test_no_forms(server, s3, bucket):
    fields = by_hand([["starts-with", "$key", ""]])
    for data, headers, status, code in (
            (b"x", {"Content-Type": "application/x-www-form-urlencoded"}, 412, b"PreconditionFailed"), (b"x", {"Content-Type": "multipart/form-data; boundary=b"}, 400, b"MalformedPOSTRequest"),
            (*encode(list(fields.items()), b"x"), 400, b"InvalidArgument"), (*encode([("key", "k"), *fields.items()], None), 400, b"InvalidArgument"),
            (encode([("key", "k"), *fields.items()], b"x" * 100)[0][:-60], {"Content-Type": "multipart/form-data; boundary=----form4711"}, 400, b"MalformedPOSTRequest"),
            (*encode([("key", "k" * 1025), *fields.items()], b"x"), 400, b"KeyTooLongError"), (*encode([("key", "k")] + [(f"x-ignore-{i}", "v") for i in range(120)], b"x"), 400, b"MalformedPOSTRequest"),
            (*encode([("key", "k"), ("x-ignore-a", "v" * 200_000)], b"x"), 413, b"EntityTooLarge")):
        c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        c.request("POST", f"/{bucket}", data, headers)
        r = c.getresponse()
        answer = r.read()
        assert (r.status, code in answer) == (status, True), (r.status, answer)
        c.close()
    assert post(server, unique("no"), {"key": "k", **fields})[0] == 404
    assert keys(s3, bucket) == []


@pytest.mark.http
def test_strangers_events_and_tags(server, s3, bucket):
    f = server.make_function(HANDLER)
    permit(server, f, bucket)
    watch(s3, bucket, rule(f, ("s3:ObjectCreated:*",)))
    s3.put_bucket_policy(Bucket=bucket, Policy=document(allow(bucket, "s3:PutObject", resource="/open/*")))
    assert post(server, bucket, {"key": "open/${filename}"})[0] == 204
    assert post(server, bucket, {"key": "closed/${filename}"})[0] == 403
    tags = "<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>"
    assert post(server, bucket, {"key": "t", "tagging": tags, **by_hand([{"key": "t"}, ["starts-with", "$tagging", ""]])})[0] == 204
    assert s3.get_object_tagging(Bucket=bucket, Key="t")["TagSet"] == [{"Key": "a", "Value": "1"}]
    eventually(lambda: len(seen(server, f)) == 2)
    assert {(r["eventName"], r["s3"]["object"]["key"]) for r in seen(server, f)} == {("ObjectCreated:Post", "open/name.txt"), ("ObjectCreated:Post", "t")}
