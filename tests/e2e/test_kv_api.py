"""The key-value store and the secrets over /perilune/v1/: what people's tools use."""
import base64
import json

import pytest

from perilune import ACCOUNT, REGION, eventually, unique

pytestmark = pytest.mark.http


def call(server, method, path, body=b"", **more):
    status, headers, answer = server.signed(method, "/perilune/v1" + path, body, service="perilune", **more)
    is_json = headers.get("content-type") == "application/json"
    return status, json.loads(answer) if is_json else answer, headers


def test_a_value_there_and_back(server):
    ns = unique("ns")
    value = bytes(range(256))
    status, put, _ = call(server, "PUT", f"/kv/{ns}/a%2Fb%20c", value)
    assert status == 200 and put["version"] > 0
    status, got, headers = call(server, "GET", f"/kv/{ns}/a%2Fb%20c")
    assert (status, got) == (200, value) and headers["etag"] == f'"{put["version"]}"'
    assert call(server, "DELETE", f"/kv/{ns}/a%2Fb%20c")[:2] == (200, {"existed": True})
    assert call(server, "DELETE", f"/kv/{ns}/a%2Fb%20c")[:2] == (200, {"existed": False})
    status, error, headers = call(server, "GET", f"/kv/{ns}/a%2Fb%20c")
    assert status == 404 and headers["x-amzn-errortype"] == "ResourceNotFoundException", error


def test_conditions_and_expiry(server):
    ns = unique("ns")
    version = call(server, "PUT", f"/kv/{ns}/k?if_absent=1", b"one")[1]["version"]
    assert call(server, "PUT", f"/kv/{ns}/k?if_absent=1", b"two")[0] == 412
    assert call(server, "PUT", f"/kv/{ns}/k?if_version={version + 1000}", b"two")[0] == 412
    newer = call(server, "PUT", f"/kv/{ns}/k?if_version={version}&ttl=3", b"two")[1]["version"]
    assert newer > version
    assert "x-perilune-expires" in call(server, "GET", f"/kv/{ns}/k")[2]
    assert call(server, "DELETE", f"/kv/{ns}/k?if_version={version}")[0] == 412
    eventually(lambda: call(server, "GET", f"/kv/{ns}/k")[0] == 404, 20, 0.1)
    assert call(server, "GET", f"/kv/{ns}")[1]["items"] == []


def test_listing(server):
    ns = unique("ns")
    for i in range(7):
        call(server, "PUT", f"/kv/{ns}/k{i}", b"v%d" % i)
    call(server, "PUT", f"/kv/{ns}/%FF", b"\xff\x00")
    status, page, _ = call(server, "GET", f"/kv/{ns}?limit=5&prefix=k")
    assert status == 200 and [i["key"] for i in page["items"]] == [f"k{i}" for i in range(5)]
    assert page["items"][0]["size"] == 2 and "value" not in page["items"][0]
    page = call(server, "GET", f"/kv/{ns}?cursor={page['cursor']}&values=1")[1]
    assert [i.get("value") for i in page["items"]] == ["v5", "v6", None] and page["cursor"] is None
    assert base64.b64decode(page["items"][2]["key_base64"]) == b"\xff" and base64.b64decode(page["items"][2]["value_base64"]) == b"\xff\x00"
    assert ns in call(server, "GET", "/kv")[1]["namespaces"]


@pytest.mark.parametrize("method, path, body", [
    ("PUT", "/kv/n%20s/k", b"v"), ("PUT", "/kv/" + "n" * 65 + "/k", b"v"), ("PUT", "/kv/n/" + "k" * 401, b"v"),
    ("PUT", "/kv/n/k?ttl=-1", b"v"), ("PUT", "/kv/n/k?ttl=x", b"v"), ("PUT", "/kv/n/k?ttl=99999999999", b"v"),
    ("PUT", "/kv/n/k?if_absent=maybe", b"v"), ("GET", "/kv/n?limit=1001", b""), ("GET", "/kv/n?cursor=%21", b""),
    ("DELETE", "/kv/n/k?if_version=", b""), ("PUT", "/secrets/a%20b", b"v"), ("PUT", "/secrets/" + "s" * 129, b"v"), ("PUT", "/secrets/s", b""),
])
def test_what_is_wrong_is_said(server, method, path, body):
    status, error, headers = call(server, method, path, body)
    assert status == 400 and headers["x-amzn-errortype"] == "InvalidParameterValueException" and error["message"], (status, error)


def test_too_large(server):
    assert call(server, "PUT", "/kv/n/k", b"v" * (256 * 1024 + 1))[0] == 413
    assert call(server, "PUT", "/kv/n/k", b"v" * (256 * 1024))[0] == 200
    assert call(server, "PUT", "/secrets/s", b"v" * (64 * 1024 + 1))[0] == 413


def test_secrets_are_write_only(server):
    name = unique("secret")
    status, put, _ = call(server, "PUT", f"/secrets/{name}", b"hunter2")
    assert (status, put) == (200, {"name": name, "created": True})
    assert call(server, "PUT", f"/secrets/{name}", b"hunter3")[1]["created"] is False
    listed = call(server, "GET", "/secrets")[1]
    assert [set(s) for s in listed["secrets"] if s["name"] == name] == [{"name", "created", "changed"}]
    assert call(server, "GET", f"/secrets/{name}")[0] == 405
    assert b"hunter" not in b"".join(p.read_bytes() for p in server.data.glob("meta.mdb"))
    assert call(server, "DELETE", f"/secrets/{name}")[0] == 204
    assert call(server, "DELETE", f"/secrets/{name}")[0] == 404


def test_functions_see_the_same_rows(server):
    ns = unique("ns")
    call(server, "PUT", f"/kv/{ns}/k", b"from outside")
    name = server.make_function("return { main = function(e) local s = kv.open(e) s:set('r', 'from inside') return s:get('k') end }",
                                role=server.make_role({"Effect": "Allow", "Action": "perilune:Kv*", "Resource": f"arn:aws:perilune:{REGION}:{ACCOUNT}:kv/{ns}"}))
    assert server.invoke(name, ns)[0] == "from outside"
    assert call(server, "GET", f"/kv/{ns}/r")[1] == b"from inside"
