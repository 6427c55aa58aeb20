"""What browsers and web servers meet: CORS, buckets as hosts, links."""
import http.client
import urllib.parse
import urllib.request

import boto3
import pytest
from botocore.config import Config

from perilune import ACCESS_KEY, REGION, SECRET_KEY, Server, unique
from test_s3 import refused
from test_s3_policy import allow, document, stranger

DOMAIN = "buckets.test"


@pytest.fixture(scope="module")
def server():
    s = Server("--domain", DOMAIN)
    yield s
    s.close()


@pytest.fixture(scope="module")
def s3(server):
    return server.client("s3")


@pytest.fixture
def bucket(s3):
    name = unique("web")
    s3.create_bucket(Bucket=name)
    return name


# --- CORS ---------------------------------------------------------------------------------------------


RULES = [
    {"ID": "uploads", "AllowedOrigins": ["https://app.example", "https://*.test"], "AllowedMethods": ["PUT", "POST"], "AllowedHeaders": ["content-*", "x-amz-meta-a"],
     "ExposeHeaders": ["ETag", "x-amz-request-id"], "MaxAgeSeconds": 600},
    {"AllowedOrigins": ["*"], "AllowedMethods": ["GET", "HEAD"]},
]


def preflight(server, path, origin="https://app.example", method="PUT", headers=None):
    asked = {"Origin": origin, "Access-Control-Request-Method": method}
    if headers:
        asked["Access-Control-Request-Headers"] = headers
    return stranger(server, "OPTIONS", path, headers={k: v for k, v in asked.items() if v})


@pytest.mark.boto3
@pytest.mark.http
def test_cors(server, s3, bucket):
    with refused("NoSuchCORSConfiguration", 404):
        s3.get_bucket_cors(Bucket=bucket)
    status, _, body = preflight(server, f"/{bucket}/k")
    assert status == 403 and b"CORS is not enabled for this bucket" in body
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": RULES})
    assert s3.get_bucket_cors(Bucket=bucket)["CORSRules"] == RULES

    status, got, body = preflight(server, f"/{bucket}/k", headers="Content-Type, X-Amz-Meta-A")
    assert (status, body) == (200, b"")
    assert got["access-control-allow-origin"] == "https://app.example" and got["access-control-allow-credentials"] == "true"
    assert got["access-control-allow-methods"] == "PUT, POST" and got["access-control-max-age"] == "600"
    assert got["access-control-allow-headers"].lower() == "content-type, x-amz-meta-a"
    assert got["access-control-expose-headers"] == "ETag, x-amz-request-id" and "Origin" in got["vary"]
    assert preflight(server, f"/{bucket}/k", origin="https://x.test")[1]["access-control-allow-origin"] == "https://x.test"
    status, got, _ = preflight(server, f"/{bucket}", origin="http://anything", method="GET")
    assert status == 200 and got["access-control-allow-origin"] == "*" and "access-control-allow-credentials" not in got
    for refusal in ({"origin": "https://evil.example"}, {"method": "DELETE"}, {"headers": "x-amz-meta-b"}, {"origin": "https://test"}):
        status, got, body = preflight(server, f"/{bucket}/k", **refusal)
        assert status == 403 and b"<Code>AccessForbidden</Code>" in body and "access-control-allow-origin" not in got, refusal
    for bad in ({"origin": None}, {"method": None}):
        assert preflight(server, f"/{bucket}/k", **bad)[0] == 400

    # the request itself: headers whatever the answer is, nobody is kept out by CORS
    url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "k"})
    put = urllib.request.Request(url, b"page", {"Origin": "https://app.example", "Content-Type": ""}, method="PUT")
    with urllib.request.urlopen(put) as r:
        assert r.status == 200 and r.headers["Access-Control-Allow-Origin"] == "https://app.example" and r.headers["Access-Control-Expose-Headers"]
    status, got, _ = stranger(server, "GET", f"/{bucket}/k", headers={"Origin": "http://else"})
    assert status == 403 and got["access-control-allow-origin"] == "*"
    assert "access-control-allow-origin" not in stranger(server, "GET", f"/{bucket}/k")[1]
    s3.delete_bucket_cors(Bucket=bucket)
    assert "access-control-allow-origin" not in stranger(server, "GET", f"/{bucket}/k", headers={"Origin": "http://else"})[1]
    with refused("NoSuchCORSConfiguration", 404):
        s3.get_bucket_cors(Bucket=bucket)


@pytest.mark.boto3
@pytest.mark.parametrize("rule, code", [
    ({"AllowedOrigins": ["*"], "AllowedMethods": ["PATCH"]}, "InvalidRequest"), ({"AllowedOrigins": ["http://*.*"], "AllowedMethods": ["GET"]}, "InvalidRequest"),
    ({"AllowedOrigins": ["*"], "AllowedMethods": ["GET"], "ExposeHeaders": ["x-*"]}, "InvalidRequest"), ({"AllowedOrigins": [], "AllowedMethods": ["GET"]}, "MalformedXML"),
    ({"AllowedOrigins": ["a b"], "AllowedMethods": ["GET"]}, "MalformedXML"), ({"AllowedOrigins": ["*"], "AllowedMethods": ["GET"], "MaxAgeSeconds": -1}, "MalformedXML")])
def test_cors_refused(s3, bucket, rule, code):
    with refused(code, 400):
        s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})
    with refused("NoSuchCORSConfiguration", 404):
        s3.get_bucket_cors(Bucket=bucket)


# --- buckets as hosts ---------------------------------------------------------------------------------


def to_this_server(server, client):
    """Requests to BUCKET.DOMAIN leave signed for that host and go to the server's port."""
    def redirect(request, **_):
        parts = urllib.parse.urlsplit(request.url)
        request.headers["Host"] = parts.netloc
        request.url = parts._replace(netloc=f"127.0.0.1:{server.port}").geturl()
    client.meta.events.register("before-send.s3", redirect)
    return client


def at_domain(server, **config):
    client = boto3.client("s3", endpoint_url=f"http://{DOMAIN}:{server.port}", region_name=REGION, aws_access_key_id=ACCESS_KEY,
                          aws_secret_access_key=SECRET_KEY, config=Config(s3={"addressing_style": "virtual"}, retries={"max_attempts": 0}, **config))
    return to_this_server(server, client)


def by_host(server, method, host, target, body=None):
    c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        c.putrequest(method, target, skip_host=True)
        c.putheader("Host", host)
        if body is not None:
            c.putheader("Content-Length", str(len(body)))
        c.endheaders(body)
        r = c.getresponse()
        return r.status, r.read()
    finally:
        c.close()


@pytest.mark.boto3
def test_buckets_as_hosts(server, s3):
    client, name = at_domain(server), unique("host")
    client.create_bucket(Bucket=name)
    for key in ("k", "a/b c+ü", "healthz", "url/f/x", "perilune/v1/status", "2015-03-31/functions"):
        client.put_object(Bucket=name, Key=key, Body=key.encode())
        assert client.get_object(Bucket=name, Key=key)["Body"].read() == key.encode()
        assert s3.get_object(Bucket=name, Key=key)["Body"].read() == key.encode()
    assert len(client.list_objects_v2(Bucket=name)["Contents"]) == 6
    client.copy_object(Bucket=name, Key="c", CopySource={"Bucket": name, "Key": "k"})
    client.delete_objects(Bucket=name, Delete={"Objects": [{"Key": o["Key"]} for o in client.list_objects_v2(Bucket=name)["Contents"]]})
    client.delete_bucket(Bucket=name)
    with refused("404", 404):
        s3.head_bucket(Bucket=name)


@pytest.mark.http
def test_hosts_and_strangers(server, s3, bucket):
    s3.put_object(Bucket=bucket, Key="healthz", Body=b"an object")
    s3.put_bucket_policy(Bucket=bucket, Policy=document(allow(bucket, "s3:GetObject")))
    assert by_host(server, "GET", f"{bucket}.{DOMAIN}", "/healthz") == (200, b"an object")
    assert by_host(server, "GET", f"{bucket}.{DOMAIN.upper()}:80", "/healthz") == (200, b"an object")
    assert by_host(server, "GET", DOMAIN, f"/{bucket}/healthz") == (200, b"an object")
    status, body = by_host(server, "GET", f"{bucket}.else.test", "/healthz")
    assert status == 200 and body != b"an object"
    assert by_host(server, "GET", f"{bucket}.{DOMAIN}", "/")[0] == 403
    assert by_host(server, "GET", f"{unique('no')}.{DOMAIN}", "/healthz")[0] == 404


@pytest.mark.boto3
@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_links_to_hosts(server, s3, bucket, version):
    s3.put_object(Bucket=bucket, Key="a b", Body=b"linked")
    url = urllib.parse.urlsplit(at_domain(server, signature_version=version).generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a b"}))
    assert url.netloc.startswith(f"{bucket}.{DOMAIN}")
    assert by_host(server, "GET", url.netloc, f"{url.path}?{url.query}") == (200, b"linked")
    assert by_host(server, "GET", f"other.{DOMAIN}", f"{url.path}?{url.query}")[0] == 403
