"""Lifecycle: configurations, and objects and uploads that go by themselves. A day of this server has one second."""
import datetime
import time

import pytest

from perilune import Server, eventually, unique
from test_s3 import keys, refused
from test_trigger import HANDLER, permit, rule, seen, watch


@pytest.fixture(scope="module")
def server():
    with Server("--lifecycle-day", "1") as s:
        yield s
        assert s.stop() == 0, s.stderr()


@pytest.fixture(scope="module")
def s3(server):
    return server.client("s3")


@pytest.fixture
def bucket(s3):
    name = unique("cycle")
    s3.create_bucket(Bucket=name)
    return name


def put_rules(s3, bucket, *rules):
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": list(rules)})


@pytest.mark.boto3
def test_configuration(s3, bucket):
    with refused("NoSuchLifecycleConfiguration", 404):
        s3.get_bucket_lifecycle_configuration(Bucket=bucket)
    date = datetime.datetime(2099, 1, 1, tzinfo=datetime.timezone.utc)
    rules = [
        {"ID": "a", "Filter": {"Prefix": "a/ü&"}, "Status": "Enabled", "Expiration": {"Days": 300000}},
        {"ID": "b", "Filter": {"And": {"Prefix": "b/", "Tags": [{"Key": "k", "Value": "v"}], "ObjectSizeGreaterThan": 5}}, "Status": "Disabled", "Expiration": {"Date": date}},
        {"ID": "c", "Filter": {"Prefix": ""}, "Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 70000}},
        {"ID": "d", "Prefix": "old/", "Status": "Enabled", "NoncurrentVersionExpiration": {"NoncurrentDays": 3}},
        {"ID": "e", "Filter": {"Tag": {"Key": "k", "Value": "v"}}, "Status": "Enabled", "Expiration": {"Days": 300000}},
    ]
    put_rules(s3, bucket, *rules)
    assert s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"] == rules
    put_rules(s3, bucket, {"Filter": {"Prefix": "x"}, "Status": "Enabled", "Expiration": {"Days": 300000}})
    assert len(s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"][0]["ID"]) == 36
    s3.delete_bucket_lifecycle(Bucket=bucket)
    s3.delete_bucket_lifecycle(Bucket=bucket)
    with refused("NoSuchLifecycleConfiguration", 404):
        s3.get_bucket_lifecycle_configuration(Bucket=bucket)


GOOD = {"ID": "r", "Filter": {"Prefix": "x"}, "Status": "Enabled", "Expiration": {"Days": 1}}


@pytest.mark.boto3
@pytest.mark.parametrize("change, code, status", [
    ({"Status": "enabled"}, "MalformedXML", 400), ({"Expiration": {"Days": 0}}, "InvalidArgument", 400), ({"Expiration": {"Days": -1}}, "InvalidArgument", 400),
    ({"Expiration": {"Date": datetime.datetime(2030, 1, 1, 1)}}, "InvalidArgument", 400), ({"Expiration": {}}, "MalformedXML", 400),
    ({"Expiration": {"Days": 1, "Date": datetime.datetime(2030, 1, 1)}}, "MalformedXML", 400), ({"ID": "i" * 256}, "InvalidArgument", 400),
    ({"Expiration": None}, "InvalidRequest", 400), ({"Filter": None}, "MalformedXML", 400), ({"Prefix": "y"}, "MalformedXML", 400),
    ({"Transitions": [{"Days": 1, "StorageClass": "GLACIER"}]}, "NotImplemented", 501),
    ({"Filter": {"Tag": {"Key": "k", "Value": "v"}}, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}}, "InvalidRequest", 400)], ids=range(12))
def test_refused(s3, bucket, change, code, status):
    changed = {k: v for k, v in {**GOOD, **change}.items() if v is not None}
    with refused(code, status):
        put_rules(s3, bucket, changed)
    with refused("NoSuchLifecycleConfiguration", 404):
        s3.get_bucket_lifecycle_configuration(Bucket=bucket)


@pytest.mark.boto3
def test_ids_differ(s3, bucket):
    with refused("InvalidArgument", 400):
        put_rules(s3, bucket, GOOD, GOOD)


@pytest.mark.boto3
def test_an_object_says_when_it_goes(s3, bucket):
    put_rules(s3, bucket, {"ID": "far", "Filter": {"Prefix": "x"}, "Status": "Enabled", "Expiration": {"Days": 200000000}},
              {"ID": "a rule", "Filter": {"Tag": {"Key": "k", "Value": "v"}}, "Status": "Enabled", "Expiration": {"Date": datetime.datetime(2027, 1, 1)}})
    for name, more, rule_id in (("x", {}, "far"), ("x2", {"Tagging": "k=v"}, "a%20rule"), ("y", {}, None)):
        made, head = s3.put_object(Bucket=bucket, Key=name, Body=b"", **more), s3.head_object(Bucket=bucket, Key=name)
        assert made.get("Expiration") == head.get("Expiration"), name
        assert (f'", rule-id="{rule_id}"' in head["Expiration"]) if rule_id else "Expiration" not in head
    assert s3.get_object(Bucket=bucket, Key="x2")["Expiration"] == 'expiry-date="Fri, 01 Jan 2027 00:00:00 GMT", rule-id="a%20rule"'


@pytest.mark.boto3
def test_things_go(server, s3, bucket):
    f = server.make_function(HANDLER)
    permit(server, f, bucket)
    watch(s3, bucket, rule(f, ("s3:LifecycleExpiration:*", "s3:ObjectRemoved:*")))
    names = [f"tmp/{i:03}" for i in range(150)]
    for name in (*names, "tmp", "keep/a", "big/small", "fresh/a"):
        s3.put_object(Bucket=bucket, Key=name, Body=b"x" * (30_000 if name.endswith("7") else 3))
    s3.put_object(Bucket=bucket, Key="tagged", Body=b"", Tagging="go=1&more=2")
    s3.put_object(Bucket=bucket, Key="big/big", Body=b"x" * 100_000)
    dropped = s3.create_multipart_upload(Bucket=bucket, Key="tmp/upload")["UploadId"]
    s3.upload_part(Bucket=bucket, Key="tmp/upload", UploadId=dropped, PartNumber=1, Body=b"part")
    s3.create_multipart_upload(Bucket=bucket, Key="keep/upload")
    put_rules(s3, bucket,
              {"ID": "tmp", "Filter": {"Prefix": "tmp/"}, "Status": "Enabled", "Expiration": {"Days": 1}, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}},
              {"ID": "tag", "Filter": {"Tag": {"Key": "go", "Value": "1"}}, "Status": "Enabled", "Expiration": {"Date": datetime.datetime(2020, 1, 1)}},
              {"ID": "big", "Filter": {"And": {"Prefix": "big/", "ObjectSizeGreaterThan": 1000}}, "Status": "Enabled", "Expiration": {"Days": 1}},
              {"ID": "off", "Filter": {"Prefix": "keep/"}, "Status": "Disabled", "Expiration": {"Days": 1}},
              {"ID": "later", "Filter": {"Prefix": "fresh/"}, "Status": "Enabled", "Expiration": {"Days": 100000}})
    stays = ["big/small", "fresh/a", "keep/a", "tmp"]
    eventually(lambda: keys(s3, bucket) == stays, 20, 0.1)
    eventually(lambda: [u["Key"] for u in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])] == ["keep/upload"], 10, 0.1)
    time.sleep(1.2)
    assert keys(s3, bucket) == stays
    eventually(lambda: len(seen(server, f)) >= len(names) + 2)
    assert {r["eventName"] for r in seen(server, f)} == {"LifecycleExpiration:Delete"}
    assert "lifecycle: " in server.stderr()


@pytest.mark.boto3
def test_what_is_written_again_stays(s3, bucket):
    put_rules(s3, bucket, {"ID": "all", "Filter": {"Prefix": ""}, "Status": "Enabled", "Expiration": {"Days": 1}})
    for i in range(12):  # always younger than a day
        s3.put_object(Bucket=bucket, Key="k", Body=str(i).encode())
        time.sleep(0.2)
        assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == str(i).encode()
