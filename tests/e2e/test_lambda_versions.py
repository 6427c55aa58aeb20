"""Versions, aliases, and going back, as boto3 and the aws command see them."""
import json
import re
import threading

import pytest

from conftest import aws_programs
from perilune import ACCOUNT, eventually, make_zip, unique
from test_lambda import UUID, arn, refused

boto = pytest.mark.boto3
AWS = [pytest.param(path, marks=getattr(pytest.mark, mark), id=mark) for mark, path in sorted(aws_programs().items())]


def says(word):
    return f"return {{ main = function(e, c) return {{ word = '{word}', version = c.function_version, arn = c.invoked_function_arn, stream = c.log_stream_name }} end }}"


@pytest.fixture(scope="module")
def lam(server):
    return server.client("lambda", read_timeout=60)


@pytest.fixture
def two(server, lam):
    """A function whose version 1 says one, whose version 2 says two, and whose $LATEST says three."""
    name = server.make_function(says("one"))
    for word in ("two", "three"):
        lam.publish_version(FunctionName=name)
        lam.update_function_code(FunctionName=name, ZipFile=make_zip(says(word)))
    return name


def word(server, name, qualifier=None, **more):
    more.update({"Qualifier": qualifier} if qualifier else {})
    return server.invoke(name, **more)[0]["word"]


def versions(lam, name):
    return [v["Version"] for p in lam.get_paginator("list_versions_by_function").paginate(FunctionName=name) for v in p["Versions"]]


# --- versions -------------------------------------------------------------------------------------


@boto
def test_publish_and_list(server, lam):
    name = server.make_function(says("one"), Description="the function")
    before = lam.get_function_configuration(FunctionName=name)
    one = lam.publish_version(FunctionName=name, Description="first")
    assert (one["Version"], one["FunctionArn"], one["Description"]) == ("1", arn(name) + ":1", "first")
    assert one["ResponseMetadata"]["HTTPStatusCode"] == 201 and one["CodeSha256"] == before["CodeSha256"]
    lam.get_waiter("published_version_active").wait(FunctionName=name, Qualifier="1")
    after = lam.get_function_configuration(FunctionName=name)
    assert len({before["RevisionId"], after["RevisionId"], one["RevisionId"]}) == 3 and after["Description"] == "the function"
    again = lam.publish_version(FunctionName=name, Description="ignored: nothing has changed")
    assert (again["Version"], again["Description"], again["RevisionId"]) == ("1", "first", one["RevisionId"])
    lam.update_function_configuration(FunctionName=name, Timeout=9)
    two = lam.publish_version(FunctionName=name)
    assert (two["Version"], two["Timeout"], two["Description"]) == ("2", 9, "the function")
    listed = lam.list_versions_by_function(FunctionName=name)["Versions"]
    assert [(v["Version"], v["Timeout"], v["FunctionArn"]) for v in listed] == [
        ("$LATEST", 9, arn(name) + ":$LATEST"), ("1", 3, arn(name) + ":1"), ("2", 9, arn(name) + ":2")]
    assert lam.get_function(FunctionName=name, Qualifier="1")["Configuration"]["Timeout"] == 3
    assert lam.get_function_configuration(FunctionName=arn(name) + ":2")["Timeout"] == 9
    with refused("ResourceNotFoundException", 404, f"Function not found: {arn(name)}:3"):
        lam.get_function_configuration(FunctionName=name, Qualifier="3")
    for wrong in ("01", "0", "99999999999"):
        with refused("ResourceNotFoundException", 404):
            lam.get_function_configuration(FunctionName=name, Qualifier=wrong)


@boto
def test_publish_preconditions(server, lam):
    name = server.make_function(says("one"))
    now = lam.get_function_configuration(FunctionName=name)
    with refused("PreconditionFailedException", 412, "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias "
                 "API to retrieve the latest Revision Id"):
        lam.publish_version(FunctionName=name, RevisionId="8fba17c9-ffa9-4b51-9db0-9e3f4e1e2a3b")
    other = "A" * 43 + "="
    with refused("InvalidParameterValueException", 400, f"CodeSHA256 ({other}) is different from current CodeSHA256 in $LATEST "
                 f"({now['CodeSha256']}). Please try again with the CodeSHA256 in $LATEST."):
        lam.publish_version(FunctionName=name, CodeSha256=other)
    assert versions(lam, name) == ["$LATEST"]
    assert lam.publish_version(FunctionName=name, CodeSha256=now["CodeSha256"], RevisionId=now["RevisionId"])["Version"] == "1"
    with refused("ResourceNotFoundException", 404, f"Function not found: {arn('nosuch')}"):
        lam.publish_version(FunctionName="nosuch")


@boto
def test_publish_with_the_code(server, lam):
    name = unique("fn")
    made = lam.create_function(FunctionName=name, Role=server.make_role(), Runtime="lua", Handler="handler.main", Code={"ZipFile": make_zip(says("one"))}, Publish=True)
    assert made["Version"] == "1" and versions(lam, name) == ["$LATEST", "1"]
    got = lam.update_function_code(FunctionName=name, ZipFile=make_zip(says("two")), Publish=True)
    assert (got["Version"], got["FunctionArn"]) == ("2", arn(name) + ":2")
    got = lam.update_function_code(FunctionName=name, ZipFile=make_zip(says("three")), DryRun=True, Publish=True)
    assert got["Version"] == "$LATEST" and versions(lam, name) == ["$LATEST", "1", "2"] and word(server, name) == "two"


@boto
def test_versions_do_not_change(server, lam, two):
    assert [word(server, two, q) for q in ("1", "2", None, "$LATEST")] == ["one", "two", "three", "three"]
    got, _, r = server.invoke(f"{arn(two)}:1")
    assert (r["ExecutedVersion"], got["version"], got["arn"]) == ("1", "1", arn(two) + ":1") and "/[1]" in got["stream"]
    lam.update_function_configuration(FunctionName=two, MemorySize=256)
    assert lam.get_function_configuration(FunctionName=two, Qualifier="1")["MemorySize"] == 128 and word(server, two, "1") == "one"
    lines = eventually(lambda: [x for x in server.log_lines(two) if x.startswith("START") and "Version: 1" in x])
    assert lines
    with refused("InvalidParameterValueException", 400):
        lam.update_function_configuration(FunctionName=two + ":1", MemorySize=256)


@boto
def test_delete_a_version(server, lam, two):
    lam.create_alias(FunctionName=two, Name="live", FunctionVersion="1")
    with refused("ResourceConflictException", 409, "Unable to delete version 1 because the following aliases reference it: [live]"):
        lam.delete_function(FunctionName=two, Qualifier="1")
    with refused("InvalidParameterValueException", 400, "$LATEST version cannot be deleted without deleting the function."):
        lam.delete_function(FunctionName=two, Qualifier="$LATEST")
    lam.update_alias(FunctionName=two, Name="live", FunctionVersion="2")
    lam.delete_function(FunctionName=two, Qualifier="1")
    assert versions(lam, two) == ["$LATEST", "2"]
    with refused("ResourceNotFoundException", 404):
        lam.invoke(FunctionName=two, Qualifier="1")
    assert lam.publish_version(FunctionName=two)["Version"] == "3", "numbers are not used again"
    lam.delete_function(FunctionName=two)
    with refused("ResourceNotFoundException", 404):
        lam.invoke(FunctionName=two, Qualifier="live")
    server.make_function(says("new"), name=two)
    assert versions(lam, two) == ["$LATEST"] and lam.list_aliases(FunctionName=two)["Aliases"] == []
    assert lam.publish_version(FunctionName=two)["Version"] == "1"


@boto
def test_packages_are_kept_for_their_versions(server, lam):
    """The package of a version lives as long as the version does, also when it is large."""
    big = {"handler.lua": says("one"), "data": "x" * 300_000}
    name = server.make_function(big)
    lam.publish_version(FunctionName=name)
    lam.update_function_code(FunctionName=name, ZipFile=make_zip(says("two")))
    blobs = lambda: [p for p in server.data.joinpath("blobs").rglob("*") if p.is_file()]
    held = len(blobs())
    assert held and word(server, name, "1") == "one"
    lam.delete_function(FunctionName=name, Qualifier="1")
    eventually(lambda: len(blobs()) < held)


@boto
def test_lists_by_pages(server, lam):
    name = server.make_function(says("0"))
    for i in range(1, 12):
        lam.update_function_configuration(FunctionName=name, Description=str(i))
        lam.publish_version(FunctionName=name)
        lam.create_alias(FunctionName=name, Name=f"a{i:02}", FunctionVersion=str(i if i % 2 else 2))
    pages = list(lam.get_paginator("list_versions_by_function").paginate(FunctionName=name, PaginationConfig={"PageSize": 5}))
    assert [len(p["Versions"]) for p in pages] == [5, 5, 2]
    assert versions(lam, name) == ["$LATEST"] + [str(i) for i in range(1, 12)], "in the order of numbers"
    pages = list(lam.get_paginator("list_aliases").paginate(FunctionName=name, PaginationConfig={"PageSize": 4}))
    assert [a["Name"] for p in pages for a in p["Aliases"]] == [f"a{i:02}" for i in range(1, 12)] and len(pages) == 3
    assert [a["Name"] for a in lam.list_aliases(FunctionName=name, FunctionVersion="2")["Aliases"]] == ["a02", "a04", "a06", "a08", "a10"]
    every = [(f["FunctionName"], f["Version"]) for p in lam.get_paginator("list_functions").paginate(FunctionVersion="ALL", PaginationConfig={"PageSize": 7})
             for f in p["Functions"]]
    assert len(set(every)) == len(every) and [v for n, v in every if n == name] == versions(lam, name)
    plain = [f["FunctionName"] for p in lam.get_paginator("list_functions").paginate() for f in p["Functions"]]
    assert plain == sorted(set(n for n, _ in every))


# --- aliases --------------------------------------------------------------------------------------


@boto
def test_alias_life(server, lam, two):
    made = lam.create_alias(FunctionName=two, Name="live", FunctionVersion="1", Description="what users see")
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201 and re.fullmatch(UUID, made["RevisionId"])
    assert {k: made[k] for k in ("AliasArn", "Name", "FunctionVersion", "Description")} == dict(
        AliasArn=arn(two) + ":live", Name="live", FunctionVersion="1", Description="what users see")
    got = lam.get_alias(FunctionName=two, Name="live")
    assert {k: got[k] for k in got if k != "ResponseMetadata"} == {k: made[k] for k in made if k != "ResponseMetadata"}
    _, _, r = server.invoke(two, Qualifier="live")
    assert r["ExecutedVersion"] == "1" and word(server, two + ":live") == "one"
    assert server.invoke(two, Qualifier="live")[0]["arn"] == arn(two) + ":live"
    config = lam.get_function_configuration(FunctionName=two, Qualifier="live")
    assert (config["Version"], config["FunctionArn"]) == ("1", arn(two) + ":live")
    new = lam.update_alias(FunctionName=two, Name="live", FunctionVersion="2")
    assert new["Description"] == "what users see" and new["RevisionId"] != made["RevisionId"] and word(server, two, "live") == "two"
    with refused("PreconditionFailedException", 412):
        lam.update_alias(FunctionName=two, Name="live", FunctionVersion="1", RevisionId=made["RevisionId"])
    lam.update_alias(FunctionName=two, Name="live", FunctionVersion="$LATEST", Description="", RevisionId=new["RevisionId"])
    assert word(server, two, "live") == "three" and lam.get_alias(FunctionName=two, Name="live")["Description"] == ""
    with refused("ResourceConflictException", 409, f"Alias already exists: {arn(two)}:live"):
        lam.create_alias(FunctionName=two, Name="live", FunctionVersion="2")
    assert lam.delete_alias(FunctionName=two, Name="live")["ResponseMetadata"]["HTTPStatusCode"] == 204
    lam.delete_alias(FunctionName=two, Name="live")
    with refused("ResourceNotFoundException", 404, f"Cannot find alias arn: {arn(two)}:live"):
        lam.get_alias(FunctionName=two, Name="live")
    with refused("ResourceNotFoundException", 404, f"Function not found: {arn(two)}:live"):
        lam.invoke(FunctionName=two, Qualifier="live")


@boto
def test_alias_refusals(server, lam, two):
    with refused("ResourceNotFoundException", 404, f"Function not found: {arn(two)}:7"):
        lam.create_alias(FunctionName=two, Name="live", FunctionVersion="7")
    with refused("ResourceNotFoundException", 404, f"Function not found: {arn('nosuch')}"):
        lam.create_alias(FunctionName="nosuch", Name="live", FunctionVersion="1")
    with refused("ResourceNotFoundException", 404):
        lam.update_alias(FunctionName=two, Name="nosuch", FunctionVersion="1")
    route = lambda version, weights: lam.create_alias(FunctionName=two, Name="live", FunctionVersion=version, RoutingConfig={"AdditionalVersionWeights": weights})
    with refused("InvalidParameterValueException", 400, "Number of items in AdditionalVersionWeights cannot be greater than 1"):
        route("1", {"1": 0.5, "2": 0.5})
    with refused("InvalidParameterValueException", 400, "$LATEST is not supported for an alias pointing to more than 1 version"):
        route("$LATEST", {"1": 0.5})
    with refused("InvalidParameterValueException", 400,
                 "Invalid function version 1. Function version 1 is already included in routing configuration."):
        route("1", {"1": 0.5})
    with refused("ResourceNotFoundException", 404, f"Function not found: {arn(two)}:9"):
        route("1", {"9": 0.5})
    assert lam.list_aliases(FunctionName=two)["Aliases"] == []


@boto
def test_alias_weights(server, lam, two):
    lam.create_alias(FunctionName=two, Name="canary", FunctionVersion="1", RoutingConfig={"AdditionalVersionWeights": {"2": 0.25}})
    assert lam.get_alias(FunctionName=two, Name="canary")["RoutingConfig"] == {"AdditionalVersionWeights": {"2": 0.25}}
    ran = [server.invoke(two, Qualifier="canary", client=lam)[2]["ExecutedVersion"] for _ in range(200)]
    assert set(ran) == {"1", "2"} and 20 < ran.count("2") < 85, ran.count("2")
    with refused("ResourceConflictException", 409):
        lam.delete_function(FunctionName=two, Qualifier="2")
    for weight, expected in ((0.0, "one"), (1.0, "two")):
        lam.update_alias(FunctionName=two, Name="canary", RoutingConfig={"AdditionalVersionWeights": {"2": weight}})
        assert {word(server, two, "canary", client=lam) for _ in range(20)} == {expected}
    assert "RoutingConfig" not in lam.update_alias(FunctionName=two, Name="canary", RoutingConfig={})
    assert word(server, two, "canary") == "one"


@boto
def test_events_through_an_alias(server, lam, two):
    lam.create_alias(FunctionName=two, Name="live", FunctionVersion="2")
    r = lam.invoke(FunctionName=two, Qualifier="live", InvocationType="Event", Payload=b"{}")
    id = r["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"]
    assert eventually(lambda: [x for x in server.log_lines(two) if x.startswith(f"START RequestId: {id} Version: 2")])


@boto
def test_policies_of_their_own(server, lam, two):
    """An alias's policy lets in by the alias only; each has its statement ids and its revision."""
    lam.create_alias(FunctionName=two, Name="live", FunctionVersion="1")
    allow = dict(StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com", SourceArn="arn:aws:s3:::b", SourceAccount=ACCOUNT)
    revision = lam.get_alias(FunctionName=two, Name="live")["RevisionId"]
    got = lam.add_permission(FunctionName=two, Qualifier="live", RevisionId=revision, **allow)
    assert json.loads(got["Statement"])["Resource"] == arn(two) + ":live"
    assert lam.get_alias(FunctionName=two, Name="live")["RevisionId"] != revision
    with refused("PreconditionFailedException", 412):
        lam.add_permission(FunctionName=two, Qualifier="live", RevisionId=revision, **dict(allow, StatementId="other"))
    with refused("ResourceNotFoundException", 404, "The resource you requested does not exist."):
        lam.get_policy(FunctionName=two)
    lam.add_permission(FunctionName=two, **allow)
    lam.add_permission(FunctionName=two, Qualifier="1", **allow)
    policy = lam.get_policy(FunctionName=two, Qualifier="live")
    assert json.loads(policy["Policy"])["Statement"][0]["Resource"] == arn(two) + ":live"
    assert policy["RevisionId"] == lam.get_alias(FunctionName=two, Name="live")["RevisionId"]
    assert lam.get_policy(FunctionName=two)["RevisionId"] == lam.get_function_configuration(FunctionName=two)["RevisionId"]
    with refused("InvalidParameterValueException", 400, "We currently do not support adding policies for $LATEST."):
        lam.add_permission(FunctionName=two, Qualifier="$LATEST", **dict(allow, StatementId="x"))
    s3 = server.client("s3")
    s3.create_bucket(Bucket=(bucket := unique("alias")))
    notify = lambda target: s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={
        "LambdaFunctionConfigurations": [{"LambdaFunctionArn": target, "Events": ["s3:ObjectCreated:*"]}]})
    lam.add_permission(FunctionName=two, Qualifier="live", **dict(allow, StatementId="mine", SourceArn=f"arn:aws:s3:::{bucket}"))
    with refused("InvalidArgument", 400):
        notify(arn(two))
    notify(arn(two) + ":live")
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert eventually(lambda: [x for x in server.log_lines(two) if x.startswith("START") and "Version: 1" in x])
    lam.remove_permission(FunctionName=two, Qualifier="live", StatementId="mine")
    lam.remove_permission(FunctionName=two, Qualifier="live", StatementId="s3")
    with refused("ResourceNotFoundException", 404):
        lam.get_policy(FunctionName=two, Qualifier="live")


@boto
def test_an_alias_moves_under_load(server, lam, two):
    """Every call is answered by the one version or by the other while the alias moves to and fro."""
    lam.create_alias(FunctionName=two, Name="live", FunctionVersion="1")
    seen, failed, stop = set(), [], threading.Event()

    def call():
        client = server.client("lambda")
        while not stop.is_set():
            try:
                seen.add(word(server, two, "live", client=client))
            except Exception as e:  # noqa: BLE001
                failed.append(e)
    threads = [threading.Thread(target=call) for _ in range(3)]
    [t.start() for t in threads]
    for i in range(30):
        lam.update_alias(FunctionName=two, Name="live", FunctionVersion=str(1 + i % 2))
    stop.set()
    [t.join() for t in threads]
    assert not failed and seen == {"one", "two"}


@boto
def test_runners_stay_warm(server, lam, two):
    """What is said about a version makes no new runner; a change of its code does."""
    count = "local n = 0 return { main = function() n = n + 1 return n end }"
    lam.update_function_code(FunctionName=two, ZipFile=make_zip(count), Publish=True)
    assert [server.invoke(two, Qualifier="3")[0] for _ in range(2)] == [1, 2]
    lam.create_alias(FunctionName=two, Name="live", FunctionVersion="3")
    assert server.invoke(two, Qualifier="live")[0] == 3
    lam.update_function_code(FunctionName=two, ZipFile=make_zip(says("four")))
    assert server.invoke(two, Qualifier="live")[0] == 4


# --- going back -----------------------------------------------------------------------------------


def deploy(server, path, text, name):
    path.write_text(text)
    return json.loads(server.cli("deploy", str(path), "--name", name, "--json").stdout)


@pytest.mark.cli
def test_deployments_are_versions(server, lam, tmp_path):
    name, path = unique("dep"), tmp_path / "f.lua"
    for text in ("one", "two", "two", "three"):
        deploy(server, path, f"return {{ main = function() return '{text}' end }}", name)
    assert versions(lam, name) == ["$LATEST", "1", "2", "3"]
    back = lambda body=b"{}": server.signed("POST", f"/perilune/v1/functions/{name}/rollback", body, service="perilune")
    status, _, body = back()
    assert status == 200 and json.loads(body) == {"name": name, "arn": arn(name), "from": "3", "version": "2"}
    assert server.invoke(name)[0] == "two"
    assert json.loads(back()[2])["version"] == "1" and server.invoke(name)[0] == "one"
    status, _, body = back()
    assert status == 409 and server.invoke(name)[0] == "one"
    assert json.loads(back(b'{"Version": 3}')[2])["from"] == "1" and server.invoke(name)[0] == "three"
    assert json.loads(back(b'{"Version": "1"}')[2])["version"] == "1" and server.invoke(name)[0] == "one"
    assert back(b'{"Version": 9}')[0] == 404 and back(b'{"Version": "x"}')[0] == 400 and back(b'{"Version": -1}')[0] == 400
    assert versions(lam, name) == ["$LATEST", "1", "2", "3"], "going back publishes nothing"
    lam.update_function_configuration(FunctionName=name, Description="changed by hand", MemorySize=200)
    assert json.loads(back()[2]) == {"name": name, "arn": arn(name), "from": None, "version": "3"}
    config = lam.get_function_configuration(FunctionName=name)
    assert (config["MemorySize"], config["Description"]) == (128, "") and server.invoke(name)[0] == "three"
    assert server.signed("POST", "/perilune/v1/functions/nosuch/rollback", b"{}", service="perilune")[0] == 404


@pytest.mark.cli
def test_old_deployments_go(server, lam, tmp_path):
    name, path = unique("many"), tmp_path / "f.lua"
    deploy(server, path, "return { main = function() return 0 end }", name)
    lam.create_alias(FunctionName=name, Name="first", FunctionVersion="1")
    for i in range(1, 53):
        deploy(server, path, f"return {{ main = function() return {i} end }}", name)
    left = versions(lam, name)
    assert left[:2] == ["$LATEST", "1"] and left[-1] == "53" and len(left) == 51 and "2" not in left
    assert server.invoke(name, Qualifier="first")[0] == 0


# --- the aws command ------------------------------------------------------------------------------


@pytest.mark.parametrize("aws", AWS)
def test_versions_by_the_aws_command(server, lam, aws):
    name = server.make_function(says("one"))
    run = lambda *args: json.loads(server.aws(aws, "lambda", *args, "--output", "json").stdout or "null")
    lam.publish_version(FunctionName=name)
    lam.update_function_configuration(FunctionName=name, Timeout=5)
    lam.publish_version(FunctionName=name)
    got = run("create-alias", "--function-name", name, "--name", "live", "--function-version", "1", "--routing-config", "AdditionalVersionWeights={2=0.5}")
    assert got["AliasArn"] == arn(name) + ":live" and got["RoutingConfig"] == {"AdditionalVersionWeights": {"2": 0.5}}
    r = server.aws(aws, "lambda", "delete-function", "--function-name", name, "--qualifier", "1", check=False)
    assert "ResourceConflictException" in r.stderr and "live" in r.stderr
