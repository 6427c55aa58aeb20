"""Notifications: what may be configured, and an upload that becomes a log line."""
import json
import re
import time

import pytest
from botocore.exceptions import ClientError

from perilune import ACCOUNT, REGION, eventually, unique

pytestmark = pytest.mark.boto3

HANDLER = """
return { main = function(event)
  print(json.encode(event))
  return { seen = #event.Records }
end }
"""


@pytest.fixture(scope="module")
def s3(server):
    return server.client("s3")


@pytest.fixture
def bucket(s3):
    name = unique("watched")
    s3.create_bucket(Bucket=name)
    return name


def arn(name):
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"


def permit(server, name, bucket, **more):
    server.client("lambda").add_permission(**{**dict(FunctionName=name, StatementId=unique("s3"), Action="lambda:InvokeFunction",
                                                     Principal="s3.amazonaws.com", SourceArn=f"arn:aws:s3:::{bucket}", SourceAccount=ACCOUNT), **more})


def watch(s3, bucket, *rules):
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={"LambdaFunctionConfigurations": list(rules)})


def rule(name, events=("s3:ObjectCreated:*",), id=None, **filters):
    made = {"LambdaFunctionArn": name if name.startswith("arn:") else arn(name), "Events": list(events)}
    if id:
        made["Id"] = id
    if filters:
        made["Filter"] = {"Key": {"FilterRules": [{"Name": k, "Value": v} for k, v in filters.items()]}}
    return made


def seen(server, name):
    """The S3 records that the function has printed."""
    found = []
    for line in server.log_lines(name):
        at = line.find('{"Records"')
        if at >= 0:
            found += json.loads(line[at:])["Records"]
    return found


def refusal(s3, bucket, *rules, **more):
    with pytest.raises(ClientError) as e:
        s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={"LambdaFunctionConfigurations": list(rules), **more})
    error = e.value.response["Error"]
    assert e.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400, error
    assert error.pop("Resource", f"/{bucket}") == f"/{bucket}"
    return error


def configured(s3, bucket):
    return s3.get_bucket_notification_configuration(Bucket=bucket).get("LambdaFunctionConfigurations", [])


# --- an upload becomes a run --------------------------------------------------------------------------


def test_upload_to_log_line(server, s3, bucket):
    name = server.make_function(HANDLER)
    permit(server, name, bucket)
    watch(s3, bucket, rule(name, id="pictures", suffix=".jpg"))
    key, body = "in/a b+é.jpg", b"picture" * 5000
    put = s3.put_object(Bucket=bucket, Key=key, Body=body)
    answered = time.monotonic()
    record = eventually(lambda: seen(server, name), 20, 0.005)[0]
    assert time.monotonic() - answered < 15, "at once, not by a sweep or a retry"

    s = record.pop("s3")
    assert record.pop("awsRegion") == REGION and record.pop("eventSource") == "aws:s3" and record.pop("eventVersion") == "2.1"
    assert record.pop("eventName") == "ObjectCreated:Put"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record.pop("eventTime"))
    assert record.pop("requestParameters") == {"sourceIPAddress": "127.0.0.1"}
    elements = record.pop("responseElements")
    assert elements["x-amz-request-id"] == put["ResponseMetadata"]["HTTPHeaders"]["x-amz-request-id"] and elements["x-amz-id-2"]
    assert record.pop("userIdentity")["principalId"] and record == {}
    sequencer = s["object"].pop("sequencer")
    assert re.fullmatch(r"[0-9A-F]{16,}", sequencer)
    assert s["object"] == {"key": "in/a+b%2B%C3%A9.jpg", "size": len(body), "eTag": put["ETag"].strip('"')}
    owner = s["bucket"].pop("ownerIdentity")
    assert owner["principalId"] and s["bucket"] == {"name": bucket, "arn": f"arn:aws:s3:::{bucket}"}
    assert (s["s3SchemaVersion"], s["configurationId"]) == ("1.0", "pictures")

    lines = eventually(lambda: server.log_lines(name, "REPORT") and server.log_lines(name))  # the line is there before the run has ended
    assert lines[0].startswith("START RequestId: ") and lines[-1].startswith("REPORT RequestId: ")
    s3.put_object(Bucket=bucket, Key=key, Body=b"again")
    second = eventually(lambda: len(seen(server, name)) > 1 and seen(server, name))[1]
    assert second["s3"]["object"]["sequencer"] > sequencer


def test_filters_and_event_kinds(server, s3, bucket):
    made, removed = server.make_function(HANDLER), server.make_function(HANDLER)
    for name in (made, removed):
        permit(server, name, bucket)
    watch(s3, bucket, rule(made, ["s3:ObjectCreated:Put"], prefix="in/", suffix=".jpg"), rule(removed, ["s3:ObjectRemoved:*"]))
    for key in ("in/1.jpg", "in/2.png", "out/3.jpg", "in/4.JPG", "5.jpg", "in/6.jpg"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    s3.delete_object(Bucket=bucket, Key="out/3.jpg")
    s3.delete_object(Bucket=bucket, Key="never-there")
    eventually(lambda: len(seen(server, made)) >= 2 and len(seen(server, removed)) >= 1)
    time.sleep(0.2)
    assert sorted(r["s3"]["object"]["key"] for r in seen(server, made)) == ["in/1.jpg", "in/6.jpg"]
    (gone,) = seen(server, removed)
    assert gone["eventName"] == "ObjectRemoved:Delete"
    assert gone["s3"]["object"].keys() == {"key", "sequencer"} and gone["s3"]["object"]["key"] == "out/3.jpg"


def test_no_line_once_removed(server, s3, bucket):
    name = server.make_function(HANDLER)
    permit(server, name, bucket)
    watch(s3, bucket, rule(name))
    s3.put_object(Bucket=bucket, Key="first", Body=b"x")
    eventually(lambda: seen(server, name))
    watch(s3, bucket)
    assert configured(s3, bucket) == []
    s3.put_object(Bucket=bucket, Key="second", Body=b"x")
    time.sleep(0.5)
    assert [r["s3"]["object"]["key"] for r in seen(server, name)] == ["first"]


def test_refused_upload_makes_no_event(server, s3, bucket):
    name = server.make_function(HANDLER)
    permit(server, name, bucket)
    watch(s3, bucket, rule(name))
    assert server.signed("PUT", f"/{bucket}/bad", b"x", headers={"x-amz-checksum-crc32": "AAAAAA=="})[0] == 400
    s3.put_object(Bucket=bucket, Key="good", Body=b"x")
    eventually(lambda: seen(server, name))
    time.sleep(0.2)
    assert [r["s3"]["object"]["key"] for r in seen(server, name)] == ["good"]


def test_every_upload_of_many_has_its_run(server, s3, bucket):
    name = server.make_function("return { main = function(e) print('key=' .. e.Records[1].s3.object.key .. ';') end }")
    permit(server, name, bucket)
    watch(s3, bucket, rule(name))
    want = {f"k{i:03}" for i in range(60)}
    for key in sorted(want):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    got = lambda: re.findall(r"key=(\w+);", "\n".join(server.log_lines(name, "key")))
    eventually(lambda: set(got()) == want, 20, 0.05)
    assert len(got()) == len(want), "each once"


def test_permission_taken_away_stops_delivery(server, s3, bucket):
    name = server.make_function(HANDLER)
    server.client("lambda").add_permission(FunctionName=name, StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com",
                                           SourceArn=f"arn:aws:s3:::{bucket}")
    watch(s3, bucket, rule(name))
    server.client("lambda").remove_permission(FunctionName=name, StatementId="s3")
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    time.sleep(0.5)
    assert seen(server, name) == []


# --- what may be configured ---------------------------------------------------------------------------


def test_configuration_round_trip(server, s3, bucket):
    name = server.make_function(HANDLER)
    permit(server, name, bucket)
    rules = [rule(name, ["s3:ObjectCreated:Put", "s3:ObjectRemoved:*"], id="one", prefix="a/ü&<", suffix=".jpg"), rule(name, id="two", prefix="b/")]
    watch(s3, bucket, *rules)
    got = configured(s3, bucket)
    assert [g["Id"] for g in got] == ["one", "two"]
    assert got[0]["LambdaFunctionArn"] == arn(name) and got[0]["Events"] == ["s3:ObjectCreated:Put", "s3:ObjectRemoved:*"]
    assert {f["Name"].lower(): f["Value"] for f in got[0]["Filter"]["Key"]["FilterRules"]} == {"prefix": "a/ü&<", "suffix": ".jpg"}
    watch(s3, bucket, rule(name))
    (only,) = configured(s3, bucket)
    assert only["Id"] and "Filter" not in only


def test_destination_must_be_permitted(server, s3, bucket):
    name = server.make_function(HANDLER)
    expected = {"Code": "InvalidArgument", "Message": "Unable to validate the following destination configurations",
                "ArgumentName1": f"{arn(name)}, null", "ArgumentValue1": f"Not authorized to invoke function [{arn(name)}]"}
    assert refusal(s3, bucket, rule(name)) == expected
    permit(server, name, "another-bucket")
    assert refusal(s3, bucket, rule(name)) == expected
    permit(server, name, bucket, SourceAccount="111111111111")
    assert refusal(s3, bucket, rule(name)) == expected
    permit(server, name, bucket, Action="lambda:GetFunction")
    assert refusal(s3, bucket, rule(name)) == expected
    permit(server, name, bucket, Principal="events.amazonaws.com")
    assert refusal(s3, bucket, rule(name)) == expected
    assert configured(s3, bucket) == []
    permit(server, name, bucket)
    watch(s3, bucket, rule(name))
    assert len(configured(s3, bucket)) == 1


def test_validation_may_be_skipped(server, s3, bucket):
    s3.put_bucket_notification_configuration(Bucket=bucket, SkipDestinationValidation=True,
                                             NotificationConfiguration={"LambdaFunctionConfigurations": [rule("not-yet-made")]})
    assert configured(s3, bucket)[0]["LambdaFunctionArn"] == arn("not-yet-made")
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")  # has nowhere to go, and is stored all the same
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"


def test_bad_configurations_leave_the_old_one(server, s3, bucket):
    name = server.make_function(HANDLER)
    permit(server, name, bucket)
    watch(s3, bucket, rule(name, id="kept", suffix=".kept"))
    unable = "Unable to validate the following destination configurations"
    assert refusal(s3, bucket, rule("arn:nonsense"))["Message"] == "The ARN could not be parsed"
    assert refusal(s3, bucket, rule("arn:aws:sqs:us-east-1:000000000000:q"))["Message"] == "The ARN could not be parsed"
    assert refusal(s3, bucket, rule("never-made"))["Message"] == unable
    assert refusal(s3, bucket, rule(arn(name).replace(REGION, "eu-west-1")))["Message"] == unable
    assert refusal(s3, bucket, rule(arn(name).replace(ACCOUNT, "1" * 12)))["Message"] == unable
    assert "not supported" in refusal(s3, bucket, rule(name, ["s3:ObjectRestore:Post"]))["Message"]
    assert "overlapping" in refusal(s3, bucket, rule(name, prefix="a"), rule(name, prefix="ab"))["Message"]
    assert "overlapping" in refusal(s3, bucket, rule(name, suffix="g"), rule(name, ["s3:ObjectCreated:Put"], suffix=".jpg"))["Message"]
    assert "unique" in refusal(s3, bucket, rule(name, id="x", prefix="a"), rule(name, id="x", prefix="b"))["Message"]
    assert refusal(s3, bucket, QueueConfigurations=[{"QueueArn": "arn:aws:sqs:us-east-1:000000000000:q", "Events": ["s3:ObjectCreated:*"]}])["Message"] == unable
    assert refusal(s3, bucket, TopicConfigurations=[{"TopicArn": "arn:aws:sns:us-east-1:000000000000:t", "Events": ["s3:ObjectCreated:*"]}])["Message"] == unable
    assert [c["Id"] for c in configured(s3, bucket)] == ["kept"]
    # what does not meet may live side by side
    watch(s3, bucket, rule(name, prefix="a/", suffix=".jpg"), rule(name, prefix="a/", suffix=".png"), rule(name, ["s3:ObjectRemoved:*"], prefix="a/"))
    assert len(configured(s3, bucket)) == 3


@pytest.mark.http
@pytest.mark.parametrize("document", [
    b"<NotificationConfiguration>", b"", b"nonsense", b"<Other/>", b"<NotificationConfiguration><What/></NotificationConfiguration>",
    b"<!DOCTYPE a [<!ENTITY e 'x'>]><NotificationConfiguration>&e;</NotificationConfiguration>",
    b"<NotificationConfiguration>" + b"<a>" * 50 + b"</a>" * 50 + b"</NotificationConfiguration>",
    b"<NotificationConfiguration><CloudFunctionConfiguration><CloudFunction>arn:aws:lambda:us-east-1:000000000000:function:f</CloudFunction>"
    b"</CloudFunctionConfiguration></NotificationConfiguration>",
], ids=["torn", "empty", "text", "other", "unknown", "dtd", "deep", "no-event"])
def test_malformed_document(server, s3, bucket, document):
    status, _, body = server.signed("PUT", f"/{bucket}?notification", document)
    assert status == 400 and b"<Code>MalformedXML</Code>" in body, body
    assert configured(s3, bucket) == []


@pytest.mark.http
def test_raw_names_of_the_document(server, s3, bucket):
    """The XML has names that boto3 hides."""
    name = server.make_function(HANDLER)
    permit(server, name, bucket)
    document = (f'<NotificationConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><CloudFunctionConfiguration><Id>i</Id>'
                f"<CloudFunction>{arn(name)}</CloudFunction><Event>s3:ObjectCreated:*</Event><Filter><S3Key><FilterRule><Name>suffix</Name>"
                f"<Value>.jpg</Value></FilterRule></S3Key></Filter></CloudFunctionConfiguration></NotificationConfiguration>")
    assert server.signed("PUT", f"/{bucket}?notification", document.encode())[0] == 200
    got = server.signed("GET", f"/{bucket}?notification")[2].decode()
    assert document in got
    assert server.signed("PUT", f"/{bucket}?notification", b"<NotificationConfiguration/>")[0] == 200
    assert "CloudFunction" not in server.signed("GET", f"/{bucket}?notification")[2].decode()
