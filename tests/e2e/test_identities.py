"""Users, access keys, sessions: who may sign, what they may do, and how each is refused."""
import base64
import datetime
import json
import os
import subprocess
import urllib.request

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from conftest import aws_programs
from perilune import ACCOUNT, REGION, TRUST, make_zip, unique

AWS = [pytest.param(path, id=mark, marks=getattr(pytest.mark, mark)) for mark, path in sorted(aws_programs().items())]
boto = pytest.mark.boto3


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action, resource="*", **more):
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def trust(principal, **more):
    return policy({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **more})


def refused(code, status, call, **args):
    with pytest.raises(ClientError) as e:
        call(**args)
    assert e.value.response["Error"]["Code"] == code, e.value
    assert e.value.response["ResponseMetadata"]["HTTPStatusCode"] == status, e.value
    return e.value.response["Error"]["Message"]


@pytest.fixture(scope="module")
def iam(server):
    return server.client("iam")


class Person:
    """A user with one key."""

    def __init__(self, server, *statements):
        self.server, self.iam, self.name = server, server.client("iam"), unique("user")
        self.arn = self.iam.create_user(UserName=self.name)["User"]["Arn"]
        if statements:
            self.may(*statements)
        self.key = self.iam.create_access_key(UserName=self.name)["AccessKey"]

    def may(self, *statements):
        self.iam.put_user_policy(UserName=self.name, PolicyName="inline", PolicyDocument=policy(*statements))

    def client(self, service, **more):
        return client(self.server, service, self.key, **more)


def client(server, service, key, **config):
    return boto3.client(service, endpoint_url=server.url, region_name=REGION, aws_access_key_id=key["AccessKeyId"],
                        aws_secret_access_key=key["SecretAccessKey"], aws_session_token=key.get("SessionToken"),
                        config=Config(retries={"max_attempts": 0}, parameter_validation=False, **config))


@pytest.fixture(scope="module")
def bucket(server):
    name = unique("ids")
    s3 = server.client("s3")
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="home/a/k", Body=b"body")
    return name


# --- users ----------------------------------------------------------------------------------------

@boto
def test_users(iam):
    name = unique("u")
    made = iam.create_user(UserName=name, Path="/team/", Tags=[{"Key": "k", "Value": "v"}])["User"]
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/team/{name}" and made["UserId"].startswith("AIDA") and len(made["UserId"]) == 21
    got = iam.get_user(UserName=name)["User"]
    assert got["Tags"] == [{"Key": "k", "Value": "v"}] and got["Path"] == "/team/"
    assert refused("EntityAlreadyExists", 409, iam.create_user, UserName=name) == f"User with name {name} already exists."
    assert name in [u["UserName"] for u in iam.list_users(PathPrefix="/team/")["Users"]]
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=policy(allow("s3:*")))
    assert iam.list_user_policies(UserName=name)["PolicyNames"] == ["p"]
    assert iam.get_user_policy(UserName=name, PolicyName="p")["PolicyDocument"] == json.loads(policy(allow("s3:*")))
    assert refused("DeleteConflict", 409, iam.delete_user, UserName=name) == "Cannot delete entity, must delete policies first."
    iam.delete_user_policy(UserName=name, PolicyName="p")
    iam.attach_user_policy(UserName=name, PolicyArn="arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
    assert refused("DeleteConflict", 409, iam.delete_user, UserName=name) == "Cannot delete entity, must detach all policies first."
    iam.detach_user_policy(UserName=name, PolicyArn="arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
    key = iam.create_access_key(UserName=name)["AccessKey"]
    assert refused("DeleteConflict", 409, iam.delete_user, UserName=name) == "Cannot delete entity, must delete access keys first."
    other = unique("renamed")
    iam.update_user(UserName=name, NewUserName=other, NewPath="/")
    assert iam.get_user(UserName=other)["User"]["UserId"] == made["UserId"]
    assert iam.list_access_keys(UserName=other)["AccessKeyMetadata"][0]["AccessKeyId"] == key["AccessKeyId"]
    message = refused("NoSuchEntity", 404, iam.get_user, UserName=name)
    assert message == f"The user with name {name} cannot be found."
    iam.tag_user(UserName=other, Tags=[{"Key": "K", "Value": "w"}, {"Key": "x", "Value": ""}])
    assert iam.list_user_tags(UserName=other)["Tags"] == [{"Key": "K", "Value": "w"}, {"Key": "x", "Value": ""}]
    iam.untag_user(UserName=other, TagKeys=["x"])
    assert len(iam.list_user_tags(UserName=other)["Tags"]) == 1
    iam.delete_access_key(UserName=other, AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName=other)
    refused("NoSuchEntity", 404, iam.delete_user, UserName=other)


@boto
def test_pages(iam):
    names = sorted(unique("page") for _ in range(5))
    for name in names:
        iam.create_user(UserName=name, Path="/pages/")
    got = [u["UserName"] for page in iam.get_paginator("list_users").paginate(PathPrefix="/pages/", PaginationConfig={"PageSize": 2})
           for u in page["Users"]]
    assert got == names
    for i in range(4):
        iam.put_user_policy(UserName=names[0], PolicyName=f"p{i}", PolicyDocument=policy(allow("s3:Get*")))
    pages = list(iam.get_paginator("list_user_policies").paginate(UserName=names[0], PaginationConfig={"PageSize": 3}))
    assert [len(p["PolicyNames"]) for p in pages] == [3, 1]
    everything = [p["Arn"] for page in iam.get_paginator("list_policies").paginate(PaginationConfig={"PageSize": 5}) for p in page["Policies"]]
    assert "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole" in everything and len(everything) == len(set(everything))


@boto
def test_what_tools_ask_of_an_account(iam):
    """Nothing that is not there is an error; Terraform asks for all of it before it removes a user or role."""
    name = unique("u")
    iam.create_user(UserName=name)
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
    assert iam.list_groups_for_user(UserName=name)["Groups"] == iam.list_mfa_devices(UserName=name)["MFADevices"] == []
    assert iam.list_ssh_public_keys(UserName=name)["SSHPublicKeys"] == iam.list_signing_certificates(UserName=name)["Certificates"] == []
    assert iam.list_service_specific_credentials(UserName=name)["ServiceSpecificCredentials"] == iam.list_virtual_mfa_devices()["VirtualMFADevices"] == []
    assert iam.list_instance_profiles_for_role(RoleName=name)["InstanceProfiles"] == iam.list_account_aliases()["AccountAliases"] == []
    refused("NoSuchEntity", 404, iam.get_login_profile, UserName=name)
    refused("NoSuchEntity", 404, iam.delete_login_profile, UserName=name)
    refused("NoSuchEntity", 404, iam.list_instance_profiles_for_role, RoleName="no-such-role")
    summary = iam.get_account_summary()["SummaryMap"]
    assert summary["Users"] >= 1 and summary["Roles"] >= 1 and summary["AccessKeysPerUserQuota"] == 2
    iam.update_role(RoleName=name, Description="d", MaxSessionDuration=7200)
    assert iam.update_role_description(RoleName=name, Description="e")["Role"]["Description"] == "e"
    assert iam.get_role(RoleName=name)["Role"]["MaxSessionDuration"] == 7200
    iam.tag_role(RoleName=name, Tags=[{"Key": "a", "Value": "b"}])
    assert iam.get_role(RoleName=name)["Role"]["Tags"] == iam.list_role_tags(RoleName=name)["Tags"] == [{"Key": "a", "Value": "b"}]
    iam.attach_role_policy(RoleName=name, PolicyArn="arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole")
    attached = lambda **more: [p["PolicyName"] for p in iam.list_attached_role_policies(RoleName=name, **more)["AttachedPolicies"]]
    assert attached() == attached(PathPrefix="/service-role/") == ["AWSLambdaBasicExecutionRole"] and attached(PathPrefix="/other/") == []
    refused("DeleteConflict", 409, iam.delete_role, RoleName=name)
    iam.detach_role_policy(RoleName=name, PolicyArn="arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole")
    assert attached() == []
    iam.untag_role(RoleName=name, TagKeys=["a"])
    iam.delete_role(RoleName=name)


@boto
def test_malformed(iam):
    refused("ValidationError", 400, iam.create_user, UserName="a b")
    refused("ValidationError", 400, iam.create_user, UserName="x" * 65)
    refused("ValidationError", 400, iam.create_user, UserName="x", Path="/no-end")
    refused("NoSuchEntity", 404, iam.create_access_key, UserName="nobody-here")
    refused("NoSuchEntity", 404, iam.attach_role_policy, RoleName="nobody-here", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    name = unique("u")
    iam.create_user(UserName=name)
    refused("NoSuchEntity", 404, iam.attach_user_policy, UserName=name, PolicyArn=f"arn:aws:iam::{ACCOUNT}:policy/none-such")
    refused("MalformedPolicyDocument", 400, iam.put_user_policy, UserName=name, PolicyName="p", PolicyDocument='{"Statement":1}')
    refused("LimitExceeded", 409, iam.put_user_policy, UserName=name, PolicyName="p",
            PolicyDocument=policy(allow("s3:Get*", ["arn:aws:s3:::" + "b" * 2000])))
    refused("ValidationError", 400, iam.update_access_key, UserName=name, AccessKeyId="A" * 20, Status="Expired")
    refused("NoSuchEntity", 404, iam.update_access_key, UserName=name, AccessKeyId="A" * 20, Status="Inactive")


# --- access keys ----------------------------------------------------------------------------------

@boto
def test_keys(server, iam, bucket):
    p = Person(server, allow("s3:GetObject", f"arn:aws:s3:::{bucket}/*"))
    assert p.key["AccessKeyId"].startswith("AKIA") and len(p.key["AccessKeyId"]) == 20 and len(p.key["SecretAccessKey"]) == 40
    s3 = p.client("s3")
    used = iam.get_access_key_last_used(AccessKeyId=p.key["AccessKeyId"])
    assert used["UserName"] == p.name and used["AccessKeyLastUsed"]["ServiceName"] == "N/A" and "LastUsedDate" not in used["AccessKeyLastUsed"]
    assert s3.get_object(Bucket=bucket, Key="home/a/k")["Body"].read() == b"body"
    used = iam.get_access_key_last_used(AccessKeyId=p.key["AccessKeyId"])["AccessKeyLastUsed"]
    assert used["ServiceName"] == "s3" and used["Region"] == REGION
    assert abs((datetime.datetime.now(datetime.timezone.utc) - used["LastUsedDate"]).total_seconds()) < 60
    message = refused("AccessDenied", 403, s3.put_object, Bucket=bucket, Key="k", Body=b"")
    assert message == (f"User: {p.arn} is not authorized to perform: s3:PutObject on resource: arn:aws:s3:::{bucket}/k "
                       "because no identity-based policy allows the s3:PutObject action")
    who = p.client("sts").get_caller_identity()
    assert who["Arn"] == p.arn and who["UserId"].startswith("AIDA") and who["Account"] == ACCOUNT
    # two at most
    iam.create_access_key(UserName=p.name)
    assert refused("LimitExceeded", 409, iam.create_access_key, UserName=p.name) == "Cannot exceed quota for AccessKeysPerUser: 2"
    assert [k["Status"] for k in iam.list_access_keys(UserName=p.name)["AccessKeyMetadata"]] == ["Active", "Active"]
    # switched off, on, and gone: at once
    iam.update_access_key(UserName=p.name, AccessKeyId=p.key["AccessKeyId"], Status="Inactive")
    refused("InvalidAccessKeyId", 403, s3.get_object, Bucket=bucket, Key="home/a/k")
    refused("UnrecognizedClientException", 403, p.client("lambda").list_functions)
    refused("InvalidClientTokenId", 403, p.client("sts").get_caller_identity)
    refused("UnrecognizedClientException", 400, p.client("logs").describe_log_groups)
    iam.update_access_key(UserName=p.name, AccessKeyId=p.key["AccessKeyId"], Status="Active")
    s3.get_object(Bucket=bucket, Key="home/a/k")
    iam.delete_access_key(UserName=p.name, AccessKeyId=p.key["AccessKeyId"])
    refused("InvalidAccessKeyId", 403, s3.get_object, Bucket=bucket, Key="home/a/k")
    refused("NoSuchEntity", 404, iam.delete_access_key, UserName=p.name, AccessKeyId=p.key["AccessKeyId"])
    refused("NoSuchEntity", 404, iam.get_access_key_last_used, AccessKeyId=p.key["AccessKeyId"])


@boto
def test_a_user_keeps_its_own_keys(server):
    """The calls that name nobody mean the caller."""
    p = Person(server)
    iam = p.client("iam")
    refused("AccessDenied", 403, iam.get_user)
    p.may(allow(["iam:GetUser", "iam:*AccessKey*"], f"arn:aws:iam::{ACCOUNT}:user/${{aws:username}}"))
    assert iam.get_user()["User"]["UserName"] == p.name
    second = iam.create_access_key()["AccessKey"]
    assert {k["AccessKeyId"] for k in iam.list_access_keys()["AccessKeyMetadata"]} == {p.key["AccessKeyId"], second["AccessKeyId"]}
    iam.delete_access_key(AccessKeyId=second["AccessKeyId"])
    other = Person(server)
    refused("AccessDenied", 403, iam.create_access_key, UserName=other.name)
    refused("AccessDenied", 403, iam.delete_access_key, UserName=other.name, AccessKeyId=other.key["AccessKeyId"])
    # somebody else's key under one's own name is not there
    refused("NoSuchEntity", 404, iam.delete_access_key, AccessKeyId=other.key["AccessKeyId"])
    assert server.client("iam").get_user()["User"]["Arn"].endswith(":root")


@boto
def test_wrong_secret_and_unknown_key(server):
    p = Person(server, allow("*"))
    for key, code in [(dict(p.key, SecretAccessKey="x" * 40), "SignatureDoesNotMatch"),
                      ({"AccessKeyId": "AKIA" + "X" * 16, "SecretAccessKey": "x" * 40}, "InvalidAccessKeyId")]:
        refused(code, 403, client(server, "s3", key).list_buckets)


# --- what policies say -----------------------------------------------------------------------------

@boto
def test_variables_and_conditions(server, bucket):
    p = Person(server)
    s3 = p.client("s3")
    home = f"arn:aws:s3:::{bucket}/home/${{aws:username}}/*"
    p.may(allow("s3:*Object", home),
          allow("s3:ListBucket", f"arn:aws:s3:::{bucket}", Condition={"StringLike": {"s3:prefix": ["home/${aws:username}/*"]}}))
    s3.put_object(Bucket=bucket, Key=f"home/{p.name}/k", Body=b"x")
    refused("AccessDenied", 403, s3.put_object, Bucket=bucket, Key="home/a/k", Body=b"x")
    assert s3.list_objects_v2(Bucket=bucket, Prefix=f"home/{p.name}/")["KeyCount"] == 1
    refused("AccessDenied", 403, s3.list_objects_v2, Bucket=bucket, Prefix="home/")
    refused("AccessDenied", 403, s3.list_objects_v2, Bucket=bucket)
    for condition, met in [({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, True), ({"NotIpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, False),
                           ({"DateLessThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, False),
                           ({"NumericGreaterThan": {"aws:EpochTime": "1"}}, True), ({"Bool": {"aws:SecureTransport": "true"}}, False),
                           ({"StringLike": {"aws:UserAgent": "*Boto3*"}}, True), ({"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::*:user/{p.name}"}}, True),
                           ({"StringEquals": {"aws:PrincipalType": "User"}}, True), ({"Null": {"aws:TokenIssueTime": "false"}}, False),
                           ({"StringNotEqualsIgnoreCase": {"aws:username": p.name.upper()}}, False)]:
        p.may(allow("s3:ListAllMyBuckets", Condition=condition))
        if met:
            s3.list_buckets()
        else:
            refused("AccessDenied", 403, s3.list_buckets)


@boto
def test_resources_of_lists(server):
    """As the policies in AWS's documents name them."""
    p = Person(server)
    for action, where, call in [("s3:ListAllMyBuckets", "arn:aws:s3:::*", lambda: p.client("s3").list_buckets()),
                                ("logs:DescribeLogGroups", "arn:aws:logs:*:*:*", lambda: p.client("logs").describe_log_groups()),
                                ("logs:DescribeLogGroups", f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:*", lambda: p.client("logs").describe_log_groups()),
                                ("iam:ListUsers", f"arn:aws:iam::{ACCOUNT}:user/*", lambda: p.client("iam").list_users()),
                                ("lambda:ListFunctions", "*", lambda: p.client("lambda").list_functions())]:
        p.may(allow(action, where))
        call()
    p.may(allow("s3:ListAllMyBuckets", "arn:aws:s3:::mine"))
    refused("AccessDenied", 403, p.client("s3").list_buckets)


@pytest.mark.http
def test_a_key_is_asked_about_whole(server, bucket):
    """Also behind a NUL."""
    p = Person(server, allow("s3:GetObject", f"arn:aws:s3:::{bucket}/public"), allow("s3:PutObject", f"arn:aws:s3:::{bucket}/mine/*"))
    ask = lambda method, path, key=None, **headers: server.signed(method, f"/{bucket}/{path}", b"", headers=headers, **(
        {"access_key": key["AccessKeyId"], "secret_key": key["SecretAccessKey"]} if key else {}))
    assert ask("PUT", "public")[0] == ask("PUT", "public%00secret")[0] == 200
    assert ask("GET", "public", p.key)[0] == 200
    assert ask("GET", "public%00secret", p.key)[0] == 403
    assert ask("PUT", "mine/copy", p.key, **{"x-amz-copy-source": f"/{bucket}/public"})[0] == 200
    assert ask("PUT", "mine/copy", p.key, **{"x-amz-copy-source": f"/{bucket}/public%00secret"})[0] == 403


@boto
def test_secure_transport(own_server):
    server = own_server("--behind-tls-proxy")
    p = Person(server, allow("*", Condition={"Bool": {"aws:SecureTransport": "true"}}))
    p.client("s3").list_buckets()


@boto
def test_tags_of_objects_and_callers(server, iam, bucket):
    p = Person(server)
    s3 = p.client("s3")
    server.client("s3").put_object(Bucket=bucket, Key="tagged", Body=b"t", Tagging="Kind=open")
    p.may(allow(["s3:GetObject", "s3:PutObject"], f"arn:aws:s3:::{bucket}/*", Condition={"StringEquals": {"s3:ExistingObjectTag/Kind": "open"}}))
    s3.get_object(Bucket=bucket, Key="tagged")
    refused("AccessDenied", 403, s3.get_object, Bucket=bucket, Key="home/a/k")
    server.client("s3").put_object_tagging(Bucket=bucket, Key="tagged", Tagging={"TagSet": [{"Key": "Kind", "Value": "shut"}]})
    refused("AccessDenied", 403, s3.get_object, Bucket=bucket, Key="tagged")
    p.may(allow("s3:PutObject*", f"arn:aws:s3:::{bucket}/*", Condition={"StringEquals": {"s3:RequestObjectTag/k": "v"}}))
    s3.put_object(Bucket=bucket, Key="new", Body=b"", Tagging="k=v")
    refused("AccessDenied", 403, s3.put_object, Bucket=bucket, Key="new", Body=b"", Tagging="k=w")
    refused("AccessDenied", 403, s3.put_object, Bucket=bucket, Key="new", Body=b"")
    p.may(allow("s3:ListAllMyBuckets", Condition={"StringEquals": {"aws:PrincipalTag/team": "moon"}}))
    refused("AccessDenied", 403, s3.list_buckets)
    iam.tag_user(UserName=p.name, Tags=[{"Key": "team", "Value": "moon"}])
    s3.list_buckets()


@boto
def test_managed_policies(server, iam, bucket):
    p = Person(server)
    s3 = p.client("s3")
    get = dict(Bucket=bucket, Key="home/a/k")
    iam.attach_user_policy(UserName=p.name, PolicyArn="arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
    s3.get_object(**get)
    refused("AccessDenied", 403, s3.put_object, Body=b"", **get)
    assert iam.list_attached_user_policies(UserName=p.name)["AttachedPolicies"] == [
        {"PolicyName": "AmazonS3ReadOnlyAccess", "PolicyArn": "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"}]
    name = unique("pol")
    made = iam.create_policy(PolicyName=name, Path="/p/", Description="d", PolicyDocument=policy({"Effect": "Deny", "Action": "s3:GetObject", "Resource": "*"}))["Policy"]
    arn = made["Arn"]
    assert arn == f"arn:aws:iam::{ACCOUNT}:policy/p/{name}" and made["DefaultVersionId"] == "v1" and made["PolicyId"].startswith("ANPA")
    refused("EntityAlreadyExists", 409, iam.create_policy, PolicyName=name, PolicyDocument=policy(allow("*")))
    iam.attach_user_policy(UserName=p.name, PolicyArn=arn)
    iam.attach_user_policy(UserName=p.name, PolicyArn=arn)  # twice is once
    assert "explicit deny in an identity-based policy" in refused("AccessDenied", 403, s3.get_object, **get)
    assert iam.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 1
    assert iam.list_entities_for_policy(PolicyArn=arn)["PolicyUsers"][0]["UserName"] == p.name
    # versions: what is in force counts at once
    second = iam.create_policy_version(PolicyArn=arn, PolicyDocument=policy(allow("s3:PutObject")))["PolicyVersion"]
    assert second["VersionId"] == "v2" and not second["IsDefaultVersion"]
    refused("AccessDenied", 403, s3.get_object, **get)
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v2")
    s3.get_object(**get)
    s3.put_object(Body=b"body", **get)
    assert [v["VersionId"] for v in iam.list_policy_versions(PolicyArn=arn)["Versions"]] == ["v2", "v1"]
    assert iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]["Document"]["Statement"][0]["Effect"] == "Deny"
    assert refused("DeleteConflict", 409, iam.delete_policy_version, PolicyArn=arn, VersionId="v2") == "Cannot delete the default version of a policy."
    for _ in range(3):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=policy(allow("s3:PutObject")))
    refused("LimitExceeded", 409, iam.create_policy_version, PolicyArn=arn, PolicyDocument=policy(allow("s3:PutObject")))
    refused("DeleteConflict", 409, iam.delete_policy, PolicyArn=arn)
    iam.detach_user_policy(UserName=p.name, PolicyArn=arn)
    refused("AccessDenied", 403, s3.put_object, Body=b"", **get)
    refused("NoSuchEntity", 404, iam.detach_user_policy, UserName=p.name, PolicyArn=arn)
    refused("DeleteConflict", 409, iam.delete_policy, PolicyArn=arn)  # versions are left
    for v in iam.list_policy_versions(PolicyArn=arn)["Versions"]:
        if not v["IsDefaultVersion"]:
            iam.delete_policy_version(PolicyArn=arn, VersionId=v["VersionId"])
    refused("NoSuchEntity", 404, iam.get_policy_version, PolicyArn=arn, VersionId="v1")
    iam.delete_policy(PolicyArn=arn)
    refused("NoSuchEntity", 404, iam.get_policy, PolicyArn=arn)
    refused("AccessDenied", 403, iam.delete_policy, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")


@boto
def test_a_functions_policy_lets_users_in(server):
    p = Person(server)
    name = server.make_function("return { main = function() return 'ran' end }")
    function = p.client("lambda")
    message = refused("AccessDeniedException", 403, function.invoke, FunctionName=name)
    assert message == (f"User: {p.arn} is not authorized to perform: lambda:InvokeFunction on resource: "
                       f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name} because no identity-based policy allows the lambda:InvokeFunction action")
    server.client("lambda").add_permission(FunctionName=name, StatementId="s", Action="lambda:InvokeFunction", Principal=p.arn)
    assert json.loads(function.invoke(FunctionName=name)["Payload"].read()) == "ran"
    p.may({"Effect": "Deny", "Action": "lambda:*", "Resource": "*"})
    refused("AccessDeniedException", 403, function.invoke, FunctionName=name)
    p.may(allow("s3:*"))
    function.invoke(FunctionName=name)
    server.client("lambda").remove_permission(FunctionName=name, StatementId="s")
    refused("AccessDeniedException", 403, function.invoke, FunctionName=name)
    # the account as principal leaves it to the users' own policies
    server.client("lambda").add_permission(FunctionName=name, StatementId="s", Action="lambda:InvokeFunction", Principal=ACCOUNT)
    refused("AccessDeniedException", 403, function.invoke, FunctionName=name)


@boto
def test_conditions_on_what_the_body_says(server):
    p, name = Person(server), server.make_function("return { main = function() end }")
    p.may(allow("lambda:*"), {"Effect": "Deny", "Action": "lambda:*FunctionUrlConfig", "Resource": "*",
                              "Condition": {"StringNotEquals": {"lambda:FunctionUrlAuthType": "AWS_IAM"}}})
    refused("AccessDeniedException", 403, p.client("lambda").create_function_url_config, FunctionName=name, AuthType="NONE")
    p.may(allow("lambda:AddPermission", Condition={"StringEquals": {"lambda:Principal": "s3.amazonaws.com"}}))
    grant = lambda who, sid: p.client("lambda").add_permission(FunctionName=name, StatementId=sid, Action="lambda:InvokeFunction", Principal=who)
    grant("s3.amazonaws.com", "a")
    with pytest.raises(ClientError, match="AccessDenied"):
        grant("events.amazonaws.com", "b")


@boto
def test_a_buckets_policy_denies_a_functions_role(server, bucket):
    role = server.make_role(allow("s3:GetObject"))
    name = server.make_function("return { main = function(e) local o, err = s3.get(e.b, 'home/a/k') return o and o.body or { code = err.code } end }", role=role)
    s3 = server.client("s3")
    assert server.invoke(name, {"b": bucket})[0] == "body"
    s3.put_bucket_policy(Bucket=bucket, Policy=policy({"Effect": "Deny", "Principal": {"AWS": role}, "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}))
    assert server.invoke(name, {"b": bucket})[0] == {"code": "AccessDenied"}
    s3.delete_bucket_policy(Bucket=bucket)


@boto
def test_pass_role(server, iam):
    p = Person(server, allow(["lambda:*", "perilune:*"]))
    role = server.make_role()
    make = dict(FunctionName=unique("fn"), Runtime="provided.al2", Handler="handler.main", Role=role, Code={"ZipFile": make_zip("return { main = function() end }")})
    function = p.client("lambda")
    assert f"iam:PassRole on resource: {role}" in refused("AccessDeniedException", 403, function.create_function, **make)
    p.may(allow("lambda:*"), allow("iam:PassRole", role, Condition={"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}))
    function.create_function(**make)
    other = server.make_role()
    refused("AccessDeniedException", 403, function.update_function_configuration, FunctionName=make["FunctionName"], Role=other)
    function.update_function_configuration(FunctionName=make["FunctionName"], Role=role, Timeout=5)
    target = {"Arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{make['FunctionName']}", "RoleArn": role}
    schedule = dict(Name=unique("s"), ScheduleExpression="rate(1 day)", FlexibleTimeWindow={"Mode": "OFF"}, Target=target)
    iam.update_assume_role_policy(RoleName=role.split("/")[-1], PolicyDocument=policy({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": ["lambda.amazonaws.com", "scheduler.amazonaws.com"]}}))
    for service, may in (("lambda", False), ("scheduler", True)):
        p.may(allow("scheduler:*"), allow("iam:PassRole", role, Condition={"StringEquals": {"iam:PassedToService": f"{service}.amazonaws.com"}}))
        if may:
            p.client("scheduler").create_schedule(**schedule)
        else:
            assert f"iam:PassRole on resource: {role}" in refused("AccessDeniedException", 403, p.client("scheduler").create_schedule, **schedule)


@boto
def test_a_statement_on_an_alias_is_none_on_its_function(server):
    name = server.make_function("return { main = function() return 1 end }")
    server.client("lambda").publish_version(FunctionName=name)
    server.client("lambda").create_alias(FunctionName=name, Name="dev", FunctionVersion="1")
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
    function = Person(server, allow("lambda:*", f"{arn}:dev")).client("lambda")
    function.invoke(FunctionName=f"{name}:dev")
    refused("AccessDeniedException", 403, function.create_alias, FunctionName=f"{name}:dev", Name="prod", FunctionVersion="1")
    refused("AccessDeniedException", 403, function.delete_alias, FunctionName=f"{name}:dev", Name="dev")
    guarded = Person(server, allow("lambda:*"), {"Effect": "Deny", "Action": "lambda:*", "Resource": arn}).client("lambda")
    refused("AccessDeniedException", 403, guarded.update_function_configuration, FunctionName=f"{name}:$LATEST", Timeout=9)


@boto
def test_targets_of_another_rule(server):
    """An extra member that the operation does not know names nothing."""
    events = server.client("events")
    mine, other = unique("rule"), unique("rule")
    for rule in (mine, other):
        events.put_rule(Name=rule, ScheduleExpression="rate(1 day)")
    key = Person(server, allow("events:*", f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{mine}")).key
    for name, status in ((mine, 200), (other, 400)):
        body = json.dumps({"Name": mine, "Rule": name, "Ids": ["1"]}).encode()
        headers = {"X-Amz-Target": "AWSEvents.RemoveTargets", "Content-Type": "application/x-amz-json-1.1"}
        got = server.signed("POST", "/", body, service="events", headers=headers, access_key=key["AccessKeyId"], secret_key=key["SecretAccessKey"])
        assert got[0] == status and (b"not authorized" in got[2]) == (status == 400), got


@pytest.mark.http
def test_deployments_pass_a_role_too(server):
    """Who may deploy must also be allowed to write the role and to hand it to a function."""
    p, name = Person(server, allow("perilune:*")), unique("dep")
    role = f"arn:aws:iam::{ACCOUNT}:role/{name}-role"
    blueprint, deployment = "/perilune/v1/blueprints/s3-upload", "/perilune/v1/deployments"
    code = make_zip({"function.lua": "return { name = '%s', handler = 'handler.main' }" % name, "handler.lua": "return { main = function() end }"})
    bodies = {blueprint: json.dumps({"name": name}).encode(), deployment: json.dumps({"zip": base64.b64encode(code).decode()}).encode()}
    ask = lambda path: server.signed("POST", path, bodies[path], service="perilune", access_key=p.key["AccessKeyId"], secret_key=p.key["SecretAccessKey"])
    for path in bodies:
        status, _, body = ask(path)
        assert status == 403 and f"iam:PutRolePolicy on resource: {role}".encode() in body, body
    p.may(allow("perilune:*"), allow("iam:PutRolePolicy", role))
    for path in bodies:
        status, _, body = ask(path)
        assert status == 403 and f"iam:PassRole on resource: {role}".encode() in body, body
    p.may(allow("perilune:*"), allow(["iam:PutRolePolicy", "iam:PassRole"], role))
    status, _, body = ask(deployment)
    assert status == 200, body


@boto
def test_simulate(iam, server):
    p = Person(server, allow("s3:Get*", "arn:aws:s3:::b/*"), {"Effect": "Deny", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/secret"},
               allow("s3:ListBucket", Condition={"StringEquals": {"s3:prefix": "x"}}))
    ask = lambda action, resource="*", **more: [r["EvalDecision"] for r in iam.simulate_principal_policy(
        PolicySourceArn=p.arn, ActionNames=[action], ResourceArns=[resource], **more)["EvaluationResults"]]
    assert ask("s3:GetObject", "arn:aws:s3:::b/k") == ["allowed"]
    assert ask("s3:GetObject", "arn:aws:s3:::b/secret") == ["explicitDeny"]
    assert ask("s3:PutObject", "arn:aws:s3:::b/k") == ["implicitDeny"]
    assert ask("s3:ListBucket") == ["implicitDeny"]
    entry = {"ContextKeyName": "s3:prefix", "ContextKeyType": "string", "ContextKeyValues": ["x"]}
    assert ask("s3:ListBucket", ContextEntries=[entry]) == ["allowed"]
    assert ask("iam:GetRole", PolicyInputList=[policy(allow("iam:*"))]) == ["allowed"]
    many = dict(PolicySourceArn=p.arn, ActionNames=[f"s3:Get{i}" for i in range(30)], ResourceArns=[f"arn:aws:s3:::b/{i}" for i in range(40)])
    pages = list(iam.get_paginator("simulate_principal_policy").paginate(**many, PaginationConfig={"PageSize": 500}))
    got = [(r["EvalActionName"], r["EvalResourceName"]) for page in pages for r in page["EvaluationResults"]]
    assert len(got) == len(set(got)) == 1200 and len(pages) > 2
    assert iam.simulate_custom_policy(PolicyInputList=[policy(allow("iam:*"))], ActionNames=["iam:GetRole"])["EvaluationResults"][0]["EvalDecision"] == "allowed"
    refused("NoSuchEntity", 404, iam.simulate_principal_policy, PolicySourceArn=f"arn:aws:iam::{ACCOUNT}:user/nobody", ActionNames=["s3:GetObject"])


# --- sessions -------------------------------------------------------------------------------------

def assume(sts, role, session="a-session", **more):
    return sts.assume_role(RoleArn=role, RoleSessionName=session, **more)


@boto
def test_assume_role(server, iam, bucket):
    p, name = Person(server), unique("role")
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust({"AWS": p.arn}), MaxSessionDuration=7200)["Role"]
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy(allow("s3:*", f"arn:aws:s3:::{bucket}*")))
    sts = p.client("sts")
    made = assume(sts, role["Arn"], DurationSeconds=900)  # named: no policy of its own is needed
    assert made["AssumedRoleUser"] == {"Arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/a-session", "AssumedRoleId": role["RoleId"] + ":a-session"}
    key = made["Credentials"]
    left = (key["Expiration"] - datetime.datetime.now(datetime.timezone.utc)).total_seconds()
    assert key["AccessKeyId"].startswith("ASIA") and 850 < left <= 900
    who = client(server, "sts", key).get_caller_identity()
    assert who["Arn"] == made["AssumedRoleUser"]["Arn"] and who["UserId"] == role["RoleId"] + ":a-session"
    s3 = client(server, "s3", key)
    assert s3.get_object(Bucket=bucket, Key="home/a/k")["Body"].read() == b"body"
    refused("AccessDenied", 403, s3.list_buckets)
    message = refused("AccessDeniedException", 403, client(server, "lambda", key).list_functions)
    assert message.startswith(f"User: arn:aws:sts::{ACCOUNT}:assumed-role/{name}/a-session is not authorized to perform: lambda:ListFunctions")
    # a presigned link of the session
    url = client(server, "s3", key, signature_version="s3v4").generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "home/a/k"})
    assert urllib.request.urlopen(url).read() == b"body"
    # a session policy takes away, and gives nothing
    less = assume(sts, role["Arn"], Policy=policy(allow(["s3:ListBucket", "s3:ListAllMyBuckets"])))["Credentials"]
    small = client(server, "s3", less)
    small.list_objects_v2(Bucket=bucket)
    assert "no session policy allows" in refused("AccessDenied", 403, small.get_object, Bucket=bucket, Key="home/a/k")
    refused("AccessDenied", 403, small.list_buckets)
    managed = assume(sts, role["Arn"], PolicyArns=[{"arn": "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"}])["Credentials"]
    client(server, "s3", managed).get_object(Bucket=bucket, Key="home/a/k")
    refused("AccessDenied", 403, client(server, "s3", managed).put_object, Bucket=bucket, Key="home/a/k", Body=b"")
    # the role's policy changes under the session
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy(allow("s3:ListAllMyBuckets")))
    s3.list_buckets()
    refused("AccessDenied", 403, s3.get_object, Bucket=bucket, Key="home/a/k")
    # sessions of a role that is another one by now
    iam.delete_role_policy(RoleName=name, PolicyName="p")
    iam.delete_role(RoleName=name)
    refused("AccessDenied", 403, s3.list_buckets)
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust({"AWS": p.arn}))
    iam.attach_role_policy(RoleName=name, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    refused("AccessDenied", 403, s3.list_buckets)


@boto
def test_trust(server, iam):
    """Who may assume: named, or of the account and allowed to; the policy alone is not enough."""
    p, name = Person(server), unique("role")
    sts = p.client("sts")
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    message = refused("AccessDenied", 403, sts.assume_role, RoleArn=role, RoleSessionName="ss")
    assert message.startswith(f"User: {p.arn} is not authorized to perform: sts:AssumeRole on resource: {role}")
    p.may(allow("sts:AssumeRole"))
    refused("AccessDenied", 403, sts.assume_role, RoleArn=role, RoleSessionName="ss")
    refused("AccessDenied", 403, server.client("sts").assume_role, RoleArn=role, RoleSessionName="ss")  # root neither
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=trust({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}))
    assume(sts, role)
    assume(server.client("sts"), role)
    p.may(allow("s3:*"))
    refused("AccessDenied", 403, sts.assume_role, RoleArn=role, RoleSessionName="ss")
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=trust({"AWS": p.arn}, Condition={"StringEquals": {"sts:ExternalId": "ext"}}))
    refused("AccessDenied", 403, sts.assume_role, RoleArn=role, RoleSessionName="ss")
    key = assume(sts, role, ExternalId="ext")["Credentials"]
    refused("AccessDenied", 403, sts.assume_role, RoleArn=f"arn:aws:iam::{ACCOUNT}:role/nobody", RoleSessionName="ss", ExternalId="ext")
    # a role that assumes another: an hour at most
    other = iam.create_role(RoleName=unique("role"), AssumeRolePolicyDocument=trust({"AWS": role}), MaxSessionDuration=43200)["Role"]["Arn"]
    chained = client(server, "sts", key)
    assume(chained, other)
    refused("ValidationError", 400, chained.assume_role, RoleArn=other, RoleSessionName="ss", DurationSeconds=3601)
    # forms
    e = dict(RoleArn=role, RoleSessionName="ss", ExternalId="ext")
    refused("ValidationError", 400, sts.assume_role, **dict(e, DurationSeconds=899))
    refused("ValidationError", 400, sts.assume_role, **dict(e, DurationSeconds=3601))
    refused("ValidationError", 400, sts.assume_role, **dict(e, RoleSessionName="a b"))
    refused("MalformedPolicyDocument", 400, sts.assume_role, **dict(e, Policy="{}"))


@boto
def test_bad_tokens(server, iam):
    p = Person(server, allow("*"))
    role = iam.create_role(RoleName=unique("role"), AssumeRolePolicyDocument=trust({"AWS": p.arn}))["Role"]["Arn"]
    key = assume(p.client("sts"), role)["Credentials"]
    other = assume(p.client("sts"), role)["Credentials"]
    token = key["SessionToken"]
    wrong = [dict(key, SessionToken=token[:-8] + ("AAAAAAA=" if not token.endswith("AAAAAAA=") else "BBBBBBB=")),
             dict(key, SessionToken=other["SessionToken"]), dict(key, SessionToken="x"), dict(key, SessionToken="A" * 9000),
             dict(p.key, SessionToken=token)]
    for k in wrong:
        refused("InvalidToken", 400, client(server, "s3", k).list_buckets)
        refused("InvalidClientTokenId", 403, client(server, "sts", k).get_caller_identity)
        refused("UnrecognizedClientException", 403, client(server, "lambda", k).list_functions)
        refused("UnrecognizedClientException", 400, client(server, "logs", k).describe_log_groups)
    without = {k: key[k] for k in ("AccessKeyId", "SecretAccessKey")}
    refused("InvalidAccessKeyId", 403, client(server, "s3", without).list_buckets)
    refused("SignatureDoesNotMatch", 403, client(server, "s3", dict(key, SecretAccessKey="x" * 40)).list_buckets)


@boto
def test_session_token(server, bucket):
    p = Person(server, allow("s3:GetObject"))
    key = p.client("sts").get_session_token(DurationSeconds=900)["Credentials"]
    assert client(server, "sts", key).get_caller_identity()["Arn"] == p.arn
    client(server, "s3", key).get_object(Bucket=bucket, Key="home/a/k")
    refused("AccessDenied", 403, client(server, "s3", key).list_buckets)


# --- real tools -----------------------------------------------------------------------------------

@pytest.mark.parametrize("aws", AWS)
def test_aws(server, aws, bucket, tmp_path):
    """Configured with a user's key; then with the session of a role."""
    p = Person(server)
    role = server.client("iam").create_role(RoleName=unique("role"), AssumeRolePolicyDocument=trust({"AWS": p.arn}))["Role"]
    server.client("iam").attach_role_policy(RoleName=role["RoleName"], PolicyArn="arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
    (tmp_path / "credentials").write_text(f"[u]\naws_access_key_id={p.key['AccessKeyId']}\naws_secret_access_key={p.key['SecretAccessKey']}\n")
    (tmp_path / "config").write_text(f"[profile u]\nregion={REGION}\n")
    env = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    env.update(AWS_SHARED_CREDENTIALS_FILE=str(tmp_path / "credentials"), AWS_CONFIG_FILE=str(tmp_path / "config"), HOME=str(tmp_path))
    run = lambda *a, **more: subprocess.run([aws, "--endpoint-url", server.url, "--output", "json", *a], env={**env, **more}, capture_output=True, text=True, timeout=60)
    r = run("--profile", "u", "sts", "get-caller-identity")
    assert r.returncode == 0 and json.loads(r.stdout)["Arn"] == p.arn, r.stderr
    r = run("--profile", "u", "sts", "assume-role", "--role-arn", role["Arn"], "--role-session-name", "cli")
    key = json.loads(r.stdout)["Credentials"]
    session = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"], "AWS_SESSION_TOKEN": key["SessionToken"], "AWS_DEFAULT_REGION": REGION}
    r = run("s3", "cp", f"s3://{bucket}/home/a/k", "-", **session)
    assert r.returncode == 0 and r.stdout == "body", r.stderr


# --- what is stored -------------------------------------------------------------------------------

@boto
def test_secrets_are_nowhere_in_the_clear(own_server):
    server = own_server()
    p = Person(server, allow("*"))
    role = server.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument=trust({"AWS": p.arn}))["Role"]["Arn"]
    key = assume(p.client("sts"), role)["Credentials"]
    p.client("s3").list_buckets()
    client(server, "sts", key).get_caller_identity()
    refused("SignatureDoesNotMatch", 403, client(server, "s3", dict(p.key, SecretAccessKey="y" * 40)).list_buckets)
    server.stop()
    secrets = [s.encode() for s in (p.key["SecretAccessKey"], key["SecretAccessKey"], key["SessionToken"])]
    files = [os.path.join(d, f) for d, _, names in os.walk(server.data) for f in names]
    assert any(f.endswith("meta.mdb") for f in files)
    for path in files:
        data = open(path, "rb").read()
        assert not any(s in data for s in secrets), path
    assert not any(s in server.stderr().encode() for s in secrets)
    # and after a restart all of it is as it was: keys, when they were used, sessions
    server.start()
    assert p.client("sts").get_caller_identity()["Arn"] == p.arn
    used = server.client("iam").get_access_key_last_used(AccessKeyId=p.key["AccessKeyId"])["AccessKeyLastUsed"]
    assert "LastUsedDate" in used
    assert client(server, "sts", key).get_caller_identity()["Arn"].endswith("/a-session")
