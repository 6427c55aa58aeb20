"""Function URLs at the edge: what reaches the function, what reaches the client, and what neither may see."""
import base64
import json
import re

import pytest


pytestmark = pytest.mark.http

ECHO = "return { main = function(e) return { statusCode = 200, headers = { ['content-type'] = 'application/json' }, body = json.encode(e) } end }"
# The answer is what the request's body says.
MIRROR = "return { main = function(e) return json.decode(e.isBase64Encoded and base64.decode(e.body) or e.body) end }"


def open_url(server, name):
    lam = server.client("lambda")
    lam.create_function_url_config(FunctionName=name, AuthType="NONE")
    lam.add_permission(FunctionName=name, StatementId="url", Action="lambda:InvokeFunctionUrl", Principal="*", FunctionUrlAuthType="NONE")
    return name


@pytest.fixture(scope="module")
def echo(server):
    return open_url(server, server.make_function(ECHO))


@pytest.fixture(scope="module")
def mirror(server):
    return open_url(server, server.make_function(MIRROR))


def ask(server, request):
    """Status, headers, body of one raw request."""
    c = server.raw(request)
    status, headers = c.head()
    return status, headers, c.body(headers)


def get(server, name, rest="/", headers="", method="GET", body=b""):
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return ask(server, f"{method} /url/{name}{rest} HTTP/1.1\r\nHost: example.test:8080\r\n{length}{headers}\r\n".encode("latin-1") + body)


def answer(server, mirror, value):
    return get(server, mirror, method="POST", body=json.dumps(value).encode())


def test_event_fields(server, echo):
    status, headers, body = get(server, echo, "/a//b/../c?x=1&x=2&y=%C3%BC&z&=e", "User-Agent: agent/1\r\n")
    e = json.loads(body)
    assert status == 200 and re.fullmatch(r"[0-9a-f-]{36}", headers["x-amzn-requestid"])
    assert e["rawPath"] == "/a//b/../c" and e["rawQueryString"] == "x=1&x=2&y=%C3%BC&z&=e"
    assert e["queryStringParameters"]["x"] == "1,2" and e["queryStringParameters"]["y"] == "ü" and e["queryStringParameters"]["z"] == ""
    context = e["requestContext"]
    assert context["requestId"] == headers["x-amzn-requestid"] and context["domainName"] == "example.test:8080" and context["stage"] == "$default"
    assert context["http"]["userAgent"] == "agent/1" and context["http"]["method"] == "GET" and "body" not in e
    assert json.loads(get(server, echo, "")[2])["rawPath"] == "/"
    assert "queryStringParameters" not in json.loads(get(server, echo, "/")[2])


def test_headers_that_reach_the_function(server, echo):
    many = "X-Two: a\r\nx-one: 1\r\nX-TWO: b\r\nX-two: c\r\nCookie: k=v; l=\"w;\r\ncookie: m=1;;  ;n=2\r\nX-Empty:\r\n"
    hop = ("Connection: keep-alive, x-one\r\nKeep-Alive: 5\r\nTE: trailers\r\nTrailer: x\r\nUpgrade: h2c\r\nProxy-Authorization: Basic x\r\n"
           "Proxy-Connection: keep-alive\r\n")
    e = json.loads(get(server, echo, "/", many + hop)[2])
    assert e["headers"] == {"host": "example.test:8080", "x-two": "a,b,c", "x-one": "1", "x-empty": ""}
    assert e["cookies"] == ["k=v", 'l="w', "m=1", "n=2"]


def test_bodies(server, echo):
    for body, encoded in ((b"plain text", False), ("ü".encode(), False), (b"\xff\xfe\x00", True), (b'{"a":1}', False)):
        e = json.loads(get(server, echo, method="POST", body=body)[2])
        assert e["isBase64Encoded"] == encoded or e["isBase64Encoded"], body
        assert (base64.b64decode(e["body"]) if e["isBase64Encoded"] else e["body"].encode()) == body
    status, _, body = ask(server, f"PUT /url/{echo}/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
    e = json.loads(body)
    assert status == 200 and (base64.b64decode(e["body"]) if e["isBase64Encoded"] else e["body"].encode()) == b"abcde"
    assert "transfer-encoding" not in e["headers"]
    large = b"x" * (2 * 1024 * 1024)
    e = json.loads(get(server, echo, method="POST", body=large)[2])
    assert len(e["body"]) >= len(large)


def test_too_large(server, echo):
    status, _, body = ask(server, f"POST /url/{echo}/ HTTP/1.1\r\nHost: h\r\nContent-Length: {6 * 1024 * 1024 + 1}\r\nExpect: 100-continue\r\n\r\n")
    assert status == 413 and json.loads(body)["Message"]
    c = server.raw(f"POST /url/{echo}/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(7):
        c.send(b"100000\r\n" + b"x" * 0x100000 + b"\r\n")
    assert c.head()[0] == 413
    assert get(server, echo)[0] == 200


def test_answers(server, mirror):
    status, headers, body = answer(server, mirror, {"a": [1]})
    assert (status, headers["content-type"], json.loads(body)) == (200, "application/json", {"a": [1]})
    status, headers, body = answer(server, mirror, {"statusCode": 404, "body": "gone"})
    assert (status, body) == (404, b"gone") and headers["content-type"] == "application/json"
    status, headers, body = answer(server, mirror, {"statusCode": 204, "headers": {"x-own": "1"}})
    assert (status, body, headers["x-own"]) == (204, b"", "1") and "content-length" not in headers
    status, headers, body = answer(server, mirror, {"statusCode": 302, "headers": {"Location": "/there"}, "cookies": ["a=1; Path=/"]})
    assert (status, headers["location"], headers["set-cookie"]) == (302, "/there", "a=1; Path=/")
    assert answer(server, mirror, None)[2] == b"null"
    assert answer(server, mirror, "text")[2] in (b"text", b'"text"')


def test_framing_is_not_the_functions(server, mirror):
    own = {"Content-Length": "3", "Transfer-Encoding": "chunked", "Connection": "close", "Date": "never", "Keep-Alive": "1", "x-amzn-RequestId": "mine",
           "Upgrade": "x", "X-Kept": "yes"}
    c = server.raw()
    for _ in range(2):  # the connection goes on
        body = json.dumps({"statusCode": 200, "headers": own, "body": "twelve bytes"}).encode()
        c.send(f"POST /url/{mirror}/ HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        status, headers = c.head()
        assert status == 200 and headers["x-kept"] == "yes" and headers["content-length"] == "12" and headers["date"] != "never"
        assert headers["x-amzn-requestid"] != "mine" and not {"transfer-encoding", "connection", "upgrade", "keep-alive"} & set(headers)
        assert c.body(headers) == b"twelve bytes"


@pytest.mark.parametrize("value", [
    {"statusCode": 99}, {"statusCode": 100}, {"statusCode": 600}, {"statusCode": "x"}, {"statusCode": 200, "headers": {"bad name": "v"}},
    {"statusCode": 200, "headers": {"x": "a\r\nSet-Cookie: b=1"}}, {"statusCode": 200, "cookies": ["a=1\r\nx: y"]},
    {"statusCode": 200, "headers": {f"x-{i}": "v" for i in range(101)}}, {"statusCode": 200, "headers": {"x": "v" * 70000}},
    {"statusCode": 200, "body": "not base64!", "isBase64Encoded": True},
], ids=lambda v: str(v)[:50])
def test_answers_that_are_wrong(server, mirror, value):
    status, headers, body = answer(server, mirror, value)
    assert status in (200, 502) and "set-cookie" not in headers and "y" not in headers.get("x", "")
    if status == 502:
        assert json.loads(body) == {"Message": "Internal Server Error"}
    else:  # the part that is wrong was left out
        assert not any("\r" in v or len(v) > 60000 for v in headers.values())
    assert answer(server, mirror, 1)[2] == b"1"


def test_no_cookie_is_left_out(server, mirror):
    assert answer(server, mirror, {"statusCode": 200, "cookies": [f"c{i}=v" for i in range(101)]})[0] == 502
    assert any("more than 100 cookies" in line for line in server.log_lines(mirror))


def test_head_and_pipelining(server, echo):
    c = server.raw((f"HEAD /url/{echo}/ HTTP/1.1\r\nHost: h\r\n\r\n" + f"GET /url/{echo}/2 HTTP/1.1\r\nHost: h\r\n\r\n" * 20).encode())
    status, headers = c.head()
    assert status == 200 and int(headers["content-length"]) > 100
    for _ in range(20):
        status, headers = c.head()
        assert status == 200 and json.loads(c.body(headers))["rawPath"] == "/2"


def test_what_is_not_there(server):
    closed = server.make_function(ECHO)
    for name in ("", "nothing", closed, "a%2Fb", "x" * 3000, "..", "$LATEST"):
        status, headers, body = get(server, name)
        assert status == 404 and headers["content-type"] == "application/json" and json.loads(body) == {"Message": "Not Found"}, name
    server.client("lambda").create_function_url_config(FunctionName=closed, AuthType="NONE")
    status, _, body = get(server, closed)
    assert status == 403 and json.loads(body)["Message"].startswith("Forbidden.")


@pytest.mark.parametrize("given", [
    dict(Principal="x-nobody", FunctionUrlAuthType="NONE"), dict(Principal="s3.amazonaws.com", FunctionUrlAuthType="NONE"),
    dict(Principal="*", FunctionUrlAuthType="AWS_IAM"), dict(Principal="*", Action="lambda:InvokeFunction"),
    dict(Principal="*", FunctionUrlAuthType="NONE", SourceAccount="111111111111"),
], ids=str)
def test_permissions_that_do_not_open_it(server, given):
    lam = server.client("lambda")
    name = server.make_function(ECHO)
    lam.create_function_url_config(FunctionName=name, AuthType="NONE")
    try:
        lam.add_permission(**{**dict(FunctionName=name, StatementId="s", Action="lambda:InvokeFunctionUrl"), **given})
    except lam.exceptions.InvalidParameterValueException:
        pass  # a principal that is none
    assert get(server, name)[0] == 403


def test_error_and_throttle_are_plain(server):
    name = open_url(server, server.make_function("return { main = function(e) error('secret detail') end }"))
    status, headers, body = get(server, name)
    assert status == 502 and json.loads(body) == {"Message": "Internal Server Error"} and b"secret" not in body
