"""URL configurations: what is stored and answered, URLs of aliases, signed calls, CORS, answers in parts."""
import datetime
import json

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from perilune import ACCESS_KEY, ACCOUNT, HOLD, REGION, SECRET_KEY, eventually, unique
from test_lambda import arn, refused
from test_url import ECHO, ask, get, open_url

boto = pytest.mark.boto3
http = pytest.mark.http


@pytest.fixture(scope="module")
def lam(server):
    return server.client("lambda", parameter_validation=False)


def plain(r):
    return {k: v for k, v in r.items() if k != "ResponseMetadata"}


def signed(server, name, key, secret, token=None, method="POST", path="/", body=b"{}", service="lambda", at=None, spoil=None, **headers):
    """One request to a URL, signed by botocore."""
    request = AWSRequest(method, f"{server.url}/url/{name}{path}", data=body, headers={"Host": f"127.0.0.1:{server.port}", **headers})
    SigV4Auth(Credentials(key, secret, token), service, REGION).add_auth(request)
    if spoil:
        spoil(request.headers)
    text = "".join(f"{k}: {v}\r\n" for k, v in request.headers.items())
    return ask(server, f"{method} /url/{name}{path} HTTP/1.1\r\n{text}Content-Length: {len(body)}\r\n\r\n".encode("latin-1") + (at or body))


def set_mode(server, name, mode):
    """Debian's boto3 does not know InvokeMode."""
    status, _, body = server.signed("PUT", f"/2021-10-31/functions/{name}/url", json.dumps({"InvokeMode": mode}).encode(), service="lambda")
    assert status == 200, body
    return json.loads(body)


# --- what is stored -------------------------------------------------------------------------------


@boto
def test_life(server, lam):
    name = server.make_function(ECHO)
    with refused("ResourceNotFoundException", 404, "The resource you requested does not exist."):
        lam.get_function_url_config(FunctionName=name)
    with refused("ResourceNotFoundException", 404, "The resource you requested does not exist."):
        lam.update_function_url_config(FunctionName=name, AuthType="NONE")
    cors = {"AllowOrigins": ["https://a.example"], "AllowMethods": ["GET", "PUT"], "MaxAge": 60}
    made = lam.create_function_url_config(FunctionName=name, AuthType="AWS_IAM", Cors=cors)
    assert made["FunctionUrl"] == f"{server.url}/url/{name}/" and made["FunctionArn"] == arn(name)
    assert (made["AuthType"], made["Cors"]) == ("AWS_IAM", cors)
    got = lam.get_function_url_config(FunctionName=name)
    assert (got["Cors"], got["AuthType"], got["CreationTime"]) == (cors, "AWS_IAM", made["CreationTime"])
    assert datetime.datetime.fromisoformat(got["LastModifiedTime"].replace("Z", "+00:00")).year > 2000
    with refused("ResourceConflictException", 409, f"Failed to create function url config for [functionArn = {arn(name)}]. Error message:  "
                 "FunctionUrlConfig exists for this Lambda function"):
        lam.create_function_url_config(FunctionName=name, AuthType="NONE")
    lam.update_function_url_config(FunctionName=name, AuthType="NONE")
    new = set_mode(server, name, "RESPONSE_STREAM")
    assert (new["AuthType"], new["Cors"], new["InvokeMode"]) == ("NONE", cors, "RESPONSE_STREAM")
    assert "Cors" not in lam.update_function_url_config(FunctionName=name, Cors={})
    put = lambda cors: server.signed("PUT", f"/2021-10-31/functions/{name}/url", json.dumps({"Cors": cors}).encode(), service="lambda")
    assert json.loads(put({"AllowOrigins": ["*"], "Unknown": 1, "MaxAge": None})[2])["Cors"] == {"AllowOrigins": ["*"]}
    for wrong in ({"AllowOrigins": "*"}, {"AllowOrigins": [1]}, {"MaxAge": "1"}, {"AllowCredentials": "yes"}, []):
        assert put(wrong)[0] == 400
    lam.publish_version(FunctionName=name)
    for alias in ("live", "test"):
        lam.create_alias(FunctionName=name, Name=alias, FunctionVersion="1")
        made = lam.create_function_url_config(FunctionName=name, Qualifier=alias, AuthType="NONE")
        assert made["FunctionUrl"] == f"{server.url}/url/{name}:{alias}/" and made["FunctionArn"] == arn(name) + ":" + alias
    pages = list(lam.get_paginator("list_function_url_configs").paginate(FunctionName=name, PaginationConfig={"PageSize": 2}))
    assert [u["FunctionArn"] for p in pages for u in p["FunctionUrlConfigs"]] == [arn(name), arn(name) + ":live", arn(name) + ":test"] and len(pages) == 2
    lam.delete_function_url_config(FunctionName=name, Qualifier="live")
    lam.delete_function_url_config(FunctionName=name)
    assert [u["FunctionArn"] for u in lam.list_function_url_configs(FunctionName=name)["FunctionUrlConfigs"]] == [arn(name) + ":test"]
    with refused("ResourceNotFoundException", 404):
        lam.create_function_url_config(FunctionName=name, Qualifier="nosuch", AuthType="NONE")
    with refused("ValidationException", 400):
        lam.create_function_url_config(FunctionName=name + ":$LATEST", AuthType="NONE")


# --- aliases --------------------------------------------------------------------------------------


@http
def test_url_of_an_alias(server, lam):
    name = server.make_function("return { main = function(e, c) return { version = c.function_version, arn = c.invoked_function_arn, path = e.rawPath } end }")
    lam.publish_version(FunctionName=name)
    lam.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    lam.create_function_url_config(FunctionName=name, Qualifier="live", AuthType="NONE")
    assert get(server, name)[0] == 404 and get(server, f"{name}:live")[0] == 403
    lam.add_permission(FunctionName=name, StatementId="url", Action="lambda:InvokeFunctionUrl", Principal="*", FunctionUrlAuthType="NONE")
    assert get(server, f"{name}:live")[0] == 403, "the function's policy is not the alias's"
    lam.add_permission(FunctionName=name, Qualifier="live", StatementId="url", Action="lambda:InvokeFunctionUrl", Principal="*", FunctionUrlAuthType="NONE")
    for form in (f"{name}:live", f"{name}%3Alive", f"{name}%3alive"):
        status, _, body = get(server, form, "/a/b")
        assert status == 200 and json.loads(body) == {"version": "1", "arn": arn(name) + ":live", "path": "/a/b"}
    for missing in (f"{name}:1", f"{name}:$LATEST", f"{name}:", f"{name}:nosuch", f":{name}"):
        assert get(server, missing)[0] == 404
    lam.delete_alias(FunctionName=name, Name="live")
    assert get(server, f"{name}:live")[0] == 404


# --- signed calls ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guarded(server, lam):
    name = server.make_function(ECHO)
    lam.create_function_url_config(FunctionName=name, AuthType="AWS_IAM")
    return name


def user(server, *statements):
    iam, name = server.client("iam"), unique("user")
    iam.create_user(UserName=name)
    if statements:
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": list(statements)}))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return f"arn:aws:iam::{ACCOUNT}:user/{name}", key["AccessKeyId"], key["SecretAccessKey"]


@http
def test_signed_calls(server, guarded):
    status, _, body = signed(server, guarded, ACCESS_KEY, SECRET_KEY, path="/x?a=1&b=%C3%BC", body=b'{"k":1}')
    e = json.loads(body)
    assert status == 200 and e["body"] == '{"k":1}' and e["rawQueryString"] == "a=1&b=%C3%BC"
    context = e["requestContext"]
    assert context["accountId"] == ACCOUNT and context["authorizer"]["iam"]["accessKey"] == ACCESS_KEY
    assert context["authorizer"]["iam"]["userArn"] == f"arn:aws:iam::{ACCOUNT}:root"
    assert signed(server, guarded, ACCESS_KEY, SECRET_KEY, method="GET", body=b"")[0] == 200
    big = b"x" * 3_000_000
    status, _, body = signed(server, guarded, ACCESS_KEY, SECRET_KEY, body=big)
    assert status == 200 and json.loads(body)["body"] == big.decode()


@http
def test_signatures_that_are_wrong(server, guarded):
    forbidden = "Forbidden. For troubleshooting Function URL authorization issues"
    status, headers, body = get(server, guarded, method="POST", body=b"{}")
    assert status == 403 and json.loads(body)["Message"].startswith(forbidden) and headers["content-type"] == "application/json"

    def refuse(**change):
        status, _, body = signed(server, guarded, **{**dict(key=ACCESS_KEY, secret=SECRET_KEY), **change})
        assert status in (400, 403), (status, body)
        return status, json.loads(body)["Message"]
    assert refuse(secret="wrong")[1].startswith("The request signature we calculated does not match")
    assert "security token" in refuse(key="AKIANOSUCHKEY0000000")[1]
    assert refuse(at=b"[]")[0] == 403, "another body"
    assert refuse(body=b"x" * 100_000, at=b"y" * 100_000)[0] == 403, "another large body"
    assert refuse(service="s3")[0] in (400, 403)

    def later(headers):
        headers.replace_header("X-Amz-Date", "20200101T000000Z")
    assert refuse(spoil=later)[0] in (400, 403)
    for broken in ("AWS4-HMAC-SHA256 Credential=x", "Basic eDp5", "AWS4-HMAC-SHA256 " + "x" * 3000):
        status, _, _ = get(server, guarded, headers=f"Authorization: {broken}\r\nX-Amz-Date: 20200101T000000Z\r\n")
        assert status in (400, 403)


@http
def test_who_may_call(server, lam, guarded):
    """Caller's policies and the function's, joined as for one account."""
    allow = {"Effect": "Allow", "Action": "lambda:InvokeFunctionUrl", "Resource": arn(guarded), "Condition": {"StringEquals": {"lambda:FunctionUrlAuthType": "AWS_IAM"}}}
    who, key, secret = user(server)
    status, _, body = signed(server, guarded, key, secret)
    assert status == 403 and json.loads(body)["Message"].startswith("Forbidden.")
    lam.add_permission(FunctionName=guarded, StatementId="one", Action="lambda:InvokeFunctionUrl", Principal=who, FunctionUrlAuthType="AWS_IAM")
    status, _, body = signed(server, guarded, key, secret)
    assert status == 200 and json.loads(body)["requestContext"]["authorizer"]["iam"]["userArn"] == who
    _, key, secret = user(server)
    assert signed(server, guarded, key, secret)[0] == 403, "another user"
    _, key, secret = user(server, allow)
    assert signed(server, guarded, key, secret)[0] == 200, "by his own policy"
    _, key, secret = user(server, dict(allow, Action="lambda:InvokeFunction"))
    assert signed(server, guarded, key, secret)[0] == 403
    _, key, secret = user(server, allow, {"Effect": "Deny", "Action": "lambda:*", "Resource": "*"})
    assert signed(server, guarded, key, secret)[0] == 403
    lam.remove_permission(FunctionName=guarded, StatementId="one")


@http
def test_permission_for_urls_only(server, lam):
    """InvokedViaFunctionUrl: what it lets in by the URL it does not let call the API."""
    name = server.make_function(ECHO)
    _, key, secret = user(server)
    grant = {"StatementId": "u", "Action": "lambda:InvokeFunction", "Principal": "*", "InvokedViaFunctionUrl": True}
    status, _, body = server.signed("POST", f"/2015-03-31/functions/{name}/policy", json.dumps(grant).encode(), service="lambda")
    assert status == 201 and json.loads(json.loads(body)["Statement"])["Condition"] == {"Bool": {"lambda:InvokedViaFunctionUrl": "true"}}
    theirs = server.client("lambda", access_key=key, secret_key=secret)
    with refused("AccessDeniedException", 403):
        theirs.invoke(FunctionName=name)


# --- CORS -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def crossed(server, lam):
    name = server.make_function("return { main = function(e) return { statusCode = 200, headers = { ['access-control-allow-origin'] = 'https://own', "
                                "['x-own'] = '1' }, body = e.requestContext.http.method } end }")
    open_url(server, name)
    lam.update_function_url_config(FunctionName=name, Cors={
        "AllowOrigins": ["https://a.example", "http://localhost:3000"], "AllowMethods": ["GET", "POST"], "AllowHeaders": ["content-type", "X-Api"],
        "ExposeHeaders": ["x-own", "date"], "MaxAge": 300, "AllowCredentials": True})
    return name


def cors_of(headers):
    return {k: v for k, v in headers.items() if k.startswith("access-control-")}


def preflight(server, name, origin="https://a.example", method="POST", asked="x-api,content-type"):
    extra = f"Access-Control-Request-Headers: {asked}\r\n" if asked else ""
    return get(server, name, headers=f"Origin: {origin}\r\nAccess-Control-Request-Method: {method}\r\n{extra}", method="OPTIONS")


@http
def test_cors_preflight(server, crossed):
    status, headers, body = preflight(server, crossed)
    assert status == 200 and body == b"" and cors_of(headers) == {
        "access-control-allow-origin": "https://a.example", "access-control-allow-credentials": "true", "access-control-allow-methods": "GET,POST",
        "access-control-allow-headers": "content-type,X-Api", "access-control-max-age": "300"}
    assert "Origin" in headers["vary"] and "x-own" not in headers
    assert cors_of(preflight(server, crossed, asked="")[1])
    for refusal in (dict(origin="https://b.example"), dict(origin="https://a.example.evil"), dict(method="DELETE"), dict(asked="x-api, x-other"), dict(origin="null")):
        status, headers, _ = preflight(server, crossed, **refusal)
        assert status == 200 and not cors_of(headers), refusal
    assert get(server, crossed, method="OPTIONS")[2] == b"OPTIONS", "without an origin it is the function's"


@http
def test_cors_answers(server, crossed):
    status, headers, body = get(server, crossed, headers="Origin: http://localhost:3000\r\n")
    assert status == 200 and body == b"GET" and headers["x-own"] == "1" and cors_of(headers) == {
        "access-control-allow-origin": "http://localhost:3000", "access-control-allow-credentials": "true", "access-control-expose-headers": "x-own,date"}
    for origin in ("Origin: https://b.example\r\n", ""):
        assert not cors_of(get(server, crossed, headers=origin)[1]), "nor the function's own"


@http
def test_cors_for_all_and_signed(server, lam, guarded):
    """A preflight needs no signature; what follows it does, and the refusal can be read by the page."""
    assert preflight(server, guarded)[0] == 403
    lam.update_function_url_config(FunctionName=guarded, Cors={"AllowOrigins": ["*"], "AllowMethods": ["*"], "AllowHeaders": ["*"]})
    status, headers, _ = preflight(server, guarded, method="PATCH", asked="authorization,x-amz-date")
    assert status == 200 and cors_of(headers) == {"access-control-allow-origin": "*", "access-control-allow-methods": "*", "access-control-allow-headers": "*"}
    status, headers, _ = get(server, guarded, headers="Origin: https://x.example\r\n")
    assert status == 403 and cors_of(headers) == {"access-control-allow-origin": "*"}
    status, headers, _ = signed(server, guarded, ACCESS_KEY, SECRET_KEY, Origin="https://x.example")
    assert status == 200 and cors_of(headers) == {"access-control-allow-origin": "*"}
    lam.update_function_url_config(FunctionName=guarded, Cors={})


# --- in parts -------------------------------------------------------------------------------------


@http
def test_answers_in_parts(server, lam):
    name = open_url(server, server.make_function("""return { main = function(e)
        local fail = e.rawPath == '/fail'
        return http.respond_stream(function(write)
          assert(write('part 1;'))
          e = e.queryStringParameters or {} """ + HOLD + """
          for i = 2, 3 do assert(write('part ' .. i .. ';')) end
          if fail then error('midway') end
        end, { statusCode = 201, headers = { ['x-kind'] = 'slow' }, cookies = { 'a=1' } })
      end }""", role=server.make_role({"Effect": "Allow", "Action": "perilune:*", "Resource": "*"}), Timeout=60))
    set_mode(server, name, "RESPONSE_STREAM")
    key = unique("hold")
    c = server.raw(f"GET /url/{name}/?hold={key} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    status, headers = c.head()
    assert status == 201 and headers["x-kind"] == "slow" and headers["set-cookie"] == "a=1" and headers["transfer-encoding"] == "chunked"
    eventually(lambda: b"part 1;" in c.buffer or c.more() and False)
    assert b"part 2;" not in c.buffer
    server.cli("kv", "set", "holds", key, "over")  # the others are made when the first has been seen
    eventually(lambda: b"0\r\n\r\n" in c.buffer or c.more() and False)
    assert b"".join(c.buffer.split(b"\r\n")[1::2]) == b"part 1;part 2;part 3;"
    assert get(server, name, method="HEAD")[0] == 201
    c = server.raw(f"GET /url/{name}/fail HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    assert c.head()[0] == 201
    while c.more():
        pass
    assert b"part 3;" in c.buffer and not c.buffer.endswith(b"0\r\n\r\n"), "cut off, so that the client sees it"
    whole = open_url(server, server.make_function(ECHO))
    set_mode(server, whole, "RESPONSE_STREAM")
    assert json.loads(get(server, whole)[2])["rawPath"] == "/", "a function that does not stream answers as ever"


@http
def test_heads_of_answers_in_parts(server, lam):
    """A head that HTTP does not allow: an error in the function where it sets it, and 502 unless it catches that."""
    name = open_url(server, server.make_function("""return { main = function(e)
        local ok, err = pcall(http.respond_stream, function(write) assert(write('said')) end, json.decode(e.body))
        if not ok and e.rawPath == '/caught' then return { statusCode = 400, body = err } end
        if not ok then error(err, 0) end
      end }"""))
    set_mode(server, name, "RESPONSE_STREAM")
    for head, why in (({"headers": {"bad name": "v"}}, "a header's name has characters that no name may have"),
                      ({"headers": {"": "v"}}, "a header's name has characters that no name may have"),
                      ({"headers": {"x": "a\r\nSet-Cookie: b=1"}}, "the value of header 'x' has control characters or is too long"),
                      ({"headers": {"x": "a\nb"}}, "the value of header 'x' has control characters or is too long"),
                      ({"headers": {"x": "v" * 16385}}, "the value of header 'x' has control characters or is too long"),
                      ({"headers": {"x": ["v"]}}, "the value of header 'x' is no string"),
                      ({"headers": ["v"]}, "a header's name is no string"),
                      ({"cookies": ["a=1\nb=2"]}, "a cookie has control characters"),
                      ({"cookies": ["a=1\rb=2"]}, "a cookie has control characters"),
                      ({"cookies": ["a=1", True]}, "a cookie is no string"),
                      ({"headers": {f"x-{i}": "v" for i in range(101)}}, "the answer has too many headers, or too large ones"),
                      ({"headers": {f"x-{i}": "v" * 16000 for i in range(5)}}, "the answer has too many headers, or too large ones"),
                      ({"statusCode": 600}, "statusCode must be 200 to 599"), ({"statusCode": 200.5}, "a whole number expected")):
        body = json.dumps(head).encode()
        status, headers, text = get(server, name, "/caught", method="POST", body=body)
        assert status == 400 and why in text.decode().lower().replace("statuscode", "statusCode"), (head, status, text)
        assert "x" not in headers and "set-cookie" not in headers
        status, headers, text = get(server, name, "/", method="POST", body=body)
        assert status == 502 and json.loads(text) == {"Message": "Internal Server Error"} and "set-cookie" not in headers
        eventually(lambda: any(why[1:] in line for line in server.log_lines(name)))
    head = {"statusCode": 203, "headers": {"x-flag": True, "x-number": 7, "x-text": "a\tb"}, "cookies": ["a=1", "b=2"]}
    c = server.raw(f"POST /url/{name}/ HTTP/1.1\r\nHost: h\r\nContent-Length: {len(json.dumps(head))}\r\n\r\n{json.dumps(head)}".encode())
    eventually(lambda: b"0\r\n\r\n" in c.buffer or c.more() and False)
    lines = c.buffer.split(b"\r\n\r\n")[0].split(b"\r\n")
    assert lines[0].startswith(b"HTTP/1.1 203 ") and {b"x-flag: true", b"x-number: 7", b"x-text: a\tb"} <= set(lines)
    assert [line for line in lines if line.lower().startswith(b"set-cookie")] == [b"Set-Cookie: a=1", b"Set-Cookie: b=2"]
    direct = server.make_function("return { main = function() return http.respond_stream(function(write) end, { headers = { x = 'a\\nb' } }) end }")
    _, _, answer = server.signed("POST", f"/2021-11-15/functions/{direct}/response-streaming-invocations", b"{}", service="lambda")
    assert b"has control characters" in answer
