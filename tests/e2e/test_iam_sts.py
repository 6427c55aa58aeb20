"""Roles, their inline policies, and who one is."""
import json
import re
import time

import pytest
from botocore.exceptions import ClientError

from conftest import aws_programs
from perilune import ACCOUNT, TRUST, unique

AWS = [pytest.param(path, marks=getattr(pytest.mark, mark), id=mark) for mark, path in sorted(aws_programs().items())]
boto = pytest.mark.boto3


def refused(code, status, call, **arguments):
    with pytest.raises(ClientError) as e:
        call(**arguments)
    got = e.value.response
    assert (got["Error"]["Code"], got["ResponseMetadata"]["HTTPStatusCode"]) == (code, status), got
    return got["Error"]["Message"]


@pytest.fixture(scope="module")
def iam(server):
    return server.client("iam")


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


READ = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}


@boto
def test_role_life(iam):
    name = unique("role")
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST, Description="for a test")["Role"]
    got = iam.get_role(RoleName=name)["Role"]
    for role in (made, got):
        assert role["RoleName"] == name and role["Arn"] == f"arn:aws:iam::{ACCOUNT}:role/{name}" and role["Path"] == "/"
        assert re.fullmatch(r"AROA[A-Z0-9]{12,}", role["RoleId"]) and abs(role["CreateDate"].timestamp() - time.time()) < 60
        assert role["AssumeRolePolicyDocument"] == json.loads(TRUST)
    assert got["Description"] == "for a test" and got["RoleId"] == made["RoleId"]
    refused("EntityAlreadyExists", 409, iam.create_role, RoleName=name, AssumeRolePolicyDocument=TRUST)
    iam.delete_role(RoleName=name)
    assert name in refused("NoSuchEntity", 404, iam.get_role, RoleName=name)
    refused("NoSuchEntity", 404, iam.delete_role, RoleName=name)


@boto
def test_inline_policies(iam):
    name = unique("role")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
    refused("NoSuchEntity", 404, iam.get_role_policy, RoleName=name, PolicyName="p")
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy(READ))
    got = iam.get_role_policy(RoleName=name, PolicyName="p")
    assert (got["RoleName"], got["PolicyName"], got["PolicyDocument"]) == (name, "p", json.loads(policy(READ)))
    deny = policy(dict(READ, Effect="Deny"))
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=deny)
    assert iam.get_role_policy(RoleName=name, PolicyName="p")["PolicyDocument"] == json.loads(deny)
    refused("DeleteConflict", 409, iam.delete_role, RoleName=name)
    iam.delete_role_policy(RoleName=name, PolicyName="p")
    refused("NoSuchEntity", 404, iam.delete_role_policy, RoleName=name, PolicyName="p")
    refused("NoSuchEntity", 404, iam.put_role_policy, RoleName="never", PolicyName="p", PolicyDocument=policy(READ))
    iam.delete_role(RoleName=name)


BAD = ["nonsense", "{}", "[]", '{"Version":"2012-10-17"}', policy({"Effect": "Maybe", "Action": "*", "Resource": "*"}),
       policy({"Effect": "Allow", "Resource": "*"}), policy({"Effect": "Allow", "Action": "s3:*"}), policy(dict(READ, Principal="*"))]


@boto
@pytest.mark.parametrize("document", BAD, ids=range(len(BAD)))
def test_malformed_policy(iam, document):
    name = unique("role")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
    refused("MalformedPolicyDocument", 400, iam.put_role_policy, RoleName=name, PolicyName="p", PolicyDocument=document)
    refused("NoSuchEntity", 404, iam.get_role_policy, RoleName=name, PolicyName="p")


@boto
def test_malformed_trust(iam):
    refused("MalformedPolicyDocument", 400, iam.create_role, RoleName=unique("r"), AssumeRolePolicyDocument="{}")


@boto
def test_role_limits_the_function(server, iam):
    """Granted, then changed, then gone: the function notices each."""
    s3 = server.client("s3")
    bucket, name = unique("b"), unique("role")
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="k", Body=b"body")
    role = server.make_role(dict(READ, Resource=f"arn:aws:s3:::{bucket}/*"), name=name)
    fn = server.make_function("return { main = function(e) local o, err = s3.get(e.b, 'k') return o and o.body or { code = err.code } end }", role=role)
    ask = lambda: server.invoke(fn, {"b": bucket})[0]
    assert ask() == "body"
    iam.put_role_policy(RoleName=name, PolicyName="more", PolicyDocument=policy({"Effect": "Deny", "Action": "s3:Get*", "Resource": "*"}))
    assert ask() == {"code": "AccessDenied"}
    iam.delete_role_policy(RoleName=name, PolicyName="more")
    assert ask() == "body"
    iam.delete_role_policy(RoleName=name, PolicyName="inline")
    assert ask() == {"code": "AccessDenied"}
    # a condition that this server does not know never allows
    odd = dict(READ, Resource="*", Condition={"NoSuchOperator": {"aws:x": "y"}})
    iam.put_role_policy(RoleName=name, PolicyName="odd", PolicyDocument=policy(odd))
    assert ask() == {"code": "AccessDenied"}


@boto
def test_caller_identity(server):
    sts = server.client("sts")
    who = sts.get_caller_identity()
    assert who["Account"] == ACCOUNT and who["Arn"] == f"arn:aws:iam::{ACCOUNT}:root" and who["UserId"]
    assert sts.get_access_key_info(AccessKeyId="AKIAIOSFODNN7EXAMPLE")["Account"] == ACCOUNT


@pytest.mark.http
def test_query_protocol(server):
    form = lambda text, service="sts", **h: server.signed("POST", "/", text, service=service,
                                                          headers={"Content-Type": "application/x-www-form-urlencoded; charset=utf-8", **h})
    status, headers, body = form(b"Action=GetCallerIdentity&Version=2011-06-15")
    assert status == 200 and "xml" in headers["content-type"] and b"<GetCallerIdentityResult>" in body
    assert headers["x-amzn-requestid"].encode() in body
    for service, text in [("iam", b"Action=NoSuchThing&Version=2010-05-08"), ("iam", b"Version=2010-05-08"), ("sts", b""), ("iam", b"Action=%zz")]:
        status, headers, body = form(text, service)
        assert 400 <= status < 500 and b"<Error>" in body and b"<Code>" in body, body
    status, _, body = form(b"Action=CreateRole&RoleName=" + b"r" * 65 + b"&AssumeRolePolicyDocument=x", "iam")
    assert status == 400, body


@pytest.mark.parametrize("aws", AWS)
def test_aws_iam(server, aws):
    name = unique("awsrole")
    run = lambda *a, **k: server.aws(aws, "iam", *a, **k)
    made = json.loads(run("create-role", "--role-name", name, "--assume-role-policy-document", TRUST, "--output", "json").stdout)
    assert made["Role"]["Arn"].endswith(f":role/{name}") and made["Role"]["AssumeRolePolicyDocument"] == json.loads(TRUST)
    run("put-role-policy", "--role-name", name, "--policy-name", "p", "--policy-document", policy(READ))
    got = json.loads(run("get-role-policy", "--role-name", name, "--policy-name", "p", "--output", "json").stdout)
    assert got["PolicyDocument"] == json.loads(policy(READ))
    run("delete-role-policy", "--role-name", name, "--policy-name", "p")
    run("delete-role", "--role-name", name)
    r = run("get-role", "--role-name", name, check=False)
    assert r.returncode != 0 and "NoSuchEntity" in r.stderr
    who = json.loads(server.aws(aws, "sts", "get-caller-identity", "--output", "json").stdout)
    assert who["Account"] == ACCOUNT
