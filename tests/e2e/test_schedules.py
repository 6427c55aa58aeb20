"""Rules of `events` on a schedule: by boto3 and the stock CLI, through restarts, and not without permission."""
import datetime
import json
import time

import pytest

from conftest import aws_programs
from perilune import ACCOUNT, REGION, Server, eventually, unique

KEEP = "return { main = function(event) print(json.encode(event)) return 1 end }"


@pytest.fixture(scope="module")
def events(server):
    return server.client("events")


def function_for(server, rule, **more):
    """A function that logs its event, which that rule may call."""
    name = server.make_function(KEEP, **more)
    server.client("lambda").add_permission(FunctionName=name, StatementId="rule", Action="lambda:InvokeFunction", Principal="events.amazonaws.com",
                                           SourceArn=f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{rule}")
    return name, f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"


def seen(server, name):
    """Events that the function logged."""
    return [json.loads(l) for l in server.log_lines(name) if l.startswith("{")]


@pytest.mark.boto3
def test_rules_and_targets(server, events):
    rule = unique("rule")
    name, arn = function_for(server, rule)
    made = events.put_rule(Name=rule, ScheduleExpression="rate(5 minutes)", Description="often")
    assert made["RuleArn"] == f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{rule}"
    got = events.describe_rule(Name=rule)
    assert (got["ScheduleExpression"], got["State"], got["Description"]) == ("rate(5 minutes)", "ENABLED", "often")
    events.disable_rule(Name=rule)
    assert events.describe_rule(Name=rule)["State"] == "DISABLED"
    events.enable_rule(Name=rule)
    assert events.put_targets(Rule=rule, Targets=[{"Id": "a", "Arn": arn}, {"Id": "b", "Arn": arn, "Input": '{"n":1}'}])["FailedEntryCount"] == 0
    events.put_targets(Rule=rule, Targets=[{"Id": "a", "Arn": arn, "Input": '{"n":2}'}])
    targets = {t["Id"]: t for t in events.list_targets_by_rule(Rule=rule)["Targets"]}
    assert targets["a"]["Input"] == '{"n":2}' and targets["b"]["Input"] == '{"n":1}'
    assert rule in events.list_rule_names_by_target(TargetArn=arn)["RuleNames"]
    with pytest.raises(events.exceptions.ClientError) as e:
        events.delete_rule(Name=rule)
    assert "Rule can't be deleted since it has targets." in str(e.value)
    events.remove_targets(Rule=rule, Ids=["a", "b"])
    assert events.list_targets_by_rule(Rule=rule)["Targets"] == []
    events.delete_rule(Name=rule)
    with pytest.raises(events.exceptions.ResourceNotFoundException):
        events.describe_rule(Name=rule)
    assert rule not in [r["Name"] for r in events.list_rules(NamePrefix="rule")["Rules"]]


@pytest.mark.boto3
def test_lists_in_pages(server, events):
    prefix = unique("page")
    for i in range(7):
        events.put_rule(Name=f"{prefix}-{i}", ScheduleExpression="rate(1 day)")
    got, token = [], None
    while True:
        page = events.list_rules(NamePrefix=prefix, Limit=3, **({"NextToken": token} if token else {}))
        got += [r["Name"] for r in page["Rules"]]
        token = page.get("NextToken")
        if not token:
            break
    assert got == [f"{prefix}-{i}" for i in range(7)]


@pytest.mark.boto3
@pytest.mark.parametrize("more, text", [
    ({"ScheduleExpression": "rate(1 minutes)"}, "Parameter ScheduleExpression is not valid."),
    ({"ScheduleExpression": "cron(0 9 * * * *)"}, "Parameter ScheduleExpression is not valid."),
    ({}, "Parameter(s) EventPattern or ScheduleExpression must be specified."),
    ({"EventPattern": "{}"}, "EventPattern is not supported here"),
    ({"ScheduleExpression": "rate(1 day)", "EventBusName": "other"}, "Event bus other does not exist."),
])
def test_refused(events, more, text):
    with pytest.raises(events.exceptions.ClientError) as e:
        events.put_rule(Name=unique("bad"), **more)
    assert text in str(e.value)


@pytest.mark.boto3
def test_targets_are_functions(server, events):
    rule = unique("rule")
    events.put_rule(Name=rule, ScheduleExpression="rate(1 day)")
    for arn in ("arn:aws:sqs:us-east-1:000000000000:q", "nonsense", f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:f"):
        with pytest.raises(events.exceptions.ClientError) as e:
            events.put_targets(Rule=rule, Targets=[{"Id": "x", "Arn": arn}])
        assert e.value.response["Error"]["Code"] == "ValidationException"
    with pytest.raises(events.exceptions.ResourceNotFoundException):
        events.put_targets(Rule=unique("none"), Targets=[{"Id": "x", "Arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f"}])


@pytest.mark.boto3
def test_missed_runs_are_made_up_for_once(own_server):
    """A minute is long for a test: the rule's last minute passes while the server is down."""
    s = own_server()
    rule = unique("rule")
    name, arn = function_for(s, rule)
    open_, shut = unique("rule"), unique("rule")
    other, other_arn = function_for(s, shut)
    s.client("events").put_rule(Name=rule, ScheduleExpression="* * * * *")
    s.client("events").put_rule(Name=shut, ScheduleExpression="* * * * *", State="DISABLED")
    s.client("events").put_rule(Name=open_, ScheduleExpression="* * * * *")
    s.client("events").put_targets(Rule=rule, Targets=[{"Id": "a", "Arn": arn}])
    s.client("events").put_targets(Rule=shut, Targets=[{"Id": "a", "Arn": other_arn}])
    s.client("events").put_targets(Rule=open_, Targets=[{"Id": "a", "Arn": other_arn}])  # the function does not let this one in
    began = datetime.datetime.now(datetime.timezone.utc)
    assert s.stop() == 0
    now = time.time()
    time.sleep(60 - now % 60 + 0.3 if now % 60 > 40 else 0)
    s.start()
    minute = eventually(lambda: seen(s, name), 75)[0]
    assert minute["source"] == "aws.events" and minute["detail-type"] == "Scheduled Event" and minute["detail"] == {}
    assert minute["resources"] == [f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{rule}"]
    due = datetime.datetime.fromisoformat(minute["time"].replace("Z", "+00:00"))
    assert due > began - datetime.timedelta(seconds=1) and due.second == 0
    assert len(seen(s, name)) == 1 and not seen(s, other)


@pytest.mark.aws_v2
def test_with_the_stock_cli(server):
    program = aws_programs().get("aws_v2")
    if not program:
        pytest.skip("no aws CLI v2")
    rule = unique("cli")
    name, arn = function_for(server, rule)
    server.aws(program, "events", "put-rule", "--name", rule, "--schedule-expression", "rate(1 minute)")
    server.aws(program, "events", "put-targets", "--rule", rule, "--targets", json.dumps([{"Id": "1", "Arn": arn, "Input": '{"from":"cli"}'}]))
    out = json.loads(server.aws(program, "--output", "json", "events", "list-targets-by-rule", "--rule", rule).stdout)
    assert out["Targets"][0]["Arn"] == arn
    server.aws(program, "events", "remove-targets", "--rule", rule, "--ids", "1")
    server.aws(program, "events", "delete-rule", "--name", rule)
