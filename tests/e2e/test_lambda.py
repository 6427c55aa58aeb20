"""The Lambda API as boto3 and the aws command see it."""
import base64
import contextlib
import hashlib
import json
import re
import threading
import time
import urllib.error
import urllib.request

import pytest
from botocore.exceptions import ClientError

from conftest import aws_programs
from perilune import ACCOUNT, REGION, eventually, make_zip, unique

ECHO = "return { main = function(e) return e end }"
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
AWS = [pytest.param(path, marks=getattr(pytest.mark, mark), id=mark) for mark, path in sorted(aws_programs().items())]
boto = pytest.mark.boto3


@contextlib.contextmanager
def refused(code, status, text=None):
    with pytest.raises(ClientError) as e:
        yield e
    got = e.value.response
    assert (got["Error"]["Code"], got["ResponseMetadata"]["HTTPStatusCode"]) == (code, status), got
    if text is not None:
        assert got["Error"]["Message"] == text


def arn(name):
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"


@pytest.fixture(scope="module")
def lam(server):
    return server.client("lambda", read_timeout=60)


@pytest.fixture(scope="module")
def echo(server):
    return server.make_function(ECHO)


# --- functions ----------------------------------------------------------------------------------------


@boto
def test_create_get_list_delete(server, lam):
    name, role, code = unique("life"), server.make_role(), make_zip(ECHO)
    made = lam.create_function(FunctionName=name, Role=role, Runtime="lua", Handler="handler.main", Code={"ZipFile": code}, Description="says it back",
                               Timeout=7, MemorySize=256, Environment={"Variables": {"ONE": "1", "TWO": "zwei ü"}})
    assert made["FunctionArn"] == arn(name) and made["ResponseMetadata"]["HTTPStatusCode"] == 201
    expected = dict(FunctionName=name, FunctionArn=arn(name), Runtime="lua", Role=role, Handler="handler.main", CodeSize=len(code),
                    CodeSha256=base64.b64encode(hashlib.sha256(code).digest()).decode(), Description="says it back", Timeout=7, MemorySize=256,
                    Version="$LATEST", Environment={"Variables": {"ONE": "1", "TWO": "zwei ü"}}, State="Active", LastUpdateStatus="Successful", PackageType="Zip")
    lam.get_waiter("function_active_v2").wait(FunctionName=name)
    got = lam.get_function(FunctionName=name)
    for config in (made, got["Configuration"], lam.get_function_configuration(FunctionName=arn(name))):
        assert {k: config.get(k) for k in expected} == expected
        assert re.fullmatch(UUID, config["RevisionId"])
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000", config["LastModified"])
    assert got["Code"]["RepositoryType"] == "S3"
    assert [f["FunctionName"] for p in lam.get_paginator("list_functions").paginate() for f in p["Functions"]].count(name) == 1
    lam.delete_function(FunctionName=name)
    with refused("ResourceNotFoundException", 404, f"Function not found: {arn(name)}"):
        lam.get_function(FunctionName=name)
    with refused("ResourceNotFoundException", 404):
        lam.delete_function(FunctionName=name)
    assert name not in [f["FunctionName"] for p in lam.get_paginator("list_functions").paginate() for f in p["Functions"]]


@boto
def test_list_by_pages(server, lam):
    names = sorted(server.make_function(ECHO, name=unique("page")) for _ in range(5))
    pages = list(lam.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 2}))
    assert all(len(p["Functions"]) <= 2 for p in pages)
    got = [f["FunctionName"] for p in pages for f in p["Functions"]]
    assert got == sorted(got) and len(set(got)) == len(got) and set(names) <= set(got)


@boto
@pytest.mark.parametrize("how", ["{n}", "{a}:function:{n}", "arn:aws:lambda:{r}:{a}:function:{n}", "{n}:$LATEST",
                                 "arn:aws:lambda:{r}:{a}:function:{n}:$LATEST"])
def test_ways_to_name_a_function(lam, echo, how):
    name = how.format(n=echo, a=ACCOUNT, r=REGION)
    assert lam.get_function_configuration(FunctionName=name)["FunctionName"] == echo
    assert json.load(lam.invoke(FunctionName=name, Payload=b"5")["Payload"]) == 5


@boto
def test_update_code_and_configuration(server, lam):
    name = server.make_function("return { main = function() return 'one' end }")
    first = lam.get_function_configuration(FunctionName=name)
    assert server.invoke(name)[0] == "one"
    got = lam.update_function_code(FunctionName=name, ZipFile=make_zip("return { main = function() return os.getenv('WORD') or 'two' end }"))
    assert got["RevisionId"] != first["RevisionId"] and got["CodeSha256"] != first["CodeSha256"]
    assert server.invoke(name)[0] == "two"  # at once
    got = lam.update_function_configuration(FunctionName=name, Environment={"Variables": {"WORD": "three"}}, Timeout=9, Description="d")
    assert (got["Timeout"], got["Description"], got["MemorySize"]) == (9, "d", 128)
    assert server.invoke(name)[0] == "three"
    with refused("PreconditionFailedException", 412):
        lam.update_function_code(FunctionName=name, ZipFile=make_zip(ECHO), RevisionId=first["RevisionId"])
    with refused("InvalidParameterValueException", 400, "Could not unzip uploaded file. Please check your file, then try to upload again."):
        lam.update_function_code(FunctionName=name, ZipFile=b"no zip")
    assert server.invoke(name)[0] == "three"


@boto
def test_code_from_a_bucket(server, lam):
    s3 = server.client("s3")
    bucket = unique("code")
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="dir/f.zip", Body=make_zip(ECHO))
    name = unique("frombucket")
    lam.create_function(FunctionName=name, Role=server.make_role(), Runtime="lua", Handler="handler.main", Code={"S3Bucket": bucket, "S3Key": "dir/f.zip"})
    assert server.invoke(name, [1, 2])[0] == [1, 2]
    lam.update_function_code(FunctionName=name, S3Bucket=bucket, S3Key="dir/f.zip", S3ObjectVersion="null")
    for key, version, code in (("none", None, "NoSuchKey. S3 Error Message: The specified key does not exist."),
                               ("dir/f.zip", "v1", "NoSuchVersion. S3 Error Message: The specified version does not exist.")):
        with refused("InvalidParameterValueException", 400, f"Error occurred while GetObject. S3 Error Code: {code}"):
            lam.update_function_code(FunctionName=name, S3Bucket=bucket, S3Key=key, **({"S3ObjectVersion": version} if version else {}))
    with refused("InvalidParameterValueException", 400, "Error occurred while GetObject. S3 Error Code: NoSuchBucket. S3 Error Message: The specified bucket "
                 "does not exist"):
        lam.update_function_code(FunctionName=name, S3Bucket=unique("nosuch"), S3Key="k")
    with refused("InvalidParameterValueException", 400, "Please do not provide other FunctionCode parameters when providing a ZipFile."):
        lam.update_function_code(FunctionName=name, S3Bucket=bucket, S3Key="dir/f.zip", ZipFile=make_zip(ECHO))
    with refused("InvalidParameterValueException", 400, "Please provide a source for function code."):
        lam.update_function_code(FunctionName=name, S3Bucket=bucket)
    iam, user = server.client("iam"), unique("user")
    iam.create_user(UserName=user)
    iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "lambda:*", "Resource": "*"}]}))
    key = iam.create_access_key(UserName=user)["AccessKey"]
    theirs = server.client("lambda", access_key=key["AccessKeyId"], secret_key=key["SecretAccessKey"])
    with refused("AccessDeniedException", 403) as e:
        theirs.update_function_code(FunctionName=name, S3Bucket=bucket, S3Key="dir/f.zip")
    assert e.value.response["Error"]["Message"].endswith("S3 Error Code: AccessDenied. S3 Error Message: Access Denied")
    assert server.invoke(name, [3])[0] == [3]


@boto
def test_package_of_several_files(server):
    name = server.make_function({
        "handler.lua": "local m = require 'lib.greet' return { main = function(e) return m(e.name) .. asset.read('data/end.txt') end }",
        "lib/greet.lua": "return function(n) return 'hello ' .. n end",
        "data/end.txt": "!",
    })
    assert server.invoke(name, {"name": "moon"})[0] == "hello moon!"


# --- invoke -------------------------------------------------------------------------------------------


@boto
def test_invoke_answer(lam, echo):
    r = lam.invoke(FunctionName=echo, Payload=json.dumps({"x": [1, 2.5, "ü", None, True, {}, []]}).encode())
    assert r["StatusCode"] == 200 and r["ExecutedVersion"] == "$LATEST" and "FunctionError" not in r
    assert re.fullmatch(UUID, r["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"])
    assert json.load(r["Payload"]) == {"x": [1, 2.5, "ü", None, True, {}, []]}


@boto
def test_invoke_nothing(server, lam):
    name = server.make_function("return { main = function(e) assert(type(e) == 'table' and next(e) == nil) end }")
    assert lam.invoke(FunctionName=name)["Payload"].read() == b"null"


@boto
def test_tail(server, lam):
    name = server.make_function("return { main = function() print('said aloud') end }")
    r = lam.invoke(FunctionName=name, LogType="Tail")
    log = base64.b64decode(r["LogResult"]).decode()
    id = r["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"]
    assert f"START RequestId: {id} Version: $LATEST" in log and "said aloud" in log and f"END RequestId: {id}" in log
    assert re.search(rf"REPORT RequestId: {id}\tDuration: [\d.]+ ms\tBilled Duration: \d+ ms\tMemory Size: 128 MB\tMax Memory Used: \d+ MB", log)
    assert "LogResult" not in lam.invoke(FunctionName=name)


@boto
def test_dry_run_runs_nothing(server, lam):
    name = server.make_function("return { main = function() print('ran') end }")
    assert lam.invoke(FunctionName=name, InvocationType="DryRun")["StatusCode"] == 204
    time.sleep(0.2)
    assert server.log_lines(name) == []


@boto
def test_event_runs_once_later(server, lam):
    name = server.make_function("return { main = function(e) print('got ' .. e.word) end }")
    r = lam.invoke(FunctionName=name, InvocationType="Event", Payload=b'{"word":"later"}')
    assert r["StatusCode"] == 202 and r["Payload"].read() == b""
    id = r["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"]
    lines = eventually(lambda: any("REPORT" in x for x in server.log_lines(name)) and server.log_lines(name))
    assert sum("got later" in x for x in lines) == 1
    assert any(x.startswith(f"START RequestId: {id}") for x in lines)


@boto
def test_context(server, lam):
    name = server.make_function("""return { main = function(e, c)
      return { name = c.function_name, version = c.function_version, arn = c.invoked_function_arn, memory = c.memory_limit_in_mb,
        id = c.aws_request_id, group = c.log_group_name, stream = c.log_stream_name, left = c.get_remaining_time_in_millis(),
        client = c.client_context, env = os.getenv('AWS_LAMBDA_FUNCTION_NAME'), region = os.getenv('AWS_REGION'), own = os.getenv('OWN'),
        home = os.getenv('HOME') }
    end }""", Timeout=20, MemorySize=200, Environment={"Variables": {"OWN": "mine"}})
    r = lam.invoke(FunctionName=name, ClientContext=base64.b64encode(b'{"custom":{"k":"v"}}').decode())
    got = json.load(r["Payload"])
    assert got["name"] == got["env"] == name and got["version"] == "$LATEST" and got["arn"] == arn(name)
    assert int(got["memory"]) == 200 and got["id"] == r["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"]
    assert got["group"] == f"/aws/lambda/{name}" and re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", got["stream"])
    assert 15000 < got["left"] <= 20000
    assert got["client"]["custom"] == {"k": "v"} and (got["region"], got["own"]) == (REGION, "mine")
    assert "home" not in got, "the server's own environment stays outside"


FUNCTION_ERRORS = {
    "plain": ("return { main = function() error('broken') end }", "Runtime.LuaError", r"broken"),
    "typed": ("return { main = function() error({ errorType = 'OrderRejected', message = 'too many' }) end }", "OrderRejected", r"too many"),
    "nil": ("return { main = function() local t = nil return t.x end }", "Runtime.LuaError", r"nil value"),
    "missing function": ("return { other = function() end }", "Runtime.HandlerNotFound", r"main"),
    "missing file": ({"other.lua": "return {}"}, "Runtime.ImportModuleError", r"handler"),
    "syntax": ("local x = 1\nlocal y = = 2\nreturn {}", "Runtime.UserCodeSyntaxError", r"handler\.lua:2:"),
    "missing module": ("local m = require 'nowhere'\nreturn { main = function() end }", "Runtime.ImportModuleError", r"nowhere"),
    "not JSON": ("return { main = function() return function() end end }", None, r"function"),
}


@boto
@pytest.mark.parametrize("kind", FUNCTION_ERRORS)
def test_function_error(server, lam, kind):
    code, error_type, text = FUNCTION_ERRORS[kind]
    name = server.make_function(code)
    for _ in range(2):  # the second on a state that has seen the error
        payload, error, r = server.invoke(name, client=lam)
        assert error in ("Unhandled", "Handled") and r["StatusCode"] == 200
        assert re.search(text, payload["errorMessage"]), payload
        if error_type:
            assert payload["errorType"] == error_type, payload
    assert eventually(lambda: any(re.search(text.strip("^$"), x) for x in server.log_lines(name)))


@boto
def test_trace_names_the_users_lines(server):
    name = server.make_function("local function inner()\n  error('deep')\nend\nreturn { main = function()\n  inner()\nend }")
    payload = server.invoke(name)[0]
    assert "handler.lua:2:" in payload["errorMessage"]
    assert any("handler.lua:5" in x for x in payload["stackTrace"]), payload


@boto
def test_errors_leave_the_state_usable(server):
    name = server.make_function("local n = 0 return { main = function(e) n = n + 1 if e.fail then error('no') end return n end }")
    assert server.invoke(name)[0] == 1
    assert server.invoke(name, {"fail": True})[1] == "Unhandled"
    assert server.invoke(name)[0] == 3


@boto
def test_payload_sizes(server, lam, echo):
    big = json.dumps("x" * (6 * 1024 * 1024 - 100)).encode()
    assert json.load(lam.invoke(FunctionName=echo, Payload=big)["Payload"]) == json.loads(big)
    with refused("RequestTooLargeException", 413):
        lam.invoke(FunctionName=echo, Payload=json.dumps("x" * 6291600).encode())
    name = server.make_function("return { main = function(e) return ('y'):rep(e.n) end }")
    assert len(server.invoke(name, {"n": 6 * 1024 * 1024 - 100}, client=lam)[0]) == 6 * 1024 * 1024 - 100
    payload, error, _ = server.invoke(name, {"n": 6291600}, client=lam)
    assert error and payload["errorType"] == "Function.ResponseSizeTooLarge"
    assert payload["errorMessage"].startswith("Response payload size exceeded maximum allowed payload size")
    assert len(server.invoke(name, {"n": 10}, client=lam)[0]) == 10


def test_large_bodies_are_judged_whole(server, echo):
    """They are looked at while they come: what is wrong at the end counts as much."""
    path, good = f"/2015-03-31/functions/{echo}/invocations", b'{"x": "' + b"y" * 5_000_000 + b'"}'
    status, _, body = server.signed("POST", path, good, service="lambda")
    assert (status, json.loads(body)) == (200, json.loads(good))
    status, _, body = server.signed("POST", path, good[:-1], service="lambda")
    assert status == 400 and b"not valid JSON" in body, body
    status, _, body = server.signed("POST", path, good + b"  ", service="lambda")
    assert (status, json.loads(body)) == (200, json.loads(good))
    head = server.sign("POST", path, good, service="lambda")
    spoilt = good[:-3] + b'z"}'
    with server.raw(f"POST {path} HTTP/1.1\r\n".encode() + b"".join(f"{k}: {v}\r\n".encode() for k, v in head.items()) + b"\r\n" + spoilt) as raw:
        status, _, body = raw.answer()
        assert status == 403 and b"signature" in body, body


def test_clients_that_go_amid_a_large_body(server, echo):
    path, good = f"/2015-03-31/functions/{echo}/invocations", b'{"x": "' + b"y" * 5_000_000 + b'"}'
    head = server.sign("POST", path, good, service="lambda")
    for i in range(24):
        server.raw(f"POST {path} HTTP/1.1\r\n".encode() + b"".join(f"{k}: {v}\r\n".encode() for k, v in head.items()) + b"\r\n" +
                   good[:200_000 * (i + 1)]).close()
    status, _, body = server.signed("POST", path, good, service="lambda")
    assert (status, json.loads(body)) == (200, json.loads(good))


@boto
def test_side_by_side(server, lam):
    """Two functions that wait do not wait for each other, and neither do two calls of one function."""
    role = server.make_role({"Effect": "Allow", "Action": "perilune:*", "Resource": "*"})
    names = [server.make_function("""return { main = function(i) -- each goes on when all four are there
        local meeting = kv.open('meetings')
        meeting:incr('four')
        while tonumber((meeting:get('four'))) < 4 do time.sleep(0.02) end
        return i
      end }""", role=role, Timeout=30) for _ in range(2)]
    got = []
    threads = [threading.Thread(target=lambda n=n, i=i: got.append(server.invoke(n, i, client=lam)[0])) for i, n in enumerate(names * 2)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert sorted(got) == [0, 1, 2, 3]


@pytest.mark.http
def test_invoke_over_http(server, echo):
    """What the older tools send: a trailing slash, no Content-Type, an escaped ARN."""
    call = lambda path, body=b'{"a":1}', **h: server.signed("POST", f"/2015-03-31/functions/{path}/invocations", body, service="lambda", headers=h)
    assert call(echo)[2] == b'{"a":1}'
    assert call(echo + "%3A%24LATEST")[2] == b'{"a":1}'
    assert call(arn(echo).replace(":", "%3A"))[2] == b'{"a":1}'
    assert server.signed("POST", f"/2015-03-31/functions/{echo}/invocations/", b"3", service="lambda")[2] == b"3"
    assert server.signed("GET", "/2015-03-31/functions/", service="lambda")[0] == 200
    status, headers, body = call(echo, b'{"a":')
    assert status == 400 and headers["x-amzn-errortype"].startswith("InvalidRequestContentException")
    assert json.loads(body)["message"].startswith("Could not parse request body into json")
    status, headers, body = call(echo + "?Qualifier=nope".replace("?", "%3F"))
    assert status in (400, 404)
    status, headers, body = server.signed("POST", f"/2015-03-31/functions/{echo}/invocations?Qualifier=99", b"1", service="lambda")
    assert status == 404 and json.loads(body)["Message"] == f"Function not found: {arn(echo)}:99"


# --- permissions --------------------------------------------------------------------------------------


@boto
def test_policy(server, lam):
    name = server.make_function(ECHO)
    with refused("ResourceNotFoundException", 404, "The resource you requested does not exist."):
        lam.get_policy(FunctionName=name)
    given = dict(FunctionName=name, StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com", SourceArn="arn:aws:s3:::b",
                 SourceAccount=ACCOUNT)
    statement = json.loads(lam.add_permission(**given)["Statement"])
    assert statement == {"Sid": "s3", "Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "lambda:InvokeFunction",
                         "Resource": arn(name), "Condition": {"ArnLike": {"AWS:SourceArn": "arn:aws:s3:::b"},
                                                              "StringEquals": {"AWS:SourceAccount": ACCOUNT}}}
    with refused("ResourceConflictException", 409):
        lam.add_permission(**given)
    lam.add_permission(FunctionName=name, StatementId="two", Action="lambda:InvokeFunction", Principal="events.amazonaws.com")
    policy = json.loads(lam.get_policy(FunctionName=name)["Policy"])
    assert policy["Version"] == "2012-10-17" and [s["Sid"] for s in policy["Statement"]] == ["s3", "two"] and policy["Statement"][0] == statement
    lam.remove_permission(FunctionName=name, StatementId="s3")
    assert [s["Sid"] for s in json.loads(lam.get_policy(FunctionName=name)["Policy"])["Statement"]] == ["two"]
    with refused("ResourceNotFoundException", 404):
        lam.remove_permission(FunctionName=name, StatementId="s3")


# --- function URLs ------------------------------------------------------------------------------------

URL_HANDLER = """
return { main = function(e)
  if e.rawPath == '/plain' then return { hello = 'json' } end
  if e.rawPath == '/made' then return { statusCode = 201, headers = { ['Content-Type'] = 'text/x-own', ['X-Own'] = 'yes' }, body = 'made it' } end
  if e.rawPath == '/binary' then return { statusCode = 200, body = 'AP8=', isBase64Encoded = true } end
  if e.rawPath == '/fail' then error('no') end
  return { statusCode = 200, headers = { ['content-type'] = 'application/json' }, body = json.encode(e) }
end }
"""


def fetch(url, **more):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, **more), timeout=20) as r:
            return r.status, r.headers, r.read()
    except urllib.error.HTTPError as e:
        return e.code, e.headers, e.read()


@boto
@pytest.mark.http
def test_function_url(server, lam):
    name = server.make_function(URL_HANDLER)
    with refused("ResourceNotFoundException", 404):
        lam.get_function_url_config(FunctionName=name)
    made = lam.create_function_url_config(FunctionName=name, AuthType="NONE")
    url = made["FunctionUrl"]
    assert made["AuthType"] == "NONE" and made["FunctionArn"] == arn(name) and url == f"{server.url}/url/{name}/"
    assert lam.get_function_url_config(FunctionName=name)["FunctionUrl"] == url
    with refused("ResourceConflictException", 409):
        lam.create_function_url_config(FunctionName=name, AuthType="NONE")
    status, _, body = fetch(url)
    assert status == 403 and b"Forbidden" in body, "a URL without its permission answers nobody"
    lam.add_permission(FunctionName=name, StatementId="url", Action="lambda:InvokeFunctionUrl", Principal="*", FunctionUrlAuthType="NONE")

    status, _, body = fetch(url + "some/p%20ath?b=2&a=1&a=3", data=b'{"in":"put"}', headers={"X-Asked": "A", "Cookie": "c=1; d=2"}, method="PUT")
    e = json.loads(body)
    assert status == 200 and e["version"] == "2.0" and e["routeKey"] == "$default"
    assert e["rawPath"] in ("/some/p%20ath", "/some/p ath") and e["rawQueryString"] == "b=2&a=1&a=3"
    assert e["queryStringParameters"] == {"b": "2", "a": "1,3"} and e["headers"]["x-asked"] == "A" and e["cookies"] == ["c=1", "d=2"]
    http = e["requestContext"]["http"]
    assert (http["method"], http["sourceIp"], http["protocol"]) == ("PUT", "127.0.0.1", "HTTP/1.1") and http["path"] == e["rawPath"]
    assert e["requestContext"]["timeEpoch"] > 1.7e12 and re.fullmatch(UUID, e["requestContext"]["requestId"])
    assert (base64.b64decode(e["body"]).decode() if e["isBase64Encoded"] else e["body"]) == '{"in":"put"}'

    status, headers, body = fetch(url + "plain")
    assert (status, headers["content-type"], json.loads(body)) == (200, "application/json", {"hello": "json"})
    status, headers, body = fetch(url + "made")
    assert (status, headers["content-type"], headers["x-own"], body) == (201, "text/x-own", "yes", b"made it")
    assert fetch(url + "binary")[2] == b"\x00\xff"
    status, _, body = fetch(url + "fail")
    assert status == 502 and b"no" not in body.split(), body
    lam.delete_function_url_config(FunctionName=name)
    assert fetch(url + "plain")[0] in (403, 404)
    with refused("ResourceNotFoundException", 404):
        lam.delete_function_url_config(FunctionName=name)


# --- the stock command --------------------------------------------------------------------------------


@pytest.mark.parametrize("aws", AWS)
def test_aws_functions(server, aws, tmp_path):
    name, role, out = unique("awscli"), server.make_role(), tmp_path / "out.json"
    (tmp_path / "f.zip").write_bytes(make_zip(ECHO))
    run = lambda *a, **k: server.aws(aws, "lambda", *a, **k)
    made = json.loads(run("create-function", "--function-name", name, "--runtime", "provided.al2", "--handler", "handler.main", "--role", role,
                          "--zip-file", f"fileb://{tmp_path}/f.zip", "--output", "json").stdout)
    assert made["FunctionArn"] == arn(name)
    run("wait", "function-active", "--function-name", name)
    raw = ["--cli-binary-format", "raw-in-base64-out"] if "aws-cli/2" in server.aws(aws, "--version").stdout else []
    run("invoke", "--function-name", name, "--payload", '{"a":1}', *raw, str(out))
    assert json.loads(out.read_text()) == {"a": 1}
    assert name in run("list-functions", "--query", "Functions[].FunctionName", "--output", "text").stdout
    run("update-function-configuration", "--function-name", name, "--timeout", "5")
    assert run("get-function-configuration", "--function-name", name, "--query", "Timeout", "--output", "text").stdout.strip() == "5"
    run("delete-function", "--function-name", name)
    r = run("get-function", "--function-name", name, check=False)
    assert r.returncode != 0 and "ResourceNotFoundException" in r.stderr
