"""Calls made for the console's pages: how the server was started, what editors complete from, a function's last hour."""
import json
import subprocess
import urllib.request

import pytest

from perilune import BINARY, TRUST, Server, make_zip, unique
from test_console import Console

pytestmark = pytest.mark.http


@pytest.fixture(scope="module")
def console():
    c = Console("--max-runners", "17", "--runs-age", "3600", "--verbose")
    c.token = c.sign_in()["token"]
    yield c
    c.close()


def test_settings(console):
    about = console.call("GET", "/v1/settings")
    flags = {row["flag"]: row for row in about["settings"]}
    assert flags["max-runners"]["value"] == 17 and flags["max-runners"]["default"] == "256"
    assert flags["runs-age"] | {"value": 3600, "kind": "seconds"} == flags["runs-age"]
    assert flags["verbose"]["value"] is True and flags["public-url"]["value"] is None
    assert flags["store-max"]["value"] == 256 << 30
    assert about["endpoint"] == console.server.url and about["version"]
    layers = {row["layer"]: row["in_force"] for row in about["jail"]}
    assert {"no_new_privs", "landlock", "rlimits", "capabilities"} <= set(layers) and layers["rlimits"]
    assert sorted(k for k, on in layers.items() if on) == sorted(json.loads(urllib.request.urlopen(f"{console.server.url}/healthz").read())["jail"])


def test_settings_need_a_permission(console):
    iam, name = console.server.client("iam"), unique("user")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    token = console.sign_in(access_key=key["AccessKeyId"], secret_key=key["SecretAccessKey"])["token"]
    status, _, body = console.raw("GET", "/v1/settings", token=token)
    assert status == 403 and b"perilune:GetSettings" in body
    assert console.raw("GET", "/v1/reference", token=token)[0] == 200


def test_reference_is_what_the_command_prints(console):
    told = console.call("GET", "/v1/reference")["modules"]
    printed = json.loads(subprocess.run([BINARY, "reference", "--json"], capture_output=True, check=True).stdout)
    assert told == printed and any(f["name"] == "s3.get" for m in told for f in m["functions"])


def test_metrics_of_a_function(console):
    name = console.function("return { main = function(e) if e.fail then error('no') end return 1 end }")
    metrics = lambda: console.call("GET", f"/v1/functions/{name}/metrics")
    before = metrics()
    assert before["step_ms"] == 60000 and sum(p["requests"] for p in before["points"]) == 0
    for event in (b"{}", b"{}", b'{"fail":true}'):
        console.invoke(name, event)
    points = metrics()["points"]
    assert (sum(p["requests"] for p in points), sum(p["errors"] for p in points)) == (3, 1)
    busy = [p for p in points if p["requests"]]
    assert all(0 < p["p50_ms"] <= p["p99_ms"] * 1.01 and p["max_ms"] > 0 and p["memory_bytes"] > 0 for p in busy)
    assert [p["t"] for p in points] == sorted(p["t"] for p in points)
    other = console.function("return { main = function() end }")
    assert not any(p["requests"] for p in console.call("GET", f"/v1/functions/{other}/metrics")["points"])
    assert console.raw("GET", "/v1/functions/nobody/metrics", token=console.token)[0] == 404


# --- where the API says it is --------------------------------------------------------------------


@pytest.mark.parametrize("flags, scheme, host", [
    (["--public-url", "https://api.example/"], "https", "api.example"),
    (["--behind-tls-proxy"], "https", None),
    ([], "http", None),
])
def test_addresses_in_answers(flags, scheme, host):
    """Function URLs, package links and uploads' Location: as --public-url says, else as the caller came."""
    with Server(*flags) as s:
        base = f"{scheme}://{host or f'127.0.0.1:{s.port}'}"
        iam, fn, s3 = s.client("iam"), s.client("lambda"), s.client("s3")
        arn = iam.create_role(RoleName="r", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
        fn.create_function(FunctionName="f", Runtime="lua", Handler="handler.main", Role=arn, Code={"ZipFile": make_zip("return { main = function() end }")})
        assert fn.create_function_url_config(FunctionName="f", AuthType="NONE")["FunctionUrl"] == f"{base}/url/f/"
        assert fn.get_function_url_config(FunctionName="f")["FunctionUrl"] == f"{base}/url/f/"
        assert fn.get_function(FunctionName="f")["Code"]["Location"].startswith(f"{base}/perilune/packages/")
        s3.create_bucket(Bucket="bucket")
        upload = s3.create_multipart_upload(Bucket="bucket", Key="a key")["UploadId"]
        part = s3.upload_part(Bucket="bucket", Key="a key", UploadId=upload, PartNumber=1, Body=b"x")["ETag"]
        done = s3.complete_multipart_upload(Bucket="bucket", Key="a key", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part}]})
        assert done["Location"] == f"{base}/bucket/a%20key"
