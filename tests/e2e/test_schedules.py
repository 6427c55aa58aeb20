"""Rules of `events` on a schedule: by boto3 and the stock CLI, through restarts, and not without permission."""
import datetime
import json
import time
from urllib.parse import quote

import pytest

from conftest import aws_programs
from perilune import ACCOUNT, REGION, Server, eventually, make_zip, unique

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
def test_tags(server, events):
    """Kept as given to a new rule; an old one's are changed by TagResource alone."""
    rule = unique("tagged")
    arn = events.put_rule(Name=rule, ScheduleExpression="rate(1 day)", Tags=[{"Key": "team", "Value": "moon"}, {"Key": "stage", "Value": ""}])["RuleArn"]

    def tags():
        return {t["Key"]: t["Value"] for t in events.list_tags_for_resource(ResourceARN=arn)["Tags"]}
    assert tags() == {"team": "moon", "stage": ""}
    events.put_rule(Name=rule, ScheduleExpression="rate(2 days)", Tags=[{"Key": "team", "Value": "sun"}])
    assert tags() == {"team": "moon", "stage": ""}
    events.put_targets(Rule=rule, Targets=[{"Id": "a", "Arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f"}])
    events.disable_rule(Name=rule)
    events.tag_resource(ResourceARN=arn, Tags=[{"Key": "team", "Value": "mars"}, {"Key": "größe", "Value": "2"}])
    events.untag_resource(ResourceARN=arn, TagKeys=["stage", "none"])
    assert tags() == {"team": "mars", "größe": "2"}
    assert events.describe_rule(Name=rule)["State"] == "DISABLED" and len(events.list_targets_by_rule(Rule=rule)["Targets"]) == 1
    for tags_, code in (([{"Key": "aws:x", "Value": "1"}], "ValidationException"), ([{"Key": "a", "Value": "1"}] * 2, "ValidationException"),
                        ([{"Key": str(i), "Value": "1"} for i in range(49)], "LimitExceededException")):
        with pytest.raises(events.exceptions.ClientError) as e:
            events.tag_resource(ResourceARN=arn, Tags=tags_)
        assert e.value.response["Error"]["Code"] == code
    for other in (arn + "x", f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default", f"arn:aws:events:eu-west-1:{ACCOUNT}:rule/{rule}"):
        with pytest.raises(events.exceptions.ResourceNotFoundException):
            events.list_tags_for_resource(ResourceARN=other)
    assert tags() == {"team": "mars", "größe": "2"}


@pytest.mark.boto3
def test_tags_need_a_permission_of_their_own(server, events):
    rule, user = unique("tagged"), unique("tagger")
    iam = server.client("iam")
    iam.create_user(UserName=user)
    iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "events:PutRule", "Resource": "*"},
        {"Effect": "Allow", "Action": "events:TagResource", "Resource": f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{rule}-mine"}]}))
    key = iam.create_access_key(UserName=user)["AccessKey"]
    theirs = server.client("events", access_key=key["AccessKeyId"], secret_key=key["SecretAccessKey"])
    tags = [{"Key": "a", "Value": "b"}]
    theirs.put_rule(Name=rule, ScheduleExpression="rate(1 day)")
    theirs.put_rule(Name=f"{rule}-mine", ScheduleExpression="rate(1 day)", Tags=tags)
    arn = events.describe_rule(Name=rule)["Arn"]
    for call in (lambda: theirs.put_rule(Name=f"{rule}-new", ScheduleExpression="rate(1 day)", Tags=tags),
                 lambda: theirs.tag_resource(ResourceARN=arn, Tags=tags), lambda: theirs.list_tags_for_resource(ResourceARN=f"{arn}-mine")):
        with pytest.raises(events.exceptions.ClientError) as e:
            call()
        assert e.value.response["Error"]["Code"] == "AccessDeniedException"
    theirs.tag_resource(ResourceARN=f"{arn}-mine", Tags=tags)


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
    assert [r["Name"] for r in events.list_rules(NamePrefix=prefix, NextToken="a")["Rules"]] == got, "a token before the prefix"
    assert events.list_rules(NamePrefix=f"{prefix}-3", NextToken=f"{prefix}-3")["Rules"] == []


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
def test_rule_fires_with_permission_only(server, events):
    """Every minute is too long for a test: the target's time comes by a schedule of ours that is run now."""
    rule, shut = unique("rule"), unique("rule")
    name, arn = function_for(server, rule)
    for r in (rule, shut):  # the function lets in only one of them
        events.put_rule(Name=r, ScheduleExpression="rate(1 day)")
        events.put_targets(Rule=r, Targets=[{"Id": "a", "Arn": arn}])
        assert server.signed("POST", f"/perilune/v1/schedules/rule/{r}/run", service="perilune")[0] == 202
    got = eventually(lambda: seen(server, name), 15)
    assert [e["resources"] for e in got] == [[f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{rule}"]]
    assert got[0]["source"] == "aws.events" and got[0]["detail-type"] == "Scheduled Event" and got[0]["detail"] == {}
    assert abs(datetime.datetime.fromisoformat(got[0]["time"].replace("Z", "+00:00")).timestamp() - time.time()) < 30


@pytest.mark.boto3
def test_run_now_says_when_there_is_nothing_to_run(server, events):
    rule = unique("rule")
    events.put_rule(Name=rule, ScheduleExpression="rate(1 day)")
    for targets in ([], [{"Id": "a", "Arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:nobody"}]):
        if targets:
            events.put_targets(Rule=rule, Targets=targets)
        r = server.cli("schedule", "run", rule, check=False)
        assert r.returncode == 5 and "Nothing to run" in r.stderr, (targets, r)


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


# --- scheduler ---------------------------------------------------------------------------------------

SCHEDULER_TRUST = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"}, "Action": "sts:AssumeRole"}]})


def invoking_role(server, *arns):
    name = unique("scheduling")
    iam = server.client("iam")
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=SCHEDULER_TRUST)["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="invoke", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": list(arns)}]}))
    return role


def soon(seconds, zone=datetime.timezone.utc):
    return (datetime.datetime.now(zone) + datetime.timedelta(seconds=seconds)).strftime("at(%Y-%m-%dT%H:%M:%S)")


@pytest.mark.boto3
def test_schedule_runs_on_time(server):
    scheduler = server.client("scheduler")
    function = server.make_function(KEEP)
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function}"
    role = invoking_role(server, arn)
    made = scheduler.create_schedule(Name=function, ScheduleExpression=soon(2), FlexibleTimeWindow={"Mode": "OFF"},
                                     Target={"Arn": arn, "RoleArn": role, "Input": '{"at":"last"}'})
    assert made["ScheduleArn"] == f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/{function}"
    assert eventually(lambda: seen(server, function), 15) == [{"at": "last"}]
    other = server.make_function(KEEP)
    other_arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{other}"
    scheduler.create_schedule(Name=other, ScheduleExpression=soon(2), FlexibleTimeWindow={"Mode": "OFF"}, ScheduleExpressionTimezone="UTC",
                              Target={"Arn": other_arn, "RoleArn": role})  # not on this one
    eventually(lambda: "schedule " + other in server.stderr(), 15)
    assert not seen(server, other)


@pytest.mark.boto3
def test_schedules_kept_as_given(server):
    scheduler = server.client("scheduler")
    name, arn = unique("s"), f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f"
    role = invoking_role(server, arn)
    scheduler.create_schedule(Name=name, ScheduleExpression="cron(0 9 ? * MON-FRI *)", ScheduleExpressionTimezone="Europe/Paris",
                              FlexibleTimeWindow={"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 5}, Description="mornings",
                              Target={"Arn": arn, "RoleArn": role})
    got = scheduler.get_schedule(Name=name)
    assert (got["ScheduleExpression"], got["ScheduleExpressionTimezone"], got["Description"]) == ("cron(0 9 ? * MON-FRI *)", "Europe/Paris", "mornings")
    assert got["FlexibleTimeWindow"] == {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 5} and got["Target"]["Arn"] == arn
    with pytest.raises(scheduler.exceptions.ConflictException):
        scheduler.create_schedule(Name=name, ScheduleExpression="rate(1 day)", FlexibleTimeWindow={"Mode": "OFF"}, Target={"Arn": arn, "RoleArn": role})
    scheduler.update_schedule(Name=name, ScheduleExpression="rate(1 day)", FlexibleTimeWindow={"Mode": "OFF"}, State="DISABLED",
                              Target={"Arn": arn, "RoleArn": role})
    got = scheduler.get_schedule(Name=name)
    assert (got["ScheduleExpression"], got["State"], got["ScheduleExpressionTimezone"]) == ("rate(1 day)", "DISABLED", "UTC")
    assert name in [s["Name"] for s in scheduler.list_schedules(State="DISABLED")["Schedules"]]
    for more, text in (({"ScheduleExpression": "rate(1 days)"}, "Invalid Schedule Expression"),
                       ({"ScheduleExpressionTimezone": "Mars/Olympus"}, "Invalid ScheduleExpressionTimezone"),
                       ({"GroupName": "mine"}, "does not exist")):
        with pytest.raises(scheduler.exceptions.ClientError) as e:
            scheduler.create_schedule(**{"Name": unique("bad"), "ScheduleExpression": "rate(1 day)", "FlexibleTimeWindow": {"Mode": "OFF"},
                                         "Target": {"Arn": arn, "RoleArn": role}, **more})
        assert text in str(e.value)
    for member, value, text in (("MaximumRetryAttempts", 186, "less than or equal to 185"), ("MaximumRetryAttempts", -1, "greater than or equal to 0"),
                                ("MaximumEventAgeInSeconds", 59, "greater than or equal to 60"), ("MaximumEventAgeInSeconds", 86401, "less than or equal to 86400")):
        status, _, body = server.signed("POST", f"/schedules/{unique('bad')}", json.dumps({  # boto3 refuses some of them itself
            "ScheduleExpression": "rate(1 day)", "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": {"Arn": arn, "RoleArn": role, "RetryPolicy": {member: value}}}).encode(), service="scheduler")
        assert status == 400 and text in body.decode(), (member, value, body)
    scheduler.delete_schedule(Name=name)
    with pytest.raises(scheduler.exceptions.ResourceNotFoundException):
        scheduler.get_schedule(Name=name)


@pytest.mark.boto3
def test_the_one_group(server):
    scheduler, arn = server.client("scheduler"), f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule-group/default"
    default = {"Name": "default", "Arn": arn, "State": "ACTIVE"}
    assert scheduler.list_schedule_groups()["ScheduleGroups"] == [default]
    assert scheduler.list_schedule_groups(NamePrefix="def", MaxResults=1)["ScheduleGroups"] == [default]
    assert scheduler.list_schedule_groups(NamePrefix="other")["ScheduleGroups"] == []
    got = scheduler.get_schedule_group(Name="default")
    assert {k: got[k] for k in got if k != "ResponseMetadata"} == default
    for call in (scheduler.get_schedule_group, scheduler.delete_schedule_group):
        with pytest.raises(scheduler.exceptions.ResourceNotFoundException) as e:
            call(Name="mine")
        assert "Schedule group mine does not exist." in str(e.value)
    with pytest.raises(scheduler.exceptions.ConflictException):
        scheduler.create_schedule_group(Name="default")
    for call, name, text in ((scheduler.create_schedule_group, "mine", "Schedules have one group here, 'default'."),
                             (scheduler.create_schedule_group, "a", "one group here"),
                             (scheduler.delete_schedule_group, "default", "cannot be deleted")):
        with pytest.raises(scheduler.exceptions.ValidationException) as e:
            call(Name=name)
        assert text in str(e.value)
    assert server.signed("GET", "/schedule-groups?MaxResults=0", service="scheduler")[0] == 400


@pytest.mark.boto3
def test_a_time_that_is_past_is_taken(server):
    """As AWS takes it: recorded answers of theirs are in LocalStack's tests. It is not made up for."""
    scheduler, name = server.client("scheduler"), server.make_function(KEEP)
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
    scheduler.create_schedule(Name=name, ScheduleExpression="at(2022-12-31T23:59:59)", FlexibleTimeWindow={"Mode": "OFF"},
                              Target={"Arn": arn, "RoleArn": invoking_role(server, arn)})
    assert scheduler.get_schedule(Name=name)["State"] == "ENABLED"
    assert json.loads(server.cli("schedule", "next", name, "--json").stdout)["next"] == []
    server.cli("schedule", "run", name)
    eventually(lambda: seen(server, name))
    assert len(json.loads(server.cli("runs", "list", name, "--json").stdout)["runs"]) == 1, "that one and no other"


@pytest.mark.boto3
def test_a_retry_policy_holds_for_failed_runs(server, events):
    """Within what the function's own configuration allows: two retries, one minute after the first try."""
    scheduler, broken = server.client("scheduler"), "return { main = function() time.sleep(0.01) error('no') end }"
    cases = (({"MaximumRetryAttempts": 0}, ("dead", 1, "RetriesExhausted")), ({"MaximumEventAgeInSeconds": 60}, ("dead", 1, "EventAgeExceeded")),
             ({"MaximumRetryAttempts": 185, "MaximumEventAgeInSeconds": 86400}, ("waiting", 1, "Runtime.LuaError")),
             (None, ("waiting", 1, "Runtime.LuaError")))

    def outcome(function):
        rows = json.loads(server.cli("runs", "list", function, "--json").stdout)["runs"]
        return [(r["state"], r["attempts"], r.get("error_type")) for r in rows if r["state"] in ("dead", "waiting")]
    for policy, expected in cases:
        given = {"RetryPolicy": policy} if policy else {}
        name, arn = function_for(server, unique("rule"))
        server.client("lambda").update_function_code(FunctionName=name, ZipFile=make_zip(broken))
        scheduler.create_schedule(Name=name, ScheduleExpression="rate(1 day)", FlexibleTimeWindow={"Mode": "OFF"},
                                  Target={"Arn": arn, "RoleArn": invoking_role(server, arn), **given})
        server.cli("schedule", "run", name)
        assert eventually(lambda: outcome(name)) == [expected], policy
        rule = unique("rule")
        name, arn = function_for(server, rule)
        server.client("lambda").update_function_code(FunctionName=name, ZipFile=make_zip(broken))
        events.put_rule(Name=rule, ScheduleExpression="rate(1 day)")
        events.put_targets(Rule=rule, Targets=[{"Id": "a", "Arn": arn, **given}])
        assert events.list_targets_by_rule(Rule=rule)["Targets"] == [{"Id": "a", "Arn": arn, **given}]
        server.cli("schedule", "run", rule)
        assert eventually(lambda: outcome(name)) == [expected], policy
    with pytest.raises(events.exceptions.ClientError) as e:
        events.put_targets(Rule=rule, Targets=[{"Id": "a", "Arn": arn, "RetryPolicy": {"MaximumRetryAttempts": 186}}])
    assert "less than or equal to 185" in str(e.value)


@pytest.mark.boto3
def test_a_schedule_needs_a_role_that_the_service_may_assume(server):
    """The trust may be for schedules of this account's group alone, as AWS advises and its CDK writes."""
    scheduler, iam, name = server.client("scheduler"), server.client("iam"), unique("s")
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f"

    def trusted(source):
        role = unique("trusting")
        statement = json.loads(SCHEDULER_TRUST)["Statement"][0] | {"Condition": {"StringEquals": {
            "aws:SourceAccount": ACCOUNT, "aws:SourceArn": f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule-group/{source}"}}}
        return iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))["Role"]["Arn"]
    given = dict(Name=name, ScheduleExpression="rate(1 day)", FlexibleTimeWindow={"Mode": "OFF"})
    mine, wrong = trusted("default"), (trusted("other"), f"arn:aws:iam::{ACCOUNT}:role/nobody", server.make_role())
    for role in wrong:
        with pytest.raises(scheduler.exceptions.ValidationException) as e:
            scheduler.create_schedule(**given, Target={"Arn": arn, "RoleArn": role})
        assert "The execution role you provide must allow AWS EventBridge Scheduler to assume the role." in str(e.value)
    scheduler.create_schedule(**given, Target={"Arn": arn, "RoleArn": mine})
    for role in wrong:
        with pytest.raises(scheduler.exceptions.ValidationException):
            scheduler.update_schedule(**given, Target={"Arn": arn, "RoleArn": role})
    assert scheduler.get_schedule(Name=name)["Target"]["RoleArn"] == mine


@pytest.mark.boto3
def test_missed_run_is_made_up_for(own_server):
    s = own_server()
    function = s.make_function(KEEP)
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function}"
    role = invoking_role(s, arn)
    s.client("scheduler").create_schedule(Name="missed", ScheduleExpression=soon(2), FlexibleTimeWindow={"Mode": "OFF"},
                                          Target={"Arn": arn, "RoleArn": role})
    assert s.stop() == 0
    time.sleep(2.5)  # its time passes while nobody is there
    s.start()
    assert len(eventually(lambda: seen(s, function), 10)) == 1
    assert s.stop() == 0
    s.start()
    time.sleep(0.5)
    assert len(seen(s, function)) == 1, "once is once"


@pytest.mark.cli
def test_next_runs_by_command(server):
    out = json.loads(server.cli("schedule", "next", "cron(30 2 * * ? *)", "--timezone", "Europe/Paris", "--from", "2026-03-28T12:00:00Z", "--json").stdout)
    assert [t["utc"] for t in out["next"]][:3] == ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z", "2026-03-31T00:30:00Z"]
    assert out["next"][0]["local"] == "2026-03-29 03:00:00" and len(out["next"]) == 5
    bad = server.cli("schedule", "next", "rate(1 minutes)", check=False)
    assert bad.returncode == 2 and "ScheduleExpression is not valid" in bad.stderr
    rule = unique("rule")
    server.client("events").put_rule(Name=rule, ScheduleExpression="rate(2 hours)")
    rows = json.loads(server.cli("schedule", "list", "--json").stdout)["schedules"]
    row = next(r for r in rows if r["name"] == rule)
    assert row["kind"] == "rule" and row["expression"] == "rate(2 hours)" and row["state"] == "ENABLED" and row["next"]
    assert rule in server.cli("schedule", "list").stdout
    told = json.loads(server.cli("schedule", "next", rule, "--json").stdout)["next"]
    assert [t["utc"] for t in told] == row["next"], "as the server counts them, not from now on"


@pytest.mark.cli
def test_run_pause_resume_and_policies_by_command(server):
    scheduler = server.client("scheduler")
    name = server.make_function(KEEP)
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
    given = dict(Name=name, ScheduleExpression="rate(1 day)", FlexibleTimeWindow={"Mode": "OFF"}, Target={"Arn": arn, "RoleArn": invoking_role(server, arn)})
    made = scheduler.create_schedule(**given)
    row = lambda: next(r for r in json.loads(server.cli("schedule", "list", "--json").stdout)["schedules"] if r["name"] == name)
    assert (row()["missed"], row()["overlap"], row()["arn"]) == ("once", "run", made["ScheduleArn"])
    assert "runs now" in server.cli("schedule", "run", name).stdout
    assert eventually(lambda: seen(server, name), 15)[0]["source"] == "aws.scheduler"
    runs = lambda: json.loads(server.signed("GET", f"/perilune/v1/runs?source_arn={quote(made['ScheduleArn'], safe='')}", service="perilune")[2])["runs"]
    assert [(r["function"], r["source"]) for r in runs()] == [(name, "scheduler")]
    server.cli("schedule", "pause", name)
    assert row()["state"] == "DISABLED" and row()["next"] == []
    server.cli("schedule", "resume", name)
    assert row()["state"] == "ENABLED" and len(row()["next"]) == 5
    server.cli("schedule", "policy", name, "--missed", "skip")
    server.cli("schedule", "policy", name, "--overlap", "skip")
    scheduler.update_schedule(**{**given, "ScheduleExpression": "rate(2 days)"})
    assert (row()["missed"], row()["overlap"], row()["expression"]) == ("skip", "skip", "rate(2 days)"), "a stock client's update keeps what it cannot say"
    for args, code in ((("policy", name), 2), (("policy", name, "--missed", "never"), 1), (("run", unique("none")), 3), (("pause", unique("none")), 3)):
        assert server.cli("schedule", *args, check=False).returncode == code, args
    server.client("events").put_rule(Name=name, ScheduleExpression="rate(1 day)")
    assert server.cli("schedule", "pause", name, check=False).returncode == 2, "a rule and a schedule of that name"
    server.cli("schedule", "pause", name, "--kind", "rule")
    assert server.client("events").describe_rule(Name=name)["State"] == "DISABLED" and scheduler.get_schedule(Name=name)["State"] == "ENABLED"


@pytest.mark.http
def test_an_expression_is_checked_before_it_is_anybodys(server):
    def check(**body):
        status, _, text = server.signed("POST", "/perilune/v1/check-schedule", body=json.dumps(body).encode(), service="perilune")[:3]
        assert status == 200
        return json.loads(text)
    good = check(expression="cron(0 9 ? * * *)", timezone="Asia/Tokyo")
    assert good["error"] is None and len(good["next"]) == 5 and all(t.endswith("T00:00:00Z") for t in good["next"])
    assert "ScheduleExpression is not valid" in check(expression="rate(1 minutes)")["error"]
    assert "no time zone" in check(expression="rate(1 minute)", timezone="Mars")["error"]
    assert check(expression="at(2020-01-01T00:00:00)") == {"error": None, "next": []}


@pytest.mark.cli
def test_schedule_triggers_of_a_project(server, tmp_path):
    name = unique("timed")

    def project(triggers):
        (tmp_path / "function.lua").write_text(f'return {{ name = "{name}", handler = "handler.main", triggers = {{ {triggers} }} }}')
        (tmp_path / "handler.lua").write_text(KEEP)

    def schedules():
        rows = json.loads(server.cli("schedule", "list", "--json").stdout)["schedules"]
        return {r["name"]: r for r in rows if r["name"].startswith(name)}

    project('{ schedule = "cron(0 9 ? * MON-FRI *)", timezone = "Europe/Paris", input = { from = "project" } }, { schedule = "rate(1 hour)" }')
    plan = json.loads(server.cli("deploy", str(tmp_path), "--dry-run", "--json").stdout)
    assert {"type": "schedule", "name": f"{name}-1"} in plan["created"] and not schedules()
    server.cli("deploy", str(tmp_path))
    made = schedules()
    assert made[f"{name}-1"]["timezone"] == "Europe/Paris" and made[f"{name}-2"]["expression"] == "rate(1 hour)"
    assert server.signed("POST", f"/perilune/v1/schedules/schedule/{name}-1/run", service="perilune")[0] == 202
    assert eventually(lambda: seen(server, name), 15) == [{"from": "project"}]
    project('{ schedule = "rate(2 hours)" }')
    server.cli("deploy", str(tmp_path))
    assert {n: r["expression"] for n, r in schedules().items()} == {f"{name}-1": "rate(2 hours)"}
    for bad, text in (('{ schedule = "rate(1 hours)" }', "no schedule expression"), ('{ schedule = "rate(1 hour)", timezone = "Mars" }', "no time zone"),
                      ('{ schedule = "rate(1 hour)", missed = "never" }', "cannot be")):
        project(bad)
        r = server.cli("deploy", str(tmp_path), check=False)
        assert r.returncode and text in r.stderr, r.stderr
    server.cli("blueprint", "remove", name, check=False)
    server.cli("rm", name, check=False)
    assert not schedules()


@pytest.mark.cli
def test_a_deployment_does_not_begin_a_rate_anew(server, tmp_path):
    """Who deploys more often than the rate is would never see it run."""
    name, scheduler = unique("deployed"), server.client("scheduler")
    (tmp_path / "function.lua").write_text(f'return {{ name = "{name}", triggers = {{ {{ schedule = "rate(1 hour)" }} }} }}')
    (tmp_path / "handler.lua").write_text("return { main = function() return 1 end }")
    created = []
    for _ in range(2):
        server.cli("deploy", str(tmp_path))
        schedule = scheduler.get_schedule(Name=f"{name}-1")
        created.append(schedule["CreationDate"])
        assert schedule["Target"]["RoleArn"].endswith(f":role/{name}-role"), "none of its own, so its function's"
    assert created[0] == created[1]


@pytest.mark.cli
def test_a_deployed_schedule_can_be_written_back(server, tmp_path):
    """A client changes one member by sending all that it has read; the role there is the function's, which trusts Lambda alone."""
    name, scheduler = unique("deployed"), server.client("scheduler")
    (tmp_path / "function.lua").write_text(f'return {{ name = "{name}", triggers = {{ {{ schedule = "rate(1 hour)" }} }} }}')
    (tmp_path / "handler.lua").write_text("return { main = function() return 1 end }")
    server.cli("deploy", str(tmp_path))
    schedule = scheduler.get_schedule(Name=f"{name}-1")
    again = {k: schedule[k] for k in ("Name", "ScheduleExpression", "FlexibleTimeWindow", "Target")}
    scheduler.update_schedule(**again, State="DISABLED")
    assert scheduler.get_schedule(Name=f"{name}-1")["State"] == "DISABLED"
    server.cli("schedule", "run", f"{name}-1")
    eventually(lambda: any("REPORT" in line for line in server.log_lines(name)))
    again["Target"]["Arn"] = again["Target"]["Arn"].replace(name, server.make_function("return { main = function() end }"))
    with pytest.raises(scheduler.exceptions.ValidationException, match="must allow AWS EventBridge Scheduler"):
        scheduler.update_schedule(**again)
