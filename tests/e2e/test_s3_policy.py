"""Policies of buckets: who gets in through one, and what a document may say."""
import http.client
import json

import pytest

from perilune import unique
from test_s3 import refused


@pytest.fixture(scope="module")
def s3(server):
    return server.client("s3")


@pytest.fixture
def bucket(s3):
    name = unique("policy")
    s3.create_bucket(Bucket=name)
    return name


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(bucket, *actions, resource="/*", principal="*", effect="Allow", **more):
    return dict(Effect=effect, Principal=principal, Action=list(actions), Resource=f"arn:aws:s3:::{bucket}{resource}", **more)


def stranger(server, method, path, body=None, headers=None):
    """An unsigned request: (status, headers, body)."""
    c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        c.request(method, path, body, headers or {})
        r = c.getresponse()
        return r.status, {k.lower(): v for k, v in r.getheaders()}, r.read()
    finally:
        c.close()


@pytest.mark.http
def test_strangers_stay_out(server, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"secret")
    for method, path in (("GET", "/k"), ("HEAD", "/k"), ("PUT", "/new"), ("DELETE", "/k"), ("GET", ""), ("GET", "?policy"), ("DELETE", ""),
                         ("PUT", "?policy"), ("GET", "/k?tagging"), ("POST", "?delete")):
        status, _, body = stranger(server, method, f"/{bucket}{path}", b"x" if method in ("PUT", "POST") else None)
        assert status == 403 and (method == "HEAD" or b"<Code>AccessDenied</Code>" in body), (method, path, status, body)
    assert stranger(server, "GET", "/")[0] == 403
    assert stranger(server, "GET", f"/{unique('no')}/k")[0] == 404
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"secret"


@pytest.mark.boto3
@pytest.mark.http
def test_public_reading(server, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"body", ContentType="text/plain")
    text = document(allow(bucket, "s3:GetObject"))
    s3.put_bucket_policy(Bucket=bucket, Policy=text)
    assert s3.get_bucket_policy(Bucket=bucket)["Policy"] == text
    assert s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"]
    status, headers, body = stranger(server, "GET", f"/{bucket}/k")
    assert (status, body, headers["content-type"]) == (200, b"body", "text/plain")
    assert stranger(server, "HEAD", f"/{bucket}/k")[0] == 200
    assert stranger(server, "GET", f"/{bucket}/k", headers={"Range": "bytes=1-2"})[2] == b"od"
    # who may not list does not learn which keys there are
    assert stranger(server, "GET", f"/{bucket}/other")[0] == 403
    assert stranger(server, "GET", f"/{bucket}")[0] == 403
    assert stranger(server, "PUT", f"/{bucket}/k", b"overwritten")[0] == 403
    status, _, body = stranger(server, "GET", f"/{bucket}/k?response-content-type=text/html")
    assert status == 400 and b"<Code>InvalidRequest</Code>" in body
    s3.put_bucket_policy(Bucket=bucket, Policy=document(allow(bucket, "s3:GetObject"), allow(bucket, "s3:ListBucket", resource="")))
    assert stranger(server, "GET", f"/{bucket}/other")[0] == 404
    assert b"<Key>k</Key>" in stranger(server, "GET", f"/{bucket}?list-type=2")[2]
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={"RestrictPublicBuckets": True})
    assert stranger(server, "GET", f"/{bucket}/k")[0] == 403
    s3.delete_public_access_block(Bucket=bucket)
    assert stranger(server, "GET", f"/{bucket}/k")[0] == 200
    s3.delete_bucket_policy(Bucket=bucket)
    s3.delete_bucket_policy(Bucket=bucket)
    assert stranger(server, "GET", f"/{bucket}/k")[0] == 403


@pytest.mark.boto3
@pytest.mark.http
@pytest.mark.parametrize("name", ["schedules", "schedule-groups"])
def test_public_reading_of_a_bucket_named_as_a_path(server, s3, name):
    """EventBridge Scheduler's paths: where there is such a bucket, a stranger can only mean that."""
    status, headers, body = stranger(server, "GET", f"/{name}/a")
    assert status == 403 and headers["x-amzn-errortype"] == "MissingAuthenticationTokenException", body
    s3.create_bucket(Bucket=name)
    try:
        s3.put_object(Bucket=name, Key="a/k", Body=b"body")
        s3.put_bucket_policy(Bucket=name, Policy=document(allow(name, "s3:GetObject"), allow(name, "s3:ListBucket", resource="")))
        assert stranger(server, "GET", f"/{name}/a/k")[::2] == (200, b"body")
        assert b"<Key>a/k</Key>" in stranger(server, "GET", f"/{name}?list-type=2")[2]
        assert server.client("scheduler").list_schedules()["Schedules"] == []  # who signs says which service is meant
    finally:
        s3.delete_object(Bucket=name, Key="a/k")
        s3.delete_bucket(Bucket=name)


@pytest.mark.http
def test_public_writing(server, s3, bucket):
    s3.put_bucket_policy(Bucket=bucket, Policy=document(allow(bucket, "s3:PutObject", resource="/in/*")))
    body = b"w" * 100000
    assert stranger(server, "PUT", f"/{bucket}/in/k", body)[0] == 200
    assert s3.get_object(Bucket=bucket, Key="in/k")["Body"].read() == body
    assert stranger(server, "PUT", f"/{bucket}/out", body)[0] == 403
    assert stranger(server, "PUT", f"/{bucket}/in/t", b"", {"x-amz-tagging": "a=b"})[0] == 403
    assert stranger(server, "GET", f"/{bucket}/in/k")[0] == 403


@pytest.mark.boto3
def test_denials_bind_the_root_user(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    s3.put_bucket_policy(Bucket=bucket, Policy=document(allow(bucket, "s3:*", effect="Deny"), allow(bucket, "s3:*", effect="Deny", resource="")))
    for call in (lambda: s3.get_object(Bucket=bucket, Key="k"), lambda: s3.put_object(Bucket=bucket, Key="n", Body=b""),
                 lambda: s3.list_objects_v2(Bucket=bucket), lambda: s3.delete_bucket(Bucket=bucket)):
        with refused("AccessDenied", 403):
            call()
    s3.get_bucket_policy(Bucket=bucket)
    s3.delete_bucket_policy(Bucket=bucket)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"


@pytest.mark.boto3
def test_public_or_not(s3, bucket):
    def public(*statements):
        s3.put_bucket_policy(Bucket=bucket, Policy=document(*statements))
        return s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"]
    assert public(allow(bucket, "s3:GetObject", principal={"AWS": ["*"]}))
    assert not public(allow(bucket, "s3:GetObject", principal={"AWS": "arn:aws:iam::000000000000:root"}))
    assert not public(allow(bucket, "s3:GetObject", effect="Deny"))
    assert not public(allow(bucket, "s3:GetObject", Condition={"StringEquals": {"aws:SourceAccount": "000000000000"}}))
    assert public(allow(bucket, "s3:GetObject", Condition={"StringLike": {"aws:SourceAccount": "*"}}))


@pytest.mark.boto3
@pytest.mark.parametrize("text", ["", "x", "{}", "[]", '{"Version":"2012-10-17","Statement":[]}',
                                  document({"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject"}),
                                  document({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::BUCKET/*"}),
                                  document(allow("another-bucket", "s3:GetObject")), document(allow("BUCKET", "ec2:RunInstances")),
                                  document(dict(allow("BUCKET", "s3:GetObject"), Effect="Perhaps"))], ids=range(10))
def test_policy_refused(s3, bucket, text):
    kept = document(allow(bucket, "s3:GetObject"))
    s3.put_bucket_policy(Bucket=bucket, Policy=kept)
    with refused("MalformedPolicy", 400):
        s3.put_bucket_policy(Bucket=bucket, Policy=text.replace("BUCKET", bucket))
    assert s3.get_bucket_policy(Bucket=bucket)["Policy"] == kept


@pytest.mark.boto3
def test_policy_too_large(s3, bucket):
    with refused("PolicyTooLarge", 400):
        s3.put_bucket_policy(Bucket=bucket, Policy=document(*(allow(bucket, "s3:GetObject", resource=f"/{'x' * 900}{i}") for i in range(21))))
    with refused("NoSuchBucketPolicy", 404):
        s3.get_bucket_policy(Bucket=bucket)
