"""What is set on functions besides code: tags, concurrency, asynchronous calls; what tools ask; what is refused, and how."""
import base64
import hashlib
import json
import re
import subprocess
import threading
import time
import urllib.request

import pytest
from botocore.exceptions import ClientError

from conftest import aws_programs
from perilune import ACCOUNT, eventually, make_zip, unique
from test_lambda import ECHO, arn, refused

boto = pytest.mark.boto3
http = pytest.mark.http
AWS = [pytest.param(path, marks=getattr(pytest.mark, mark), id=mark) for mark, path in sorted(aws_programs().items())]
NAME = (r"(arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_]+)"
        r"(:(\$LATEST|[a-zA-Z0-9-_]+))?")


@pytest.fixture(scope="module")
def lam(server):
    return server.client("lambda", read_timeout=60, parameter_validation=False)


@pytest.fixture(scope="module")
def echo(server):
    return server.make_function(ECHO)


def plain(r):
    return {k: v for k, v in r.items() if k != "ResponseMetadata"}


# --- tags -----------------------------------------------------------------------------------------


@boto
def test_tags(server, lam):
    name = server.make_function(ECHO, Tags={"team": "moon", "a b": "ü=&"})
    assert lam.get_function(FunctionName=name)["Tags"] == {"team": "moon", "a b": "ü=&"}
    before = lam.get_function_configuration(FunctionName=name)["RevisionId"]
    lam.tag_resource(Resource=arn(name), Tags={"team": "earth", "cost": ""})
    assert lam.list_tags(Resource=arn(name))["Tags"] == {"team": "earth", "a b": "ü=&", "cost": ""}
    assert lam.get_function_configuration(FunctionName=name)["RevisionId"] != before
    lam.untag_resource(Resource=arn(name), TagKeys=["a b", "cost", "never there"])
    assert lam.get_function(FunctionName=name)["Tags"] == {"team": "earth"}
    lam.untag_resource(Resource=arn(name), TagKeys=["team"])
    assert "Tags" not in lam.get_function(FunctionName=name) and lam.list_tags(Resource=arn(name))["Tags"] == {}
    lam.tag_resource(Resource=arn(name), Tags={f"k{i}": "v" for i in range(49)})
    with refused("InvalidParameterValueException", 400, "Number of tags exceeds resource tag limit."):
        lam.tag_resource(Resource=arn(name), Tags={"one": "1", "two": "2"})
    assert len(lam.list_tags(Resource=arn(name))["Tags"]) == 49
    lam.tag_resource(Resource=arn(name), Tags={"k0": "new", "one": "1"})
    with refused("InvalidParameterValueException", 400,
                 "Tags on function aliases and versions are not supported. Please specify a function ARN."):
        lam.tag_resource(Resource=arn(name) + ":1", Tags={"a": "b"})
    with refused("ResourceNotFoundException", 404, f"Function not found: {arn('nosuch')}"):
        lam.list_tags(Resource=arn("nosuch"))
    with refused("InvalidParameterValueException", 400):
        lam.tag_resource(Resource=arn(name), Tags={})
    for bad in ("name", "arn:aws:s3:::b", "arn:aws:lambda:us-east-1:12:function:f"):
        with refused("ValidationException", 400):
            lam.list_tags(Resource=bad)


# --- concurrency ----------------------------------------------------------------------------------


@boto
def test_reserved_concurrency_is_stored(server, lam):
    name, unreserved = server.make_function(ECHO), lambda: lam.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"]
    start = unreserved()
    assert plain(lam.get_function_concurrency(FunctionName=name)) == {} and "Concurrency" not in lam.get_function(FunctionName=name)
    assert lam.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=7)["ReservedConcurrentExecutions"] == 7
    assert lam.get_function(FunctionName=name)["Concurrency"] == {"ReservedConcurrentExecutions": 7}
    assert lam.get_function_concurrency(FunctionName=name)["ReservedConcurrentExecutions"] == 7 and unreserved() == start - 7
    below = "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [100]."
    other = server.make_function(ECHO)
    with refused("InvalidParameterValueException", 400, below):
        lam.put_function_concurrency(FunctionName=other, ReservedConcurrentExecutions=start - 100 - 6)
    lam.put_function_concurrency(FunctionName=other, ReservedConcurrentExecutions=start - 100 - 7)
    lam.delete_function_concurrency(FunctionName=other)
    lam.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=900 - (1000 - start))
    lam.delete_function_concurrency(FunctionName=name)
    assert plain(lam.get_function_concurrency(FunctionName=name)) == {} and unreserved() == start
    with refused("InvalidParameterValueException", 400):
        lam.put_function_concurrency(FunctionName=name + ":1", ReservedConcurrentExecutions=1)
    with refused("ValidationException", 400, "1 validation error detected: Value '-1' at 'reservedConcurrentExecutions' failed to satisfy "
                 "constraint: Member must have value greater than or equal to 0"):
        lam.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=-1)
    lam.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=5)
    lam.delete_function(FunctionName=name)
    assert unreserved() == start


@boto
def test_provisioned_concurrency(server, lam):
    name = server.make_function(ECHO)
    lam.publish_version(FunctionName=name)
    lam.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    missing = ("ProvisionedConcurrencyConfigNotFoundException", 404, "No Provisioned Concurrency Config found for this function")
    with refused(*missing):
        lam.get_provisioned_concurrency_config(FunctionName=name, Qualifier="live")
    put = lam.put_provisioned_concurrency_config(FunctionName=name, Qualifier="live", ProvisionedConcurrentExecutions=3)
    assert put["ResponseMetadata"]["HTTPStatusCode"] == 202 and put["RequestedProvisionedConcurrentExecutions"] == 3
    got = lam.get_provisioned_concurrency_config(FunctionName=name, Qualifier="live")
    assert (got["Status"], got["AvailableProvisionedConcurrentExecutions"]) == ("READY", 3)
    listed = lam.list_provisioned_concurrency_configs(FunctionName=name)["ProvisionedConcurrencyConfigs"]
    assert [(p["FunctionArn"], p["RequestedProvisionedConcurrentExecutions"]) for p in listed] == [(arn(name) + ":live", 3)]
    with refused("ResourceConflictException", 409, "Version is pointed by a Provisioned Concurrency alias"):
        lam.put_provisioned_concurrency_config(FunctionName=name, Qualifier="1", ProvisionedConcurrentExecutions=1)
    with refused("InvalidParameterValueException", 400, " ReservedConcurrentExecutions  2 should not be lower than function's total provisioned concurrency [3]."):
        lam.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=2)
    lam.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=4)
    with refused("InvalidParameterValueException", 400):
        lam.put_provisioned_concurrency_config(FunctionName=name, Qualifier="live", ProvisionedConcurrentExecutions=5)
    with refused("InvalidParameterValueException", 400, "Provisioned Concurrency Configs cannot be applied to unpublished function versions."):
        lam.put_provisioned_concurrency_config(FunctionName=name, Qualifier="$LATEST", ProvisionedConcurrentExecutions=1)
    with refused("ResourceNotFoundException", 404, f"Cannot find alias arn: {arn(name)}:nosuch"):
        lam.get_provisioned_concurrency_config(FunctionName=name, Qualifier="nosuch")
    assert lam.delete_provisioned_concurrency_config(FunctionName=name, Qualifier="live")["ResponseMetadata"]["HTTPStatusCode"] == 204
    with refused(*missing):
        lam.get_provisioned_concurrency_config(FunctionName=name, Qualifier="live")
    lam.put_provisioned_concurrency_config(FunctionName=name, Qualifier="1", ProvisionedConcurrentExecutions=1)


# --- asynchronous calls ---------------------------------------------------------------------------


@boto
def test_event_invoke_config(server, lam):
    target = server.make_function(ECHO)
    name = server.make_function(ECHO, role=server.make_role({"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": arn(target)}))
    none = ("ResourceNotFoundException", 404, f"The function {arn(name)}:$LATEST doesn't have an EventInvokeConfig")
    with refused(*none):
        lam.get_function_event_invoke_config(FunctionName=name)
    with refused(*none):
        lam.update_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=1)
    with refused(*none):
        lam.delete_function_event_invoke_config(FunctionName=name)
    put = lam.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0, DestinationConfig={"OnSuccess": {"Destination": arn(target)}})
    assert {k: put[k] for k in plain(put) if k != "LastModified"} == {
        "FunctionArn": arn(name) + ":$LATEST", "MaximumRetryAttempts": 0,
        "DestinationConfig": {"OnSuccess": {"Destination": arn(target)}, "OnFailure": {}}}
    got = lam.update_function_event_invoke_config(FunctionName=name, MaximumEventAgeInSeconds=60, DestinationConfig={"OnFailure": {"Destination": arn(target)}})
    assert (got["MaximumRetryAttempts"], got["MaximumEventAgeInSeconds"]) == (0, 60)
    assert got["DestinationConfig"] == {"OnSuccess": {"Destination": arn(target)}, "OnFailure": {"Destination": arn(target)}}
    assert plain(lam.get_function_event_invoke_config(FunctionName=name)) == plain(got)
    put = lam.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=1)
    assert put["DestinationConfig"] == {"OnSuccess": {}, "OnFailure": {}} and "MaximumEventAgeInSeconds" not in put
    lam.publish_version(FunctionName=name)
    lam.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    lam.put_function_event_invoke_config(FunctionName=name, Qualifier="live", MaximumEventAgeInSeconds=100)
    lam.put_function_event_invoke_config(FunctionName=name, Qualifier="1", MaximumEventAgeInSeconds=200)
    pages = lam.get_paginator("list_function_event_invoke_configs").paginate(FunctionName=name, PaginationConfig={"PageSize": 1})
    assert [c["FunctionArn"] for p in pages for c in p["FunctionEventInvokeConfigs"]] == [arn(name) + q for q in (":$LATEST", ":1", ":live")]
    assert lam.delete_function_event_invoke_config(FunctionName=name, Qualifier="live")["ResponseMetadata"]["HTTPStatusCode"] == 204
    with refused("ResourceNotFoundException", 404, f"The function {arn(name)}:live doesn't have an EventInvokeConfig"):
        lam.get_function_event_invoke_config(FunctionName=name, Qualifier="live")


@boto
def test_destinations_that_are_refused(server, lam, echo):
    name = server.make_function(ECHO)
    put = lambda target, **more: lam.put_function_event_invoke_config(FunctionName=name, DestinationConfig={"OnFailure": {"Destination": target}}, **more)
    with refused("InvalidParameterValueException", 400, "You must specify at least one of error handling or destination setting."):
        lam.put_function_event_invoke_config(FunctionName=name)
    sqs = f"arn:aws:sqs:us-east-1:{ACCOUNT}:q"
    for target, text in ((sqs, "sqs"), ("arn:aws:s3:::bucket", "s3"), (f"arn:aws:sns:us-east-1:{ACCOUNT}:t", "sns"), (arn("nosuch"), "is invalid"), (arn(echo), "permissions"),
                         (f"arn:aws:perilune:us-east-1:{ACCOUNT}:webhook/https://example.com/hook", "webhooks are not served yet")):
        with refused("InvalidParameterValueException", 400) as e:
            put(target)
        assert text in e.value.response["Error"]["Message"]
    role = server.make_role({"Effect": "Allow", "Action": "lambda:*", "Resource": "*"})
    lam.update_function_configuration(FunctionName=name, Role=role)
    with refused("InvalidParameterValueException", 400, "You can't specify the function as a destination for itself."):
        put(arn(name))
    with refused("ResourceNotFoundException", 404, "The function doesn't exist."):
        lam.put_function_event_invoke_config(FunctionName=name, Qualifier="nosuch", MaximumRetryAttempts=0)
    put(arn(echo))
    with refused("InvalidParameterValueException", 400):
        lam.update_function_configuration(FunctionName=name, DeadLetterConfig={"TargetArn": sqs})
    assert lam.update_function_configuration(FunctionName=name, DeadLetterConfig={"TargetArn": arn(echo)})["DeadLetterConfig"] == {"TargetArn": arn(echo)}
    assert "DeadLetterConfig" not in lam.update_function_configuration(FunctionName=name, DeadLetterConfig={})


# --- answers --------------------------------------------------------------------------------------


@boto
def test_what_tools_ask(server, lam, echo):
    settings = lam.get_account_settings()
    assert settings["AccountLimit"]["ConcurrentExecutions"] == 1000 and settings["AccountLimit"]["CodeSizeZipped"] == 52428800
    count, size = settings["AccountUsage"]["FunctionCount"], settings["AccountUsage"]["TotalCodeSize"]
    name = server.make_function(ECHO)
    lam.publish_version(FunctionName=name)
    own = lam.get_function_configuration(FunctionName=name)["CodeSize"]
    usage = lam.get_account_settings()["AccountUsage"]
    assert (usage["FunctionCount"], usage["TotalCodeSize"]) == (count + 1, size + 2 * own)
    assert lam.list_layers()["Layers"] == [] and lam.list_event_source_mappings(FunctionName=echo)["EventSourceMappings"] == []
    assert plain(lam.get_function_code_signing_config(FunctionName=echo)) in ({}, {"FunctionName": echo})
    with refused("ResourceNotFoundException", 404):
        lam.get_function_code_signing_config(FunctionName="nosuch")
    for path, put, default, member, value in (("/2024-08-31/functions/{}/recursion-config", True, "Terminate", "RecursiveLoop", "Allow"),
                                              ("/2021-07-20/functions/{}/runtime-management-config", True, "Auto", "UpdateRuntimeOn", "Manual")):
        get = lambda: json.loads(server.signed("GET", path.format(name), service="lambda")[2])
        assert get()[member] == default
        assert server.signed("PUT", path.format(name), json.dumps({member: value}).encode(), service="lambda")[0] == 200
        assert get()[member] == value
        status, _, body = server.signed("PUT", path.format(name), json.dumps({member: "Maybe"}).encode(), service="lambda")
        assert status == 400 and b"Member must satisfy enum value set: [A" in body
        assert server.signed("GET", path.format("nosuch"), service="lambda")[0] == 404


@boto
def test_configuration_members(server, lam):
    name = unique("fn")
    given = dict(FunctionName=name, Role=server.make_role(), Runtime="lua", Handler="handler.main", Code={"ZipFile": make_zip(ECHO)})
    def configure(**change):
        """Also members that Debian's boto3 does not know."""
        status, _, body = server.signed("PUT", f"/2015-03-31/functions/{name}/configuration", json.dumps(change).encode(), service="lambda")
        return status, json.loads(body)

    lam.create_function(**given, Layers=[], VpcConfig={"SubnetIds": [], "SecurityGroupIds": []}, FileSystemConfigs=[], EphemeralStorage={"Size": 1024},
                               TracingConfig={"Mode": "Active"},
                        Architectures=["arm64"], PackageType="Zip", KMSKeyArn="", SnapStart={"ApplyOn": "None"}, ImageConfig={}, DeadLetterConfig={})
    made = configure(LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "WARN", "LogGroup": "/my/group"})[1]
    expected = dict(EphemeralStorage={"Size": 1024}, TracingConfig={"Mode": "Active"}, Architectures=["arm64"], PackageType="Zip",
                    LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "WARN", "SystemLogLevel": "INFO", "LogGroup": "/my/group"},
                    SnapStart={"ApplyOn": "None", "OptimizationStatus": "Off"})
    read = lambda: json.loads(server.signed("GET", f"/2015-03-31/functions/{name}/configuration", service="lambda")[2])
    for config in (made, read()):
        assert {k: config[k] for k in expected} == expected
    assert configure(TracingConfig={"Mode": "PassThrough"}, LoggingConfig={"LogFormat": "Text"})[0] == 200
    got = read()
    assert got["TracingConfig"] == {"Mode": "PassThrough"} and got["LoggingConfig"] == {"LogFormat": "Text", "LogGroup": "/my/group"}
    server.invoke(name)
    logs = server.client("logs")
    assert eventually(lambda: [e for e in logs.filter_log_events(logGroupName="/my/group")["events"] if "REPORT" in e["message"]])
    lam.get_waiter("function_updated_v2").wait(FunctionName=name)
    for refusal in (dict(VpcConfig={"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}), dict(Layers=["arn:aws:lambda:us-east-1:123456789012:layer:l:1"]),
                    dict(ImageConfig={"Command": ["x"]}), dict(SnapStart={"ApplyOn": "PublishedVersions"}), dict(FileSystemConfigs=[{"Arn": "a", "LocalMountPath": "/mnt/x"}]),
                    dict(LoggingConfig={"LogFormat": "Text", "ApplicationLogLevel": "INFO"}), dict(Environment={"Variables": {"AWS_REGION": "x"}}),
                    dict(Environment={"Variables": {"BIG": "x" * 4096}})):
        status, body = configure(**refusal)
        assert status == 400 and "message" in body and body["Type"] == "User", (refusal, body)
    for memory in (1, 10240):
        assert lam.update_function_configuration(FunctionName=name, MemorySize=memory)["MemorySize"] == memory


@boto
def test_location_downloads(server, lam):
    for files in ({"handler.lua": ECHO}, {"handler.lua": ECHO, "data": base64.b64encode(hashlib.sha512(b"x").digest() * 20000)}):
        name = server.make_function(files)
        lam.publish_version(FunctionName=name)
        lam.update_function_code(FunctionName=name, ZipFile=make_zip("return { main = function() end }"))
        got = lam.get_function(FunctionName=name, Qualifier="1")
        link = got["Code"]["Location"]
        data = subprocess.run(["curl", "-sS", "--fail", link], capture_output=True, check=True).stdout
        assert base64.b64encode(hashlib.sha256(data).digest()).decode() == got["Configuration"]["CodeSha256"] and len(data) == got["Configuration"]["CodeSize"]
        now = lam.get_function(FunctionName=name)
        assert hashlib.sha256(urllib.request.urlopen(now["Code"]["Location"]).read()).digest() == base64.b64decode(now["Configuration"]["CodeSha256"])
        expires = int(re.search(r"Expires=(\d+)", link)[1])
        assert 590 <= expires - time.time() <= 601
        for wrong in (link.replace(f"Expires={expires}", f"Expires={expires + 1}"), link[:-1] + ("0" if link[-1] != "0" else "1"), link.split("?")[0],
                      link + "&x=1", re.sub("packages/.", "packages/" + ("0" if link.split("packages/")[1][0] != "0" else "1"), link)):
            with pytest.raises(urllib.error.HTTPError) as e:
                urllib.request.urlopen(wrong)
            assert e.value.code == 403 and b"AccessDenied" in e.value.read()


# --- constraints ----------------------------------------------------------------------------------


@boto
def test_constraints_told_together(server, lam):
    role = server.make_role()
    make = lambda **change: lam.create_function(**{**dict(FunctionName=unique("fn"), Role=role, Runtime="lua", Handler="handler.main", Code={"ZipFile": make_zip(ECHO)}), **change})
    with refused("ValidationException", 400,
                 "2 validation errors detected: Value '0' at 'timeout' failed to satisfy constraint: Member must have value greater than or equal to 1; "
                 "Value '10241' at 'memorySize' failed to satisfy constraint: Member must have value less than or equal to 10240"):
        make(Timeout=0, MemorySize=10241)
    with refused("ValidationException", 400, f"1 validation error detected: Value 'no name!' at 'functionName' failed to satisfy constraint: "
                 f"Member must satisfy regular expression pattern: {NAME}"):
        make(FunctionName="no name!")
    with refused("ValidationException", 400, r"2 validation errors detected: Value 'me' at 'role' failed to satisfy constraint: Member must satisfy regular "
                 r"expression pattern: arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+; Value '" + "x" * 160 + "' at 'description' failed to "
                 "satisfy constraint: Member must have length less than or equal to 256"):
        make(Role="me", Description="x" * 257)
    with refused("ValidationException", 400, "1 validation error detected: Value '[mips]' at 'architectures' failed to satisfy constraint: Member must satisfy "
                 "constraint: [Member must satisfy enum value set: [x86_64, arm64], Member must not be null]"):
        make(Architectures=["mips"])
    with refused("ValidationException", 400, "1 validation error detected: Value '[x86_64, arm64]' at 'architectures' failed to satisfy constraint: "
                 "Member must have length less than or equal to 1"):
        make(Architectures=["x86_64", "arm64"])
    with refused("ValidationException", 400, "1 validation error detected: Value '{1X=y}' at 'environment.variables' failed to satisfy constraint: Map keys must "
                 "satisfy constraint: [Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+, Member must not be null]"):
        make(Environment={"Variables": {"1X": "y"}})
    many = [("TracingConfig", {"Mode": "On"}), ("DeadLetterConfig", {"TargetArn": "x"}), ("SnapStart", {"ApplyOn": "Always"}),
            ("EphemeralStorage", {"Size": 1}), ("PackageType", "Rpm"), ("Tags", {"k" * 129: "v"})]
    with refused("ValidationException", 400) as e:
        make(**dict(many))
    assert e.value.response["Error"]["Message"].startswith("6 validation errors detected: ")
    with refused("ValidationException", 400, "2 validation errors detected: Value null at 'role' failed to satisfy constraint: Member must not be null; "
                 "Value null at 'code' failed to satisfy constraint: Member must not be null"):
        lam.create_function(FunctionName="f", Runtime="lua", Handler="handler.main")


@boto
def test_constraints_of_other_members(server, lam, echo):
    cases = [
        ("invocationType", lambda: lam.invoke(FunctionName=echo, InvocationType="Soon"), "[Event, RequestResponse, DryRun]"),
        ("logType", lambda: lam.invoke(FunctionName=echo, LogType="Head"), "[None, Tail]"),
        ("qualifier", lambda: lam.invoke(FunctionName=echo, Qualifier="a.b"), "(|[a-zA-Z0-9$_-]+)"),
        ("qualifier", lambda: lam.get_function(FunctionName=echo, Qualifier="q" * 129), "less than or equal to 128"),
        ("maxItems", lambda: lam.list_functions(MaxItems=0), "greater than or equal to 1"),
        ("maxItems", lambda: lam.list_aliases(FunctionName=echo, MaxItems=10001), "less than or equal to 10000"),
        ("maxItems", lambda: lam.list_function_url_configs(FunctionName=echo, MaxItems="51"), "less than or equal to 50"),
        ("functionVersion", lambda: lam.list_functions(FunctionVersion="SOME"), "[ALL]"),
        ("functionVersion", lambda: lam.create_alias(FunctionName=echo, Name="a", FunctionVersion="live"), r"(\$LATEST|[0-9]+)"),
        ("name", lambda: lam.create_alias(FunctionName=echo, Name="12", FunctionVersion="1"), "(?!^[0-9]+$)([a-zA-Z0-9-_]+)"),
        ("name", lambda: lam.get_alias(FunctionName=echo, Name="a.b"), "(?!^[0-9]+$)([a-zA-Z0-9-_]+)"),
        ("routingConfig.additionalVersionWeights", lambda: lam.create_alias(FunctionName=echo, Name="a", FunctionVersion="1", RoutingConfig={
            "AdditionalVersionWeights": {"2": 1.5}}), "Value '{2=1.5}' at"),
        ("routingConfig.additionalVersionWeights", lambda: lam.create_alias(FunctionName=echo, Name="a", FunctionVersion="1", RoutingConfig={
            "AdditionalVersionWeights": {"$LATEST": 0.5}}), "Map keys must satisfy constraint: ["),
        ("statementId", lambda: lam.add_permission(FunctionName=echo, StatementId="a b", Action="lambda:InvokeFunction", Principal="*"), "([a-zA-Z0-9-_]+)"),
        ("action", lambda: lam.add_permission(FunctionName=echo, StatementId="a", Action="s3:Get", Principal="*"), "(lambda:[*]|lambda:[a-zA-Z]+|[*])"),
        ("functionUrlAuthType", lambda: lam.add_permission(FunctionName=echo, StatementId="a", Action="*", Principal="*", FunctionUrlAuthType="ALL"), "[NONE, AWS_IAM]"),
        ("authType", lambda: lam.create_function_url_config(FunctionName=echo), "Member must not be null"),
        ("cors.maxAge", lambda: lam.create_function_url_config(FunctionName=echo, AuthType="NONE", Cors={"MaxAge": 86401}), "86400"),
        ("cors.allowMethods", lambda: lam.create_function_url_config(FunctionName=echo, AuthType="NONE", Cors={"AllowMethods": ["OPTIONS"]}), "less than or equal to 6"),
        ("qualifier", lambda: lam.create_function_url_config(FunctionName=echo, AuthType="NONE", Qualifier="1"), r"((?!^\d+$)^[0-9a-zA-Z-_]+$)"),
        ("maximumRetryAttempts", lambda: lam.put_function_event_invoke_config(FunctionName=echo, MaximumRetryAttempts=3), "less than or equal to 2"),
        ("maximumEventAgeInSeconds", lambda: lam.put_function_event_invoke_config(FunctionName=echo, MaximumEventAgeInSeconds=59), "greater than or equal to 60"),
        ("provisionedConcurrentExecutions", lambda: lam.put_provisioned_concurrency_config(FunctionName=echo, Qualifier="1", ProvisionedConcurrentExecutions=0),
         "greater than or equal to 1"),
        ("description", lambda: lam.publish_version(FunctionName=echo, Description="d" * 257), "less than or equal to 256"),
    ]
    for member, call, text in cases:
        with pytest.raises(ClientError) as e:
            call()
        got = e.value.response["Error"]
        assert got["Code"] == "ValidationException" and f"at '{member}' failed to satisfy constraint" in got["Message"] and text in got["Message"], got
    assert lam.list_aliases(FunctionName=echo)["Aliases"] == []
    for broken in (b'{"Timeout":"7"}', b'{"Timeout":7.5}', b'{"Environment":[]}', b'{"Layers":7', b'{"Description":{}}'):
        status, headers, body = server.signed("PUT", f"/2015-03-31/functions/{echo}/configuration", broken, service="lambda")
        assert status == 400 and headers["x-amzn-errortype"] == "InvalidRequestContentException", (broken, body)


# --- the aws command ------------------------------------------------------------------------------


@pytest.mark.parametrize("aws", AWS)
def test_configuration_by_the_aws_command(server, lam, aws):
    name = server.make_function(ECHO)
    run = lambda *args: json.loads(server.aws(aws, "lambda", *args, "--function-name", name, "--output", "json").stdout or "null")
    got = run("put-function-event-invoke-config", "--maximum-retry-attempts", "0", "--maximum-event-age-in-seconds", "60")
    assert got["MaximumRetryAttempts"] == 0 and got["LastModified"] and got["FunctionArn"] == arn(name) + ":$LATEST"
    assert lam.get_function_event_invoke_config(FunctionName=name)["MaximumEventAgeInSeconds"] == 60
