"""The s3-upload blueprint through the perilune command: preview, live, pictures of four kinds, removal."""
import json

import pytest

import pictures
from perilune import eventually, unique

pytestmark = pytest.mark.cli

KINDS = {
    "png": (pictures.png, 320, 200),
    "jpeg": (pictures.jpeg, 641, 427),
    "gif": (pictures.gif, 17, 5),
    "webp": (pictures.webp, 1023, 768),
}


def names(server):
    lam, iam, s3 = server.client("lambda"), server.client("iam"), server.client("s3")
    return ({f["FunctionName"] for f in lam.list_functions()["Functions"]}, {r["RoleName"] for r in iam.list_roles()["Roles"]},
            {b["Name"] for b in s3.list_buckets()["Buckets"]})


def test_list_and_show(server):
    listed = json.loads(server.cli("blueprint", "list", "--json").stdout)
    assert "s3-upload" in json.dumps(listed)
    shown = json.loads(server.cli("blueprint", "show", "s3-upload", "--json").stdout)
    assert [p["name"] for p in shown["params"]] and {"bucket", "prefix", "suffix", "name"} <= {p["name"] for p in shown["params"]}
    assert server.cli("blueprint", "show", "no-such", check=False).returncode == 3


def test_preview_creates_nothing(server):
    before = names(server)
    name, bucket = unique("preview"), unique("preview")
    r = server.cli("blueprint", "new", "s3-upload", "--name", name, "--set", f"bucket={bucket}", "--dry-run")
    for text in (name, bucket, f"{name}-role", "s3:GetObject", f"arn:aws:s3:::{bucket}/"):
        assert text in r.stdout, r.stdout
    assert names(server) == before


def test_without_yes_it_refuses_off_a_terminal(server):
    before = names(server)
    r = server.cli("blueprint", "new", "s3-upload", "--name", unique("ask"), check=False)
    assert r.returncode == 2 and "--yes" in r.stderr, r.stderr
    assert names(server) == before


def test_bad_parameters_are_named(server):
    r = server.cli("blueprint", "new", "s3-upload", "--set", "bucket=NOT OK", "--set", "colour=red", "--yes", check=False)
    assert r.returncode == 1 or r.returncode == 2
    assert "bucket" in r.stderr and "colour" in r.stderr, r.stderr


@pytest.fixture(scope="module")
def instance(server):
    name, bucket = unique("pics"), unique("pics")
    server.cli("blueprint", "new", "s3-upload", "--name", name, "--set", f"bucket={bucket}", "--yes")
    return name, bucket


@pytest.mark.parametrize("kind", KINDS)
def test_picture_is_logged(server, instance, kind, tmp_path):
    name, bucket = instance
    make, width, height = KINDS[kind]
    path = tmp_path / f"a {kind} picture.{kind}"
    path.write_bytes(make(width, height))
    key = f"some folder/{path.name}"
    server.cli("bucket", "cp", str(path), f"s3://{bucket}/{key}")

    def line():
        return [l for l in server.log_lines(name) if key in l]
    got = eventually(line)[0]
    for fact in (str(width), str(height), kind, str(path.stat().st_size)):
        assert fact in got, (fact, got)


def test_what_is_no_picture_is_said_so(server, instance):
    name, bucket = instance
    server.client("s3").put_object(Bucket=bucket, Key="notes.txt", Body=b"not a picture")
    line = eventually(lambda: [l for l in server.log_lines(name) if "notes.txt" in l])[0]
    assert "13" in line
    server.client("s3").put_object(Bucket=bucket, Key="empty", Body=b"")
    eventually(lambda: [l for l in server.log_lines(name) if '"empty"' in l or "empty" in l])
    assert not [l for l in server.log_lines(name) if "errorType" in l]


def test_counts_are_kept(server, instance):
    name, bucket = instance
    role = server.make_role({"Effect": "Allow", "Action": "perilune:KvRead", "Resource": "*"})
    reader = server.make_function(
        "return { main = function(e) local out = {} for _, k in ipairs(e.keys) do out[k] = (kv.open(e.ns):get(k)) end return out end }", role=role)
    value, error, _ = server.invoke(reader, {"ns": name, "keys": ["png", "count:png", "type:png", "image/png", "png_count"]})
    assert error is None and value, "the running count is in the function's own namespace"
    assert int(list(value.values())[0]) >= 1


def test_the_role_is_narrow(server, instance):
    name, bucket = instance
    iam = server.client("iam")
    role = f"{name}-role"
    text = json.dumps([iam.get_role_policy(RoleName=role, PolicyName=p)["PolicyDocument"]
                       for p in iam.list_role_policies(RoleName=role)["PolicyNames"]])
    assert f"arn:aws:s3:::{bucket}/" in text and '"Resource": "*"' not in text and "s3:*" not in text


def test_twice_is_a_conflict(server, instance):
    name, bucket = instance
    r = server.cli("blueprint", "new", "s3-upload", "--name", name, "--set", f"bucket={bucket}", "--yes", check=False)
    assert r.returncode == 5, (r.returncode, r.stderr)


def test_removal_leaves_nothing(server, tmp_path):
    before = names(server)
    name, bucket = unique("gone"), unique("gone")
    server.cli("blueprint", "new", "s3-upload", "--name", name, "--set", f"bucket={bucket}", "--yes")
    assert names(server) != before
    s3 = server.client("s3")
    s3.put_object(Bucket=bucket, Key="x.png", Body=pictures.png(3, 3))
    eventually(lambda: server.log_lines(name))
    s3.delete_object(Bucket=bucket, Key="x.png")
    assert server.signed("DELETE", f"/perilune/v1/deployments/{name}%00x", service="perilune")[0] == 404, "another name"
    server.cli("blueprint", "remove", name)
    assert names(server) == before
    assert server.log_lines(name) == []
    assert server.cli("blueprint", "remove", name, check=False).returncode == 3


def test_removal_keeps_a_bucket_with_objects(server):
    name, bucket = unique("kept"), unique("kept")
    server.cli("blueprint", "new", "s3-upload", "--name", name, "--set", f"bucket={bucket}", "--yes")
    s3 = server.client("s3")
    s3.put_object(Bucket=bucket, Key="mine", Body=b"data")
    r = server.cli("blueprint", "remove", name)
    assert bucket in r.stdout + r.stderr, "it says that the bucket stays"
    assert s3.get_object(Bucket=bucket, Key="mine")["Body"].read() == b"data"
    assert not s3.get_bucket_notification_configuration(Bucket=bucket).get("LambdaFunctionConfigurations")
    s3.put_object(Bucket=bucket, Key="after", Body=b"no function any more")
