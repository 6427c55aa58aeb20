"""Links: signed by version 4 and by the form before it, used by who knows no key: curl, a browser, urllib."""
import base64
import datetime
import hashlib
import http.client
import re
import shutil
import subprocess
import time
import urllib.parse

import boto3
import pytest
from botocore.config import Config

from conftest import aws_programs
from perilune import ACCESS_KEY, REGION, SECRET_KEY

BUCKET = "links"
AWS = aws_programs()
KEYS = ["plain", "a b+ü/ß%.jpg", "dir//x", "~tilde'(*)!", "q?x=1&y#z"]


def client_of(server, version, **more):
    return boto3.client("s3", endpoint_url=server.url, region_name=REGION, aws_access_key_id=more.pop("key", ACCESS_KEY),
                        aws_secret_access_key=more.pop("secret", SECRET_KEY), config=Config(signature_version=version, **more))


@pytest.fixture(scope="module", params=["s3v4", "s3"], ids=["v4", "older"])
def linker(server, request):
    """boto3 of Debian, making links of one kind."""
    client = client_of(server, request.param)
    if BUCKET not in [b["Name"] for b in client_of(server, "s3v4").list_buckets()["Buckets"]]:
        client_of(server, "s3v4").create_bucket(Bucket=BUCKET)
    client.kind = request.param
    return client


@pytest.fixture(scope="module")
def s3(server):
    client = client_of(server, "s3v4")
    if BUCKET not in [b["Name"] for b in client.list_buckets()["Buckets"]]:
        client.create_bucket(Bucket=BUCKET)
    return client


def use(url, method="GET", body=None, headers=()):
    """(status, headers, body) of one plain request."""
    at = urllib.parse.urlsplit(url)
    c = http.client.HTTPConnection(at.netloc, timeout=20)
    try:
        c.request(method, f"{at.path}?{at.query}" if at.query else at.path, body, dict(headers))
        r = c.getresponse()
        return r.status, {k.lower(): v for k, v in r.getheaders()}, r.read()
    finally:
        c.close()


def code(answer):
    found = re.search(rb"<Code>(\w+)</Code>", answer[2])
    return answer[0], found[1].decode() if found else None


def link(client, op, seconds=3600, **params):
    return client.generate_presigned_url(op, Params={"Bucket": BUCKET, **params}, ExpiresIn=seconds)


# --- each verb ----------------------------------------------------------------------------------------


@pytest.mark.boto3
@pytest.mark.parametrize("key", KEYS)
def test_the_life_of_an_object(linker, key):
    body = key.encode() * 1000
    assert use(link(linker, "put_object", Key=key), "PUT", body)[:1] == (200,)
    status, headers, got = use(link(linker, "get_object", Key=key))
    assert (status, got, headers["etag"]) == (200, body, f'"{hashlib.md5(body).hexdigest()}"')
    status, headers, got = use(link(linker, "head_object", Key=key), "HEAD")
    assert (status, headers["content-length"], got) == (200, str(len(body)), b"")
    assert use(link(linker, "get_object", Key=key), headers={"Range": "bytes=1-3"})[::2] == (206, body[1:4])
    assert use(link(linker, "delete_object", Key=key), "DELETE")[0] == 204
    assert code(use(link(linker, "get_object", Key=key))) == (404, "NoSuchKey")


@pytest.mark.boto3
def test_what_a_link_bears(linker, s3):
    """Overrides, metadata, a type and a digest: signed into the link, given as headers or taken from it."""
    s3.put_object(Bucket=BUCKET, Key="o", Body=b"x")
    url = link(linker, "get_object", Key="o", ResponseContentType="text/html; charset=utf-8", ResponseCacheControl="no-store",
               ResponseContentDisposition='attachment; filename="a b.txt"', ResponseContentLanguage="de", ResponseContentEncoding="gzip",
               ResponseExpires=datetime.datetime(2030, 1, 1))
    headers = use(url)[1]
    assert headers["content-type"] == "text/html; charset=utf-8" and headers["cache-control"] == "no-store"
    assert headers["content-disposition"] == 'attachment; filename="a b.txt"' and headers["content-language"] == "de"
    assert headers["content-encoding"] == "gzip" and "2030" in headers["expires"]
    md5 = base64.b64encode(hashlib.md5(b"hello").digest()).decode()
    url = link(linker, "put_object", Key="m", ContentType="text/plain", Metadata={"one": "1 x", "two": "2"}, ContentMD5=md5)
    given = {"Content-Type": "text/plain", "x-amz-meta-one": "1 x", "x-amz-meta-two": "2", "Content-MD5": md5}
    assert use(url, "PUT", b"hello", given)[0] == 200
    head = s3.head_object(Bucket=BUCKET, Key="m")
    assert head["Metadata"] == {"one": "1 x", "two": "2"} and head["ContentType"] == "text/plain"
    assert code(use(url, "PUT", b"jello", given)) == (400, "BadDigest")
    assert use(url, "PUT", b"hello", {**given, "x-amz-meta-one": "changed"})[0] == 403
    assert use(url, "PUT", b"hello", {**given, "Content-Type": "text/html"})[0] == 403
    assert use(url, "PUT", b"hello", {**given, "x-amz-meta-three": "3"})[0] == 403
    if linker.kind == "s3":  # such a link says all by itself
        assert use(url, "PUT", b"hello")[0] == 200
        assert s3.head_object(Bucket=BUCKET, Key="m")["Metadata"] == {"one": "1 x", "two": "2"}
        assert code(use(url, "PUT", b"jello")) == (400, "BadDigest")


@pytest.mark.http
def test_headers_in_a_link(server, s3):
    """x-amz-* that a signer puts into the query (AWS SDK for JavaScript) count as headers; checksums do not."""
    def signed(method, extra):
        from botocore.auth import S3SigV4QueryAuth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials
        r = AWSRequest(method, f"{server.url}/{BUCKET}/hoist?{urllib.parse.urlencode(extra)}", headers={"Host": f"127.0.0.1:{server.port}"})
        S3SigV4QueryAuth(Credentials(ACCESS_KEY, SECRET_KEY), "s3", REGION, expires=60).add_auth(r)
        return r.url
    put = signed("PUT", {"x-amz-meta-Colour": "deep blue", "X-Amz-Tagging": "a=b", "x-amz-checksum-crc32": "AAAAAA==", "x-amz-sdk-checksum-algorithm": "CRC32",
                         "x-id": "PutObject"})
    assert use(put, "PUT", b"bytes")[0] == 200
    assert s3.head_object(Bucket=BUCKET, Key="hoist")["Metadata"] == {"colour": "deep blue"}
    assert s3.get_object_tagging(Bucket=BUCKET, Key="hoist")["TagSet"] == [{"Key": "a", "Value": "b"}]
    s3.put_object(Bucket=BUCKET, Key="hoist", Body=b"123456789", ChecksumAlgorithm="CRC32")
    assert use(signed("GET", {"x-amz-checksum-mode": "ENABLED"}))[1]["x-amz-checksum-crc32"] == "y/Q5Jg=="
    assert "x-amz-checksum-crc32" not in use(signed("GET", {}))[1]


@pytest.mark.http
@pytest.mark.skipif(not shutil.which("curl"), reason="no curl here")
def test_curl_and_browsers(linker, s3, tmp_path):
    """-T sends Expect and no type; a form's file comes with one, and with headers that nobody signed."""
    file = tmp_path / "file"
    file.write_bytes(bytes(range(256)) * 8192)  # 2 MiB
    run = lambda *args: subprocess.run(["curl", "-s", "-S", "-w", "%{http_code}", "-o", "/dev/null", *args], capture_output=True, text=True, timeout=60)
    for more in ([], ["-H", "Transfer-Encoding: chunked"]):
        r = run("-T", str(file), *more, link(linker, "put_object", Key="curl"))
        assert (r.stdout, r.stderr) == ("200", "")
        r = subprocess.run(["curl", "-s", "-S", link(linker, "get_object", Key="curl")], capture_output=True, timeout=60)
        assert r.stdout == file.read_bytes()
    url = link(linker, "put_object", Key="curl", ContentType="image/png")
    browser = ["-H", "Origin: http://example.org", "-H", "Referer: http://example.org/x", "-H", "Accept: */*", "-H", "Sec-Fetch-Mode: cors",
               "-H", "Accept-Language: de,en;q=0.5", "-A", "Mozilla/5.0"]
    assert run("-X", "PUT", "--data-binary", f"@{file}", "-H", "Content-Type: image/png", *browser, url).stdout == "200"
    assert s3.head_object(Bucket=BUCKET, Key="curl")["ContentType"] == "image/png"
    assert run("-X", "PUT", "--data-binary", f"@{file}", "-H", "Content-Type: text/plain", *browser, url).stdout == "403"


@pytest.mark.parametrize("path", [pytest.param(path, marks=getattr(pytest.mark, mark), id=mark) for mark, path in sorted(AWS.items())])
def test_aws_s3_presign(server, s3, path):
    s3.put_object(Bucket=BUCKET, Key="dir/from cli", Body=b"presigned")
    out = server.aws(path, "s3", "presign", f"s3://{BUCKET}/dir/from cli", "--expires-in", "60").stdout.strip()
    assert use(out)[::2] == (200, b"presigned")
    assert code(use(out + "x")) == (403, "SignatureDoesNotMatch") or "Expires" in out.split("&")[-1]
    assert code(use(out, "DELETE")) == (403, "SignatureDoesNotMatch")


# --- refusals -----------------------------------------------------------------------------------------


@pytest.mark.http
def test_out_of_time(linker, s3):
    s3.put_object(Bucket=BUCKET, Key="t", Body=b"x")
    assert use(link(linker, "get_object", seconds=60, Key="t"))[0] == 200
    url = link(linker, "get_object", seconds=1, Key="t")  # of a second whose beginning is the stamp: it may be over at once
    time.sleep(2.1)
    answer = use(url)
    assert code(answer) == (403, "AccessDenied") and b"<Message>Request has expired</Message>" in answer[2]
    if linker.kind == "s3":
        return
    url = link(linker, "get_object", Key="t")
    for seconds, text in [("0", "at least 1 second"), ("604801", "less than a week"), ("-1", "should be a number"), ("x", "should be a number"),
                          ("", "should be a number"), ("99999999999999999999", "should be a number")]:
        answer = use(re.sub("X-Amz-Expires=[0-9]*", f"X-Amz-Expires={seconds}", url))
        assert code(answer) == (400, "AuthorizationQueryParametersError") and text in answer[2].decode(), (seconds, answer)
    assert use(link(linker, "get_object", seconds=604800, Key="t"))[0] == 200
    assert code(use(link(linker, "get_object", seconds=604801, Key="t"))) == (400, "AuthorizationQueryParametersError")


@pytest.mark.http
def test_touched(linker, server, s3):
    s3.put_object(Bucket=BUCKET, Key="t", Body=b"x")
    url = link(linker, "get_object", Key="t")
    assert use(url)[0] == 200
    assert code(use(url, "PUT", b"y")) == (403, "SignatureDoesNotMatch")
    assert use(url, "HEAD")[0] == 403
    assert code(use(url.replace("/t?", "/u?"))) == (403, "SignatureDoesNotMatch")
    for more in ("&response-content-type=text/html", "&versionId=null", "&x-amz-meta-a=b", "&uploadId=1"):
        assert code(use(url + more)) == (403, "SignatureDoesNotMatch"), more
    assert use(url, headers={"x-amz-meta-a": "b"})[0] == 403
    assert code(use(url, headers={"Authorization": server.sign("GET", f"/{BUCKET}/t")["Authorization"]})) == (400, "AuthorizationHeaderMalformed")
    other = client_of(server, linker.kind, secret="another")
    assert code(use(link(other, "get_object", Key="t"))) == (403, "SignatureDoesNotMatch")
    stranger = client_of(server, linker.kind, key="AKIASTRANGER00000000")
    assert code(use(link(stranger, "get_object", Key="t"))) == (403, "InvalidAccessKeyId")
    if linker.kind == "s3":
        assert code(use(link(linker, "create_multipart_upload", Key="t"), "POST")) == (400, "InvalidRequest")


@pytest.mark.http
def test_the_older_form_in_a_header(server):
    older = {"Authorization": f"AWS {ACCESS_KEY}:c2lnbmF0dXJl", "Date": "Fri, 27 Nov 2026 18:00:00 GMT"}
    answer = use(f"{server.url}/{BUCKET}/t", headers=older)
    assert code(answer) == (400, "InvalidRequest") and b"Please use AWS4-HMAC-SHA256." in answer[2]
    client = client_of(server, "s3")
    client.meta.events.unregister("before-sign.s3")
    with pytest.raises(client.exceptions.ClientError) as e:
        client.list_buckets()
    assert e.value.response["Error"]["Code"] == "InvalidRequest"


@pytest.mark.http
def test_a_date_header_will_do(server, s3):
    """Date in place of X-Amz-Date, in the formats of HTTP and of AWS."""
    import hmac
    s3.put_object(Bucket=BUCKET, Key="d", Body=b"dated")
    now = datetime.datetime.now(datetime.timezone.utc)
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    for date in (now.strftime("%a, %d %b %Y %H:%M:%S GMT"), stamp):
        headers = {"host": f"127.0.0.1:{server.port}", "date": date, "x-amz-content-sha256": "UNSIGNED-PAYLOAD"}
        names = ";".join(sorted(headers))
        canonical = "\n".join(["GET", f"/{BUCKET}/d", "", *(f"{n}:{headers[n]}" for n in sorted(headers)), "", names, "UNSIGNED-PAYLOAD"])
        scope, key = f"{stamp[:8]}/{REGION}/s3/aws4_request", b"AWS4" + SECRET_KEY.encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        headers["authorization"] = (f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, SignedHeaders={names}, "
                                    f"Signature={hmac.new(key, text.encode(), hashlib.sha256).hexdigest()}")
        assert use(f"{server.url}/{BUCKET}/d", headers=headers)[::2] == (200, b"dated")


@pytest.mark.boto3
def test_links_of_another_service(server):
    name = server.make_function("return { main = function() end }")
    url = server.client("lambda").generate_presigned_url("get_function", Params={"FunctionName": name})
    status, _, body = use(url)
    assert status == 200 and name.encode() in body
    assert use(url.replace(name, name[:-1]))[0] == 403
