"""Many keys at once: DeleteObjects, ListObjectVersions, and what lists promise at their edges."""
import base64
import hashlib
import xml.etree.ElementTree as ET

import pytest

from perilune import eventually, unique
from test_s3 import keys, refused
from test_s3_policy import allow, document, stranger
from test_trigger import HANDLER, permit, rule, seen, watch


@pytest.fixture(scope="module")
def s3(server):
    return server.client("s3")


@pytest.fixture
def bucket(s3):
    name = unique("many")
    s3.create_bucket(Bucket=name)
    return name


def fill(s3, bucket, names):
    for name in names:
        s3.put_object(Bucket=bucket, Key=name, Body=name.encode())


# --- DeleteObjects ------------------------------------------------------------------------------------


def delete_document(objects, quiet=False):
    return {"Objects": [o if isinstance(o, dict) else {"Key": o} for o in objects], "Quiet": quiet}


@pytest.mark.boto3
def test_delete_objects(s3, bucket):
    names = [f"d/{i:04}" for i in range(300)] + ["é <&> \"x\" ", "a+b c", " lead", "x" * 1024]
    fill(s3, bucket, names + ["stays"])
    got = s3.delete_objects(Bucket=bucket, Delete=delete_document([*names, "never was"]))
    assert [d["Key"] for d in got["Deleted"]] == [*names, "never was"] and "Errors" not in got
    assert keys(s3, bucket) == ["stays"]
    fill(s3, bucket, ["a", "b"])
    quiet = s3.delete_objects(Bucket=bucket, Delete=delete_document(["a", {"Key": "b", "VersionId": "null"}], quiet=True))
    assert "Deleted" not in quiet and "Errors" not in quiet
    assert keys(s3, bucket) == ["stays"]
    with refused("NoSuchBucket", 404):
        s3.delete_objects(Bucket=unique("no"), Delete=delete_document(["a"]))


@pytest.mark.boto3
def test_delete_objects_errors_are_each_keys_own(s3, bucket):
    fill(s3, bucket, ["one", "two", "three"])
    got = s3.delete_objects(Bucket=bucket, Delete=delete_document([
        "one", {"Key": "two", "VersionId": "x"}, "y" * 1025, {"Key": "three", "VersionId": "3sL4kqtJlcpXroDTDmJrmSpXd3dIbrHY"}]))
    assert [d["Key"] for d in got["Deleted"]] == ["one", "three"]
    assert [(e["Key"][:3], e["Code"]) for e in got["Errors"]] == [("two", "InvalidArgument"), ("yyy", "KeyTooLongError")]
    assert keys(s3, bucket) == ["three", "two"]
    s3.put_bucket_policy(Bucket=bucket, Policy=document(allow(bucket, "s3:DeleteObject", resource="/two", effect="Deny")))
    got = s3.delete_objects(Bucket=bucket, Delete=delete_document(["two", "three"], quiet=True))
    assert [(e["Key"], e["Code"]) for e in got["Errors"]] == [("two", "AccessDenied")]
    assert keys(s3, bucket) == ["two"]


@pytest.mark.http
def test_delete_objects_by_strangers(server, s3, bucket):
    fill(s3, bucket, ["mine", "open/theirs"])
    s3.put_bucket_policy(Bucket=bucket, Policy=document(allow(bucket, "s3:DeleteObject", resource="/open/*")))
    body = b"<Delete><Object><Key>mine</Key></Object><Object><Key>open/theirs</Key></Object></Delete>"
    md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
    status, _, answer = stranger(server, "POST", f"/{bucket}?delete", body, {"Content-MD5": md5})
    assert status == 200 and b"<Deleted><Key>open/theirs</Key></Deleted>" in answer
    assert b"<Error><Key>mine</Key><Code>AccessDenied</Code>" in answer
    assert keys(s3, bucket) == ["mine"]


@pytest.mark.http
@pytest.mark.parametrize("body", [b"", b"<Delete/>", b"<Delete><Quiet>true</Quiet></Delete>", b"<Delete><Object/></Delete>",
                                  b"<Delete><Object><Key></Key></Object></Delete>", b"<Delete><Object><Key>k</Key></Object>",
                                  b"<Erase><Object><Key>k</Key></Object></Erase>", b"<Delete><Object><Key>k</Key></Object><More/></Delete>",
                                  b"<Delete>" + b"<Object><Key>k</Key></Object>" * 1001 + b"</Delete>"], ids=range(9))
def test_delete_objects_malformed(server, s3, bucket, body):
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
    status, _, answer = server.signed("POST", f"/{bucket}?delete=", body, headers={"Content-MD5": md5})
    assert status == 400 and b"<Code>MalformedXML</Code>" in answer, answer
    assert keys(s3, bucket) == ["k"]


@pytest.mark.http
def test_delete_objects_digests(server, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    body = b"<Delete><Object><Key>k</Key></Object></Delete>"
    for headers, code in (({}, "InvalidRequest"), ({"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="}, "BadDigest"), ({"Content-MD5": "x"}, "InvalidDigest"),
                          ({"x-amz-checksum-crc32": "AAAAAA=="}, "BadDigest"), ({"x-amz-checksum-sha256": "AAAA"}, "InvalidRequest")):
        status, _, answer = server.signed("POST", f"/{bucket}?delete=", body, headers=headers)
        assert status == 400 and f"<Code>{code}</Code>".encode() in answer, (headers, answer)
    assert keys(s3, bucket) == ["k"]
    sha = base64.b64encode(hashlib.sha256(body).digest()).decode()
    assert server.signed("POST", f"/{bucket}?delete=", body, headers={"x-amz-checksum-sha256": sha})[0] == 200
    assert keys(s3, bucket) == []


@pytest.mark.http
def test_delete_a_thousand_long_keys(server, s3, bucket):
    names = [f"{i:04}" + "%" * 1020 for i in range(1000)]
    body = ("<Delete>" + "".join(f"<Object><Key>{n}</Key><VersionId>null</VersionId></Object>" for n in names) + "</Delete>").encode()
    s3.put_object(Bucket=bucket, Key=names[500], Body=b"")
    md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
    status, _, answer = server.signed("POST", f"/{bucket}?delete=", body, headers={"Content-MD5": md5})
    assert status == 200, answer[:500]
    assert [e.text for e in ET.fromstring(answer).iter("{http://s3.amazonaws.com/doc/2006-03-01/}Key")] == names
    assert keys(s3, bucket) == []


@pytest.mark.http
def test_delete_one_state(server, s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"one")["ETag"]
    assert server.signed("DELETE", f"/{bucket}/k", headers={"If-Match": '"else"'})[0] == 412
    s3.put_object(Bucket=bucket, Key="any", Body=b"")
    body = (b'<Delete><Object><Key>k</Key><ETag>"else"</ETag></Object><Object><Key>none</Key><ETag>"else"</ETag></Object>'
            b"<Object><Key>any</Key><ETag>*</ETag></Object></Delete>")
    md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
    answer = server.signed("POST", f"/{bucket}?delete=", body, headers={"Content-MD5": md5})[2]
    assert b"<Error><Key>k</Key><Code>PreconditionFailed</Code>" in answer and b"<Deleted><Key>none</Key></Deleted>" in answer
    assert keys(s3, bucket) == ["k"]
    assert server.signed("DELETE", f"/{bucket}/k", headers={"If-Match": etag})[0] == 204
    assert server.signed("DELETE", f"/{bucket}/k", headers={"If-Match": etag})[0] == 204
    assert keys(s3, bucket) == []


@pytest.mark.boto3
def test_delete_objects_sends_events(server, s3, bucket):
    f = server.make_function(HANDLER)
    permit(server, f, bucket)
    fill(s3, bucket, ["a", "b", "c"])
    watch(s3, bucket, rule(f, ("s3:ObjectRemoved:*", "s3:ObjectTagging:*")))
    s3.delete_objects(Bucket=bucket, Delete=delete_document(["a", "c", "never was"]))
    s3.put_object_tagging(Bucket=bucket, Key="b", Tagging={"TagSet": [{"Key": "t", "Value": "1"}]})
    s3.delete_object_tagging(Bucket=bucket, Key="b")
    eventually(lambda: len(seen(server, f)) >= 4)
    got = sorted((r["eventName"], r["s3"]["object"]["key"]) for r in seen(server, f))
    assert got == [("ObjectRemoved:Delete", "a"), ("ObjectRemoved:Delete", "c"), ("ObjectTagging:Delete", "b"), ("ObjectTagging:Put", "b")]


# --- versions -----------------------------------------------------------------------------------------


@pytest.mark.boto3
def test_list_object_versions(s3, bucket):
    names = sorted([f"a/{i:03}" for i in range(70)] + [f"b/{i}" for i in range(3)] + ["c", "d &<é"])
    fill(s3, bucket, names)
    pages = list(s3.get_paginator("list_object_versions").paginate(Bucket=bucket, PaginationConfig={"PageSize": 20}))
    versions = [v for p in pages for v in p.get("Versions", [])]
    assert [v["Key"] for v in versions] == names and len(pages) == 4
    assert {(v["VersionId"], v["IsLatest"], v["StorageClass"]) for v in versions} == {("null", True, "STANDARD")}
    assert versions[0]["ETag"] == '"%s"' % hashlib.md5(b"a/000").hexdigest() and versions[0]["Size"] == 5 and versions[0]["Owner"]["ID"]
    assert not any("DeleteMarkers" in p for p in pages)
    first = s3.list_object_versions(Bucket=bucket, Delimiter="/", MaxKeys=2)
    assert [p["Prefix"] for p in first["CommonPrefixes"]] == ["a/", "b/"] and first["IsTruncated"] and first["NextKeyMarker"] == "b/"
    rest = s3.list_object_versions(Bucket=bucket, Delimiter="/", KeyMarker=first["NextKeyMarker"])
    assert [v["Key"] for v in rest["Versions"]] == ["c", "d &<é"] and "CommonPrefixes" not in rest
    assert [v["Key"] for v in s3.list_object_versions(Bucket=bucket, Prefix="b/")["Versions"]] == ["b/0", "b/1", "b/2"]
    # how tools empty a bucket
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        s3.delete_objects(Bucket=bucket, Delete=delete_document([{"Key": v["Key"], "VersionId": v["VersionId"]} for v in page["Versions"]]))
    assert "Versions" not in s3.list_object_versions(Bucket=bucket)
    with refused("NoSuchBucket", 404):
        s3.list_object_versions(Bucket=unique("no"))


@pytest.mark.http
@pytest.mark.parametrize("query", ["versions&version-id-marker=null", "versions&key-marker=a&version-id-marker=", "versions&key-marker=a&version-id-marker=x",
                                   "versions&max-keys=-1", "versions&max-keys=2147483648", "versions&encoding-type=x", "list-type=2&continuation-token=",
                                   "list-type=2&continuation-token=%21", "max-keys=1.5"])
def test_list_arguments_refused(server, bucket, query):
    status, _, body = server.signed("GET", f"/{bucket}?{'&'.join(q if '=' in q else q + '=' for q in query.split('&'))}")
    assert status == 400 and b"<Code>InvalidArgument</Code>" in body, body


@pytest.mark.http
def test_list_edges(server, s3, bucket):
    fill(s3, bucket, ["a", "b", "c\x01d"])
    for query in ("max-keys=0", "list-type=2&max-keys=0", "versions=&max-keys=0"):
        body = server.signed("GET", f"/{bucket}?{query}")[2]
        assert b"<MaxKeys>0</MaxKeys>" in body and b"<IsTruncated>false</IsTruncated>" in body and b"<Key>" not in body
    assert b"<MaxKeys>1000</MaxKeys>" in server.signed("GET", f"/{bucket}?max-keys=5000")[2]
    assert b"<Owner>" not in server.signed("GET", f"/{bucket}?list-type=2")[2]
    assert server.signed("GET", f"/{bucket}?fetch-owner=true&list-type=2")[2].count(b"<Owner>") == 3
    assert b"<Key>c%01d</Key>" in server.signed("GET", f"/{bucket}?encoding-type=url&versions=")[2]
    page = server.signed("GET", f"/{bucket}?max-keys=1")[2]
    assert b"<IsTruncated>true</IsTruncated>" in page and b"<NextMarker>" not in page
    page = server.signed("GET", f"/{bucket}?delimiter=%2F&max-keys=1")[2]
    assert b"<NextMarker>a</NextMarker>" in page
    assert b"<StartAfter>a</StartAfter>" in server.signed("GET", f"/{bucket}?list-type=2&start-after=a")[2]
