"""Bad input: each a clear error of the right code, in its protocol, and nothing half-made."""
import base64
import contextlib
import hashlib
import io
import json
import os
import socket
import stat
import subprocess
import zipfile

import pytest
from botocore.exceptions import ClientError

from perilune import ACCESS_KEY, ACCOUNT, BINARY, REGION, eventually, free_port, make_zip, unique

boto = pytest.mark.boto3
http = pytest.mark.http
ECHO = "return { main = function(e) return e end }"
FUNCTIONS = "/2015-03-31/functions"


@contextlib.contextmanager
def refused(code, status, part=None):
    with pytest.raises(ClientError) as e:
        yield e
    got = e.value.response
    assert (got["Error"]["Code"], got["ResponseMetadata"]["HTTPStatusCode"]) == (code, status), got
    if part:
        assert part in got["Error"]["Message"], got["Error"]["Message"]


@pytest.fixture(scope="module")
def lam(server):
    return server.client("lambda", parameter_validation=False)


# --- who asks -----------------------------------------------------------------------------------------

CALLS = {
    "s3": lambda c: c.list_buckets(),
    "lambda": lambda c: c.list_functions(),
    "iam": lambda c: c.get_role(RoleName="r"),
    "sts": lambda c: c.get_caller_identity(),
    "logs": lambda c: c.describe_log_groups(),
}
WRONG_SECRET = {"s3": "SignatureDoesNotMatch", "lambda": "InvalidSignatureException", "iam": "SignatureDoesNotMatch", "sts": "SignatureDoesNotMatch",
                "logs": "InvalidSignatureException"}
UNKNOWN_KEY = {"s3": "InvalidAccessKeyId", "lambda": "UnrecognizedClientException", "iam": "InvalidClientTokenId", "sts": "InvalidClientTokenId",
               "logs": "UnrecognizedClientException"}


@boto
@pytest.mark.parametrize("service", CALLS)
def test_wrong_secret_and_unknown_key(server, service):
    status = 400 if service == "logs" else 403
    with refused(WRONG_SECRET[service], status):
        CALLS[service](server.client(service, secret_key="wrong"))
    with refused(UNKNOWN_KEY[service], status):
        CALLS[service](server.client(service, access_key="AKIANOBODYATALL00000"))


@http
@pytest.mark.parametrize("service,path,code", [("s3", "/", "RequestTimeTooSkewed"), ("lambda", FUNCTIONS, "InvalidSignatureException")])
@pytest.mark.parametrize("later_s", [-16 * 60, 16 * 60])
def test_clock_skew(server, service, path, code, later_s):
    sha = hashlib.sha256(b"").hexdigest()
    for shift, status in ((later_s, 403), (later_s // 2, 200)):
        headers = server.sign_by_hand("GET", path, service, payload_hash=sha, later_s=shift)
        with server.raw(f"GET {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n") as c:
            got = c.answer()
            assert got[0] == status and (status == 200 or code.encode() in got[2] or code in got[1].get("x-amzn-errortype", "")), got


@http
@pytest.mark.parametrize("request_line,headers,code", [
    ("GET /", "", "AccessDenied"),
    ("GET /some-bucket/key", "", "AccessDenied"),
    ("PUT /some-bucket/key", "Content-Length: 0\r\n", "AccessDenied"),
    ("PUT /some-bucket/key", "Content-Length: 0\r\nAuthorization: \r\n", "AccessDenied"),
    ("POST /", "Content-Length: 0\r\n", "MissingAuthenticationToken"),
    ("POST /", "Content-Length: 0\r\nContent-Type: application/x-www-form-urlencoded\r\n", "MissingAuthenticationToken"),
    ("POST /", "Content-Length: 0\r\nX-Amz-Target: Logs_20140328.DescribeLogGroups\r\n", "MissingAuthenticationTokenException"),
    (f"GET {FUNCTIONS}", "", "MissingAuthenticationTokenException"),
    (f"POST {FUNCTIONS}/f/invocations", "Content-Length: 2\r\n", "MissingAuthenticationTokenException"),
    ("GET /perilune/v1/blueprints", "", "MissingAuthenticationTokenException"),
])
def test_unsigned(server, request_line, headers, code):
    server.signed("PUT", "/some-bucket")  # of one that is not there strangers are told so, as in S3
    with server.raw(f"{request_line} HTTP/1.1\r\nHost: x\r\n{headers}\r\n") as c:
        status, answer, body = c.answer()
        assert status == 403 and (code.encode() in body or code in answer.get("x-amzn-errortype", "")), (answer, body)
        assert b"<html" not in body.lower()


@http
@pytest.mark.parametrize("authorization", [
    "", "x", "Bearer t", "Basic eDp5", f"AWS {ACCESS_KEY}:c2lnbmF0dXJl", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host, Signature=0",
    f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/20261124/{REGION}/s3/aws4_request", f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/20261124/{REGION}/s3/aws4_request, "
    "SignedHeaders=, Signature=" + "0" * 64, f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/x/{REGION}/s3/aws4_request, SignedHeaders=host, Signature=" + "0" * 64,
    f"AWS4-ECDSA-P256-SHA256 Credential={ACCESS_KEY}/20261124/s3/aws4_request, SignedHeaders=host, Signature=" + "0" * 64, "AWS4-HMAC-SHA256 " + "a=b," * 500,
], ids=range(12))
def test_malformed_authorization(server, authorization):
    with server.raw(f"GET / HTTP/1.1\r\nHost: x\r\nX-Amz-Date: 20261124T000000Z\r\nX-Amz-Content-SHA256: UNSIGNED-PAYLOAD\r\nAuthorization: {authorization}\r\n\r\n") as c:
        status, headers, body = c.answer()
        assert status in (400, 403) and b"<Code>" in body, body


@http
def test_a_signature_covers_what_it_says(server):
    """Every part that was signed may not change."""
    headers = server.sign_by_hand("GET", "/")
    send = lambda method="GET", path="/", **change: server.raw(
        f"{method} {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in {**headers, **{k.replace('_', '-'): v for k, v in change.items()}}.items()) + "\r\n")
    verdicts = {}
    for name, make in {"as it was": lambda: send(), "method": lambda: send("HEAD"), "path": lambda: send(path="/b"), "query": lambda: send(path="/?prefix=x"),
                       "host": lambda: send(Host="evil"), "date": lambda: send(X_Amz_Date=headers["X-Amz-Date"][:-2] + ("0Z" if headers["X-Amz-Date"][-2] != "0" else "1Z")),
                       "a new x-amz header": lambda: send(X_Amz_Meta_A="b"), "token": lambda: send(X_Amz_Security_Token="t")}.items():
        with make() as c:
            verdicts[name] = c.head()[0]
    assert verdicts.pop("as it was") == 200
    assert set(verdicts.values()) <= {400, 403}, verdicts


@http
@pytest.mark.parametrize("service,path", [("lambda", FUNCTIONS), ("logs", "/"), ("iam", "/")])
def test_body_that_was_not_signed(server, service, path):
    text = b'{"FunctionName":"a"}'
    headers = server.sign("POST", path, text, service=service, headers={"X-Amz-Target": "Logs_20140328.DescribeLogGroups"})
    with server.raw(f"POST {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n" + text.decode().replace("a", "b")) as c:
        status, headers, body = c.answer()
        assert status in (400, 403) and (b"Signature" in body or "Signature" in headers.get("x-amzn-errortype", "")), body


@http
def test_service_that_is_not_served(server):
    status, headers, body = server.signed("POST", "/", b"{}", service="dynamodb", headers={"X-Amz-Target": "DynamoDB_20120810.ListTables"})
    assert 400 <= status < 502 and b"<html" not in body.lower() and body


# --- functions ----------------------------------------------------------------------------------------


def zip_of(*entries):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for name, data, *mode in entries:
            info = zipfile.ZipInfo(name)
            info.external_attr = (mode[0] if mode else 0o644) << 16
            z.writestr(info, data)
    return out.getvalue()


BAD_ZIPS = {
    "text": b"this is no zip",
    "empty": b"",
    "torn": make_zip(ECHO)[:-30],
    "climbs": zip_of(("handler.lua", ECHO), ("../x.lua", "")),
    "absolute": zip_of(("handler.lua", ECHO), ("/etc/x", "")),
    "backslash": zip_of(("handler.lua", ECHO), ("a\\b.lua", "")),
    "link": zip_of(("handler.lua", ECHO), ("link", "/etc/passwd", stat.S_IFLNK | 0o777)),
    "device": zip_of(("handler.lua", ECHO), ("dev", "", stat.S_IFCHR | 0o666)),
}


@boto
@pytest.mark.parametrize("kind", BAD_ZIPS)
def test_bad_zip(server, lam, kind):
    name = unique("badzip")
    with refused("InvalidParameterValueException", 400):
        lam.create_function(FunctionName=name, Role=server.make_role(), Runtime="lua", Handler="handler.main", Code={"ZipFile": BAD_ZIPS[kind]})
    with refused("ResourceNotFoundException", 404):
        lam.get_function(FunctionName=name)


@boto
def test_role_that_lambda_cannot_assume(server, lam):
    text = "The role defined for the function cannot be assumed by Lambda."
    name, other = unique("norole"), unique("role")
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
    server.client("iam").create_role(RoleName=other, AssumeRolePolicyDocument=json.dumps(trust))
    for role in (f"arn:aws:iam::{ACCOUNT}:role/never", f"arn:aws:iam::{ACCOUNT}:role/{other}"):
        with refused("InvalidParameterValueException", 400, text):
            lam.create_function(FunctionName=name, Role=role, Runtime="lua", Handler="handler.main", Code={"ZipFile": make_zip(ECHO)})
    with refused("ResourceNotFoundException", 404):
        lam.get_function(FunctionName=name)


@boto
@pytest.mark.parametrize("runtime", ["python3.12", "nodejs20.x", "go1.x", "lua5.4", "", "LUA"])
def test_runtime_that_is_not_ours(server, lam, runtime):
    with pytest.raises(ClientError) as e:
        lam.create_function(FunctionName=unique("rt"), Role=server.make_role(), Runtime=runtime, Handler="handler.main", Code={"ZipFile": make_zip(ECHO)})
    assert e.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert all(n in e.value.response["Error"]["Message"] for n in ("lua", "luajit", "lua5.1", "provided")), e.value


@boto
@pytest.mark.parametrize("change", [
    {"FunctionName": "a b"}, {"FunctionName": "x" * 65}, {"FunctionName": ""}, {"Timeout": 0}, {"Timeout": 901}, {"MemorySize": 0}, {"MemorySize": 10241},
    {"Handler": ""}, {"Handler": "x" * 129}, {"Description": "d" * 257}, {"Environment": {"Variables": {"LONG": "v" * 4097}}},
    {"Environment": {"Variables": {"1AB": "v"}}}, {"Environment": {"Variables": {"AWS_REGION": "v"}}}, {"Role": "nonsense"}, {"Code": {}},
    {"Timeout": "5"}, {"FunctionName": 7}, {"Environment": []},
], ids=lambda c: str(c)[:30])
def test_settings_refused(server, lam, change):
    name = unique("bad")
    given = {**dict(FunctionName=name, Role=server.make_role(), Runtime="lua", Handler="handler.main", Code={"ZipFile": make_zip(ECHO)}), **change}
    body = json.dumps({**given, "Code": {k: base64.b64encode(v).decode() for k, v in given["Code"].items()}}).encode()
    status, headers, text = server.signed("POST", FUNCTIONS, body, service="lambda")
    assert status == 400 and headers["x-amzn-errortype"].split(":")[0] in ("ValidationException", "InvalidParameterValueException", "InvalidRequestContentException"), text
    assert json.loads(text)["message"]
    with refused("ResourceNotFoundException", 404):
        lam.get_function(FunctionName=name)


@http
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"7", b'{"FunctionName":', b'{"a":1}x', b"{'a':1}", b'{"a":NaN}', b"\xff\xfe", b'{"a":"\x01"}',
                                  b"[" * 200 + b"]" * 200, b'{"a":' * 200 + b"1" + b"}" * 200], ids=lambda b: repr(b)[:20])
def test_bad_json(server, body):
    status, headers, text = server.signed("POST", FUNCTIONS, body, service="lambda", headers={"Content-Type": "application/json"})
    assert status == 400, text
    assert headers["x-amzn-errortype"] and headers["content-type"] == "application/json" and json.loads(text)["message"]


@boto
def test_unknown_function(server, lam):
    text = f"Function not found: arn:aws:lambda:{REGION}:{ACCOUNT}:function:never"
    for call in (lambda: lam.get_function(FunctionName="never"), lambda: lam.invoke(FunctionName="never"), lambda: lam.delete_function(FunctionName="never"),
                 lambda: lam.invoke(FunctionName="never", InvocationType="Event"), lambda: lam.update_function_code(FunctionName="never", ZipFile=make_zip(ECHO)),
                 lambda: lam.update_function_configuration(FunctionName="never", Timeout=5), lambda: lam.get_policy(FunctionName="never"),
                 lambda: lam.add_permission(FunctionName="never", StatementId="s", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com"),
                 lambda: lam.create_function_url_config(FunctionName="never", AuthType="NONE")):
        with refused("ResourceNotFoundException", 404, text):
            call()


@http
@pytest.mark.parametrize("method,path", [("GET", "/2015-03-31/nothing"), ("PUT", FUNCTIONS), ("DELETE", FUNCTIONS), ("GET", FUNCTIONS + "/f/g/h/i"), ("GET", "/"),
                                         ("POST", FUNCTIONS + "/%zz/invocations"), ("GET", FUNCTIONS + "/%00"), ("GET", FUNCTIONS + "//")])
def test_unknown_lambda_path(server, method, path):
    status, headers, body = server.signed(method, path, service="lambda")
    assert 400 <= status < 500 and headers["content-type"] == "application/json" and headers["x-amzn-errortype"], (status, body)
    assert json.loads(body)


@boto
def test_operations_of_later(server, lam):
    """Real operations that this server does not have yet: an error of their protocol, at once."""
    for call in (lambda: lam.list_code_signing_configs(), lambda: lam.publish_layer_version(LayerName="l", Content={"ZipFile": b"x"}),
                 lambda: lam.get_event_source_mapping(UUID="0"), lambda: server.client("iam").list_server_certificates(), lambda: server.client("sts").get_federation_token(Name="name"),
                 lambda: server.client("logs").put_metric_filter(logGroupName="g", filterName="f", filterPattern="", metricTransformations=[
                     {"metricName": "m", "metricNamespace": "n", "metricValue": "1"}])):
        with pytest.raises(ClientError) as e:
            call()
        assert 400 <= e.value.response["ResponseMetadata"]["HTTPStatusCode"] <= 501 and e.value.response["Error"]["Code"]


@http
def test_oversized_bodies_are_refused_from_the_head(server):
    for service, path, size in (("lambda", FUNCTIONS, 80_000_000), ("lambda", FUNCTIONS + "/f/invocations", 7_000_000), ("iam", "/", 50_000_000), ("logs", "/", 50_000_000)):
        headers = server.sign("POST", path, service=service, headers={"Content-Length": str(size), "Expect": "100-continue", "X-Amz-Target": "Logs_20140328.FilterLogEvents"})
        with server.raw(f"POST {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n") as c:
            status, answer, body = c.answer()
            assert status in (400, 413) and answer["connection"] == "close", (path, status, body)


@boto
def test_bad_client_context(server, lam):
    fn = server.make_function(ECHO)
    status, _, body = server.signed("POST", f"{FUNCTIONS}/{fn}/invocations", b"1", service="lambda", headers={"X-Amz-Client-Context": "!!!"})
    assert status == 400, body
    status, _, body = server.signed("POST", f"{FUNCTIONS}/{fn}/invocations", b"1", service="lambda", headers={"X-Amz-Invocation-Type": "Sometimes"})
    assert status == 400, body


# --- the server's own ---------------------------------------------------------------------------------


def end_of(*flags):
    p = subprocess.run([str(BINARY), "serve", *flags], capture_output=True, text=True, timeout=20)
    return p.returncode, p.stdout + p.stderr


@pytest.mark.cli
def test_second_server_on_the_same_folder(own_server):
    first = own_server()
    code, text = end_of("--data", str(first.data), "--listen", f"127.0.0.1:{free_port()}")
    assert code == 1 and "use" in text and "Traceback" not in text, text
    assert first.healthz()[0] == 200
    assert first.stop() == 0
    first.start()  # and the folder is free again


@pytest.mark.cli
@pytest.mark.parametrize("flags, why", [
    (["--memory", "5X"], "--memory takes a number of bytes, as 512M, not: 5X"), (["--memory"], "--memory takes a number of bytes, as 512M "),
    (["--max-runners=x"], "--max-runners takes a number, not: x"), (["--listen="], "--listen takes a value"), (["--what"], "unknown flag: --what")])
def test_a_bad_flag_is_named(flags, why):
    code, text = end_of(*flags)
    assert code == 2 and why in text and text.count("\n") == 1, text


@pytest.mark.cli
def test_a_cut_store_is_refused(own_server):
    first = own_server()
    assert first.stop() == 0
    os.truncate(first.data / "meta.mdb", 8192)
    code, text = end_of("--data", str(first.data), "--listen", f"127.0.0.1:{free_port()}")
    assert code == 1 and "meta.mdb cannot be opened: it is damaged" in text, text


@pytest.mark.cli
def test_port_in_use(tmp_path):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        code, text = end_of("--data", str(tmp_path / "d"), "--listen", f"127.0.0.1:{port}")
    assert code == 1 and str(port) in text and "in use" in text, text


@pytest.mark.cli
@pytest.mark.parametrize("flags,code", [(["--listen", "nonsense"], 2), (["--listen", "127.0.0.1:99999"], 2), (["--no-such-flag"], 2), (["--max-runners", "x"], 2)])
def test_bad_flags(tmp_path, flags, code):
    got, text = end_of("--data", str(tmp_path / "d"), *flags)
    assert got in (1, code) and text.strip(), text


@pytest.mark.cli
def test_broken_folder_is_refused(own_server):
    """A folder whose master key is gone or cut, or a file where the folder should be."""
    first = own_server()
    first.stop()
    key = first.data / "master.key"
    key.write_bytes(key.read_bytes()[:5])
    code, text = end_of("--data", str(first.data), "--listen", f"127.0.0.1:{free_port()}")
    assert code == 1 and "master.key" in text, text
    (first.dir / "file").write_text("x")
    code, text = end_of("--data", str(first.dir / "file"), "--listen", f"127.0.0.1:{free_port()}")
    assert code == 1 and "file" in text, text


def can_mount():
    return subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode == 0


@boto
@pytest.mark.skipif(not can_mount(), reason="a small file system of its own needs root")
def test_disk_full(own_server, tmp_path):
    """On 24 MiB: writes end in a retryable error, reads and deletes go on, and it recovers by itself."""
    data = tmp_path / "small"
    data.mkdir(mode=0o755)
    server = own_server(data=data, prefix=("unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=24m none "$0" && exec "$@"', str(data)))
    s3 = server.client("s3")
    s3.create_bucket(Bucket="full")
    stored = []
    for size in (1 << 20, 64 << 10, 8 << 10):  # each until there is no room for one more
        with refused("ServiceUnavailable", 503):
            for _ in range(200):
                key = f"k{len(stored):03}"
                s3.put_object(Bucket="full", Key=key, Body=b"z" * size)
                stored.append(key)
    assert len(stored) > 10
    status, body = server.healthz()
    assert status == 503 and json.loads(body)["status"] == "read-only"
    with refused("ServiceUnavailable", 503):
        s3.create_bucket(Bucket="another")
    assert s3.get_object(Bucket="full", Key=stored[0])["Body"].read() == b"z" * (1 << 20)
    assert [o["Key"] for o in s3.list_objects_v2(Bucket="full")["Contents"]] == stored, "what was refused is not there"
    for key in stored[:8]:
        s3.delete_object(Bucket="full", Key=key)
    eventually(lambda: server.healthz()[0] == 200, 10)
    s3.put_object(Bucket="full", Key="after", Body=b"y" * (1 << 20))
    assert s3.get_object(Bucket="full", Key="after")["Body"].read() == b"y" * (1 << 20)
