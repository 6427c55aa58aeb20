"""Packages through the API: large ones in little memory, refused ones without a trace, updates under load."""
import base64
import http.client
import io
import json
import os
import pathlib
import re
import threading
import time
import zipfile

import pytest
from botocore.exceptions import ClientError

from perilune import SANITIZED, Server, eventually, make_zip, unique

pytestmark = pytest.mark.boto3
MIB = 1024 * 1024
CODE = "return { main = function() return 'ran' end }"


@pytest.fixture(scope="module")
def own():
    """A server of its own: memory and files are counted."""
    with Server() as s:
        yield s


@pytest.fixture(scope="module")
def lam(own):
    return own.client("lambda", read_timeout=120)


@pytest.fixture(scope="module")
def role(own):
    return own.make_role()


def stored_zip(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as z:
        for name, data in files.items():
            z.writestr(name, data)
    return out.getvalue()


def blobs(server):
    return sorted(p.name for p in (pathlib.Path(server.data) / "blobs").rglob("*") if p.is_file())


def peak_kib(server):
    return int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{server.proc.pid}/status").read_text())[1])


def create(lam, role, name, code):
    return lam.create_function(FunctionName=name, Role=role, Runtime="lua", Handler="handler.main", Code={"ZipFile": code})


def test_large_package_in_little_memory(own, lam, role):
    name, before, files = unique("large"), peak_kib(own), blobs(own)
    data = os.urandom(24 * MIB)
    code = stored_zip({"handler.lua": "return { main = function(e) return #asset.read('small') end }", "data": data, "small": "x" * 70000})
    made = create(lam, role, name, code)
    assert made["CodeSize"] == len(code)
    if not SANITIZED:
        assert peak_kib(own) - before < 16 * 1024
    assert len(blobs(own)) == len(files) + 2
    assert own.invoke(name)[0] == 70000
    # the same package again costs no disk; it goes with its last function
    other = unique("large")
    create(lam, role, other, code)
    eventually(lambda: len(blobs(own)) == len(files) + 2)
    lam.delete_function(FunctionName=name)
    assert own.invoke(other)[0] == 70000
    lam.delete_function(FunctionName=other)
    eventually(lambda: blobs(own) == files)


def test_many_files(own, lam, role):
    files = {f"f/{i}": str(i) for i in range(65534)}
    name = unique("many")
    create(lam, role, name, stored_zip({"handler.lua": "return { main = function(e) return asset.read('f/' .. e.i) end }", **files}))
    assert own.invoke(name, {"i": 65533})[0] == "65533"
    lam.delete_function(FunctionName=name)
    with pytest.raises(ClientError) as e:
        create(lam, role, name, stored_zip({"handler.lua": CODE, "one": "", "two": "", **files}))
    assert e.value.response["Error"]["Code"] == "InvalidParameterValueException"


def big(**change):
    """A zip of some MiB whose last file is not what it says."""
    code = bytearray(stored_zip({"handler.lua": CODE, "data": os.urandom(3 * MIB), "last.txt": b"some text"}))
    at = code.index(b"some text")
    code[at:at + 4] = b"SOME"
    return bytes(code)


REFUSED = {
    "wrong CRC behind 3 MiB": big,
    "too much unpacked": lambda: make_zip({"handler.lua": CODE, "zeros": bytes(251 * MIB)}),
    "ratio": lambda: make_zip({"handler.lua": CODE, "zeros": bytes(100 * MIB)}),
    "bytecode": lambda: make_zip({"handler.lua": b"\x1bLJ\x02\n\x02\x0b", "data": os.urandom(100000)}),
    "cut": lambda: big()[:-100],
}


@pytest.mark.parametrize("kind", REFUSED)
def test_refused_leaves_nothing(own, lam, role, kind):
    name, files, before = unique("refused"), blobs(own), peak_kib(own)
    with pytest.raises(ClientError) as e:
        create(lam, role, name, REFUSED[kind]())
    r = e.value.response
    assert (r["Error"]["Code"], r["ResponseMetadata"]["HTTPStatusCode"]) == ("InvalidParameterValueException", 400)
    with pytest.raises(lam.exceptions.ResourceNotFoundException):
        lam.get_function(FunctionName=name)
    eventually(lambda: blobs(own) == files)
    if not SANITIZED:
        assert peak_kib(own) - before < 64 * 1024


def test_other_refusals_leave_nothing(own, lam, role):
    """A good zip with something else wrong, found early and late."""
    code, files, name = stored_zip({"handler.lua": CODE, "data": os.urandom(MIB)}), blobs(own), unique("good")
    given = dict(FunctionName=name, Role=role, Runtime="lua", Handler="handler.main", Code={"ZipFile": code})
    for change in ({"Runtime": "python3.12"}, {"Handler": "x"}, {"Role": role + "-not"}, {"Timeout": 901}, {"Layers": ["l"]}, {"PackageType": "Image"}):
        with pytest.raises(ClientError):
            lam.create_function(**{**given, **change})
    lam.create_function(**given)
    with pytest.raises(lam.exceptions.ResourceConflictException):
        lam.create_function(**given)
    with pytest.raises(ClientError):
        lam.update_function_code(FunctionName=name, ZipFile=stored_zip({"handler.lua": CODE, "data": os.urandom(MIB)}), RevisionId="other")
    sha = lam.get_function_configuration(FunctionName=name)["CodeSha256"]
    other = lam.update_function_code(FunctionName=name, ZipFile=stored_zip({"handler.lua": CODE, "data": os.urandom(MIB)}), DryRun=True)
    assert other["CodeSha256"] != sha and lam.get_function_configuration(FunctionName=name)["CodeSha256"] == sha
    lam.delete_function(FunctionName=name)
    eventually(lambda: blobs(own) == files)


@pytest.mark.http
def test_bodies_that_end_badly(own, role):
    name, files = unique("torn"), blobs(own)
    code = base64.b64encode(stored_zip({"handler.lua": CODE, "data": os.urandom(2 * MIB)})).decode()
    body = json.dumps({"FunctionName": name, "Role": role, "Runtime": "lua", "Handler": "handler.main", "Code": {"ZipFile": code}}).encode()
    call = lambda b, **k: own.signed("POST", "/2015-03-31/functions", b, service="lambda", **k)
    for bad, error in ((body[:-20], "InvalidRequestContentException"), (body[:MIB], "InvalidRequestContentException"),
                       (body.replace(b'"ZipFile": "', b'"ZipFile": "!'), "InvalidParameterValueException"), (b"[1]", "InvalidRequestContentException"),
                       (b"", "ValidationException"), (b'"' + b"x" * 100000, "RequestEntityTooLargeException")):
        status, headers, answer = call(bad)
        assert status in (400, 413) and headers["x-amzn-errortype"].split(":")[0] == error, answer
    status, _, answer = call(body, secret_key="not the secret")
    assert status == 403, answer
    # the client hangs up in the middle
    for part in (1000, MIB, len(body) - 1):
        headers = own.sign("POST", "/2015-03-31/functions", body, service="lambda")
        c = http.client.HTTPConnection("127.0.0.1", own.port)
        c.putrequest("POST", "/2015-03-31/functions", skip_host=True, skip_accept_encoding=True)
        for header, value in headers.items():
            c.putheader(header, value)
        c.endheaders(body[:part])
        time.sleep(0.05)
        c.close()
    eventually(lambda: blobs(own) == files)
    # escaped as some serialisers do it, and a second ZipFile that wins
    odd = body.replace(b"/", b"\\/").replace(b'"ZipFile": "', b'"ZipFile": "AAAA", "ZipFile": "').replace(b"+", b"\\u002B")
    odd = odd.replace(b'"Handler"', b'"ZipFile": "not the member that counts", "Handler"')
    status, _, answer = call(odd)
    assert status == 201, answer
    assert own.invoke(name)[0] == "ran"
    own.client("lambda").delete_function(FunctionName=name)
    eventually(lambda: blobs(own) == files)


def test_updates_under_load(own, lam, role):
    """While the code changes, every call runs one whole version, modules that are loaded late included."""
    name, wrong, stop = unique("deploy"), [], threading.Event()

    def version(n):
        return stored_zip({
            "handler.lua": f"return {{ main = function(e) time.sleep(0.002) return {{ {n}, require('late') }} end }}",
            "late.lua": f"return {n} -- " + "x" * 20000,
            "data": os.urandom(300000),
        })

    def caller():
        client = own.client("lambda")
        while not stop.is_set():
            payload, error, _ = own.invoke(name, client=client)
            if error or payload[0] != payload[1]:
                wrong.append(payload)

    create(lam, role, name, version(0))
    threads = [threading.Thread(target=caller) for _ in range(4)]
    [t.start() for t in threads]
    try:
        for n in range(1, 31):
            lam.update_function_code(FunctionName=name, ZipFile=version(n))
            assert own.invoke(name, client=lam)[0] == [n, n], "the update's answer means that the new code runs"
    finally:
        stop.set()
        [t.join() for t in threads]
    assert wrong == []
    lam.delete_function(FunctionName=name)
