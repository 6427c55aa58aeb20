"""What is configured on buckets and objects besides their bytes: tags, ACLs, encryption, and the answers tools ask for."""
import json

import pytest
from botocore.exceptions import ClientError

from perilune import unique
from test_s3 import refused

OWNER = "5f0c6d0f3e9a4b7d8c1e2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f"


@pytest.fixture(scope="module")
def s3(server):
    return server.client("s3")


@pytest.fixture
def bucket(s3):
    name = unique("conf")
    s3.create_bucket(Bucket=name)
    return name


def tags(**pairs):
    return [{"Key": k, "Value": v} for k, v in pairs.items()]


# --- tags ---------------------------------------------------------------------------------------------


@pytest.mark.boto3
def test_object_tags(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"body", Tagging="team=a%20b&empty=&caf%C3%A9=%40x")
    want = tags(team="a b", empty="", café="@x")
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == want
    before = s3.head_object(Bucket=bucket, Key="k")
    assert before["ResponseMetadata"]["HTTPHeaders"]["x-amz-tagging-count"] == "3"
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": tags(only="one")})
    got = s3.get_object(Bucket=bucket, Key="k")
    assert (got["Body"].read(), got["TagCount"], got["LastModified"]) == (b"body", 1, before["LastModified"])
    assert s3.get_object_tagging(Bucket=bucket, Key="k", VersionId="null")["TagSet"] == tags(only="one")
    s3.delete_object_tagging(Bucket=bucket, Key="k")
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []
    assert "x-amz-tagging-count" not in s3.head_object(Bucket=bucket, Key="k")["ResponseMetadata"]["HTTPHeaders"]
    s3.put_object(Bucket=bucket, Key="big", Body=b"x" * 100000, Tagging="a=1")
    s3.put_object_tagging(Bucket=bucket, Key="big", Tagging={"TagSet": tags(**{f"k{i}": "v" * 256 for i in range(10)})})
    assert s3.get_object(Bucket=bucket, Key="big")["Body"].read() == b"x" * 100000
    s3.put_object(Bucket=bucket, Key="big", Body=b"new")
    assert s3.get_object_tagging(Bucket=bucket, Key="big")["TagSet"] == []
    for key in ("nothing", "x" * 1000):
        with refused("NoSuchKey", 404):
            s3.get_object_tagging(Bucket=bucket, Key=key)
        with refused("NoSuchKey", 404):
            s3.put_object_tagging(Bucket=bucket, Key=key, Tagging={"TagSet": []})
        with refused("NoSuchKey", 404):
            s3.delete_object_tagging(Bucket=bucket, Key=key)
    with refused("NoSuchBucket", 404):
        s3.get_object_tagging(Bucket=unique("no"), Key="k")


BAD_TAGS = {
    "eleven": tags(**{f"k{i}": "v" for i in range(11)}),
    "twice": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}],
    "long key": [{"Key": "k" * 129, "Value": "1"}],
    "long value": [{"Key": "k", "Value": "v" * 257}],
    "reserved": [{"Key": "aws:mine", "Value": "1"}],
    "characters": [{"Key": "a<b", "Value": "1"}],
}


@pytest.mark.boto3
@pytest.mark.parametrize("name", BAD_TAGS)
def test_object_tags_refused(s3, bucket, name):
    s3.put_object(Bucket=bucket, Key="k", Body=b"", Tagging="kept=1")
    with refused("InvalidTag", 400):
        s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": BAD_TAGS[name]})
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == tags(kept="1")


@pytest.mark.boto3
@pytest.mark.parametrize("header, code", [("a=1&a=2", "InvalidTag"), ("&".join(f"k{i}=v" for i in range(11)), "InvalidTag"),
                                          ("a=%zz", "InvalidArgument"), ("=v", "InvalidTag"), ("a=%00", "InvalidTag")])
def test_tagging_header_refused(s3, bucket, header, code):
    with refused(code, 400):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging=header)
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="k")


@pytest.mark.boto3
def test_bucket_tags(s3, bucket):
    with refused("NoSuchTagSet", 404):
        s3.get_bucket_tagging(Bucket=bucket)
    many = tags(**{f"k{i}": f"v{i}" for i in range(50)})
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": many})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == many
    with refused("InvalidTag", 400):
        s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": many + tags(more="1")})
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags(a="ü")})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == tags(a="ü")
    s3.delete_bucket_tagging(Bucket=bucket)
    s3.delete_bucket_tagging(Bucket=bucket)
    with refused("NoSuchTagSet", 404):
        s3.get_bucket_tagging(Bucket=bucket)


@pytest.mark.http
@pytest.mark.parametrize("body", [b"", b"<Tagging/>", b"<Other><TagSet/></Other>", b"<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>",
                                  b"<Tagging><TagSet><X/></TagSet></Tagging>", b"<Tagging>", b"{}",
                                  b"<!DOCTYPE a [<!ENTITY b 'c'>]><Tagging><TagSet/></Tagging>"])
def test_tagging_malformed(server, s3, bucket, body):
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    for path in (f"/{bucket}?tagging=", f"/{bucket}/k?tagging="):
        status, _, answer = server.signed("PUT", path, body)
        assert status == 400 and b"<Code>MalformedXML</Code>" in answer, answer


# --- versions -----------------------------------------------------------------------------------------


@pytest.mark.boto3
def test_versioning_state(s3, bucket):
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    with refused("NotImplemented", 501):
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Suspended"
    with refused("MalformedXML", 400):
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Else"})


@pytest.mark.boto3
def test_version_ids(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"body")
    assert s3.get_object(Bucket=bucket, Key="k", VersionId="null")["Body"].read() == b"body"
    assert s3.head_object(Bucket=bucket, Key="k", VersionId="null")["ContentLength"] == 4
    unknown = "3sL4kqtJlcpXroDTDmJrmSpXd3dIbrHY"
    with refused("NoSuchVersion", 404):
        s3.get_object(Bucket=bucket, Key="k", VersionId=unknown)
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="k", VersionId=unknown)
    with refused("InvalidArgument", 400):
        s3.get_object(Bucket=bucket, Key="k", VersionId="../etc")
    with refused("NoSuchVersion", 404):
        s3.get_object_tagging(Bucket=bucket, Key="k", VersionId=unknown)
    with refused("InvalidArgument", 400):
        s3.delete_object(Bucket=bucket, Key="k", VersionId="short")
    s3.delete_object(Bucket=bucket, Key="k", VersionId=unknown)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"body"
    s3.delete_object(Bucket=bucket, Key="k", VersionId="null")
    with refused("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key="k")


# --- lists, encryption, ownership ---------------------------------------------------------------------


@pytest.mark.boto3
def test_acl(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"", ACL="bucket-owner-full-control")
    for got in (s3.get_bucket_acl(Bucket=bucket), s3.get_object_acl(Bucket=bucket, Key="k")):
        assert got["Owner"]["ID"] == OWNER
        assert got["Grants"] == [{"Grantee": {"ID": OWNER, "DisplayName": "root", "Type": "CanonicalUser"}, "Permission": "FULL_CONTROL"}]
        s3.put_bucket_acl(Bucket=bucket, AccessControlPolicy={"Owner": got["Owner"], "Grants": got["Grants"]})
        s3.put_object_acl(Bucket=bucket, Key="k", AccessControlPolicy={"Owner": got["Owner"], "Grants": got["Grants"]})
    s3.put_bucket_acl(Bucket=bucket, ACL="private")
    s3.put_object_acl(Bucket=bucket, Key="k", ACL="bucket-owner-full-control")
    s3.put_object_acl(Bucket=bucket, Key="k", GrantFullControl=f'id="{OWNER}"')
    everybody = {"Owner": got["Owner"], "Grants": [{"Grantee": {"Type": "Group", "URI": "http://acs.amazonaws.com/groups/global/AllUsers"}, "Permission": "READ"}]}
    for more in ({"ACL": "public-read"}, {"GrantRead": "uri=http://acs.amazonaws.com/groups/global/AllUsers"}, {"AccessControlPolicy": everybody}):
        with refused("AccessControlListNotSupported", 400):
            s3.put_bucket_acl(Bucket=bucket, **more)
        with refused("AccessControlListNotSupported", 400):
            s3.put_object_acl(Bucket=bucket, Key="k", **more)
    with refused("AccessControlListNotSupported", 400):
        s3.put_object(Bucket=bucket, Key="new", Body=b"", ACL="public-read")
    with refused("NoSuchKey", 404):
        s3.get_object_acl(Bucket=bucket, Key="new")
    with refused("NoSuchKey", 404):
        s3.put_object_acl(Bucket=bucket, Key="new", ACL="private")


@pytest.mark.boto3
def test_encryption(s3, bucket):
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    assert s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"] == [dict(rule, BucketKeyEnabled=False)]
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    s3.delete_bucket_encryption(Bucket=bucket)
    kms = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}
    with refused("NotImplemented", 501):
        s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [kms]})
    assert s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="AES256")["ServerSideEncryption"] == "AES256"
    assert s3.head_object(Bucket=bucket, Key="k")["ServerSideEncryption"] == "AES256"
    with refused("NotImplemented", 501):
        s3.put_object(Bucket=bucket, Key="k", Body=b"y", ServerSideEncryption="aws:kms")
    with refused("InvalidArgument", 400):
        s3.put_object(Bucket=bucket, Key="k", Body=b"y", ServerSideEncryption="ROT13")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"


@pytest.mark.boto3
def test_ownership_and_public_access(s3, bucket):
    rules = lambda: [r["ObjectOwnership"] for r in s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]]
    assert rules() == ["BucketOwnerEnforced"]
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]})
    assert rules() == ["BucketOwnerPreferred"]
    s3.delete_bucket_ownership_controls(Bucket=bucket)
    with refused("OwnershipControlsNotFoundError", 404):
        rules()
    with refused("MalformedXML", 400):
        s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "Mine"}]})

    with refused("NoSuchPublicAccessBlockConfiguration", 404):
        s3.get_public_access_block(Bucket=bucket)
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={"BlockPublicAcls": True, "BlockPublicPolicy": True})
    assert s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"] == {
        "BlockPublicAcls": True, "IgnorePublicAcls": False, "BlockPublicPolicy": True, "RestrictPublicBuckets": False}
    public = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}]})
    with refused("AccessDenied", 403):
        s3.put_bucket_policy(Bucket=bucket, Policy=public)
    s3.delete_public_access_block(Bucket=bucket)
    s3.put_bucket_policy(Bucket=bucket, Policy=public)
    assert s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"] == {"IsPublic": True}


@pytest.mark.boto3
def test_never_configured(s3, bucket):
    assert "Status" not in s3.get_bucket_accelerate_configuration(Bucket=bucket)
    assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "BucketOwner"
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=bucket)
    for call, code in ((s3.get_bucket_website, "NoSuchWebsiteConfiguration"), (s3.get_bucket_replication, "ReplicationConfigurationNotFoundError"),
                       (s3.get_object_lock_configuration, "ObjectLockConfigurationNotFoundError"), (s3.get_bucket_policy, "NoSuchBucketPolicy"),
                       (s3.get_bucket_policy_status, "NoSuchBucketPolicy")):
        with refused(code, 404):
            call(Bucket=bucket)
        with refused("NoSuchBucket", 404):
            call(Bucket=unique("no"))
    s3.put_object(Bucket=bucket, Key="k")
    for call in (s3.get_object_legal_hold, s3.get_object_retention):
        with refused("InvalidRequest", 400):
            call(Bucket=bucket, Key="k")
    for call in (s3.list_bucket_analytics_configurations, s3.list_bucket_inventory_configurations, s3.list_bucket_metrics_configurations,
                 s3.list_bucket_intelligent_tiering_configurations):
        assert call(Bucket=bucket)["IsTruncated"] is False
    s3.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": "BucketOwner"})
    s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={})
    s3.delete_bucket_website(Bucket=bucket)
    with refused("NotImplemented", 501):
        s3.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": "Requester"})
    with refused("NotImplemented", 501):
        s3.put_bucket_accelerate_configuration(Bucket=bucket, AccelerateConfiguration={"Status": "Enabled"})
    with pytest.raises(ClientError):
        s3.put_bucket_website(Bucket=bucket, WebsiteConfiguration={"IndexDocument": {"Suffix": "index.html"}})


@pytest.mark.boto3
def test_configurations_go_with_the_bucket(s3):
    name = unique("again")
    s3.create_bucket(Bucket=name)
    s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": tags(a="1")})
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Suspended"})
    s3.delete_bucket(Bucket=name)
    s3.create_bucket(Bucket=name)
    with refused("NoSuchTagSet", 404):
        s3.get_bucket_tagging(Bucket=name)
    assert "Status" not in s3.get_bucket_versioning(Bucket=name)


# --- attributes ---------------------------------------------------------------------------------------


@pytest.mark.boto3
@pytest.mark.http
def test_object_attributes(server, s3, bucket):
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"hello", ChecksumAlgorithm="CRC32")
    got = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"])
    assert (got["ETag"], got["ObjectSize"], got["StorageClass"]) == (put["ETag"].strip('"'), 5, "STANDARD")
    assert got["Checksum"]["ChecksumCRC32"] == put["ChecksumCRC32"] and "ObjectParts" not in got and got["LastModified"]
    assert "ETag" not in s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ObjectSize"])
    with refused("NoSuchKey", 404):
        s3.get_object_attributes(Bucket=bucket, Key="none", ObjectAttributes=["ETag"])
    for headers, code in (({}, b"InvalidRequest"), ({"x-amz-object-attributes": "ETag,Else"}, b"InvalidArgument"),
                          ({"x-amz-object-attributes": "ETag", "x-amz-max-parts": "-1"}, b"InvalidArgument")):
        status, _, body = server.signed("GET", f"/{bucket}/k?attributes=", headers=headers)
        assert status == 400 and b"<Code>" + code in body, body
@pytest.mark.boto3
def test_object_attributes_of_parts(s3, bucket):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm="SHA256")["UploadId"]
    parts = []
    for number in (2, 3, 7):
        body = bytes([number]) * (5 << 20 if number != 7 else 10)
        got = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=number, Body=body, ChecksumAlgorithm="SHA256")
        parts.append({"PartNumber": number, "ETag": got["ETag"], "ChecksumSHA256": got["ChecksumSHA256"]})
    done = s3.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=upload, MultipartUpload={"Parts": parts})
    got = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ObjectParts", "Checksum", "ObjectSize"])
    assert got["Checksum"]["ChecksumSHA256"] == done["ChecksumSHA256"] and got["ObjectSize"] == 2 * (5 << 20) + 10
    listed = got["ObjectParts"]
    assert listed["TotalPartsCount"] == 3 and not listed["IsTruncated"]
    assert [(p["PartNumber"], p["ChecksumSHA256"]) for p in listed["Parts"]] == [(p["PartNumber"], p["ChecksumSHA256"]) for p in parts]
    page = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ObjectParts"], MaxParts=1, PartNumberMarker=2)["ObjectParts"]
    assert ([p["PartNumber"] for p in page["Parts"]], page["IsTruncated"], page["NextPartNumberMarker"]) == ([3], True, 3)


# --- classes, owners ----------------------------------------------------------------------------------


@pytest.mark.boto3
def test_storage_classes(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", StorageClass="STANDARD_IA", ServerSideEncryption="AES256")
    s3.put_object(Bucket=bucket, Key="plain", Body=b"x", StorageClass="STANDARD")
    assert s3.head_object(Bucket=bucket, Key="k")["StorageClass"] == "STANDARD_IA"
    assert "StorageClass" not in s3.head_object(Bucket=bucket, Key="plain")
    listed = lambda: {o["Key"]: o["StorageClass"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]}
    assert listed() == {"k": "STANDARD_IA", "plain": "STANDARD"}
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "k"})
    s3.copy_object(Bucket=bucket, Key="plain", CopySource={"Bucket": bucket, "Key": "plain"}, StorageClass="GLACIER_IR")
    assert listed() == {"k": "STANDARD_IA", "plain": "GLACIER_IR", "copy": "STANDARD"}
    assert s3.head_object(Bucket=bucket, Key="copy")["ServerSideEncryption"] == "AES256"
    for name in ("DEEP_ARCHIVE", "ELSE"):
        with refused("InvalidStorageClass", 400):
            s3.put_object(Bucket=bucket, Key="k", Body=b"y", StorageClass=name)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"


@pytest.mark.boto3
def test_owners(s3, bucket):
    name = unique("owned")
    s3.create_bucket(Bucket=name, ObjectOwnership="ObjectWriter", ACL="private")
    assert s3.get_bucket_ownership_controls(Bucket=name)["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "ObjectWriter"}]
    with refused("InvalidBucketAclWithObjectOwnership", 400):
        s3.create_bucket(Bucket=unique("public"), ACL="public-read")
    with refused("InvalidArgument", 400):
        s3.create_bucket(Bucket=unique("public"), ObjectOwnership="Else")
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ExpectedBucketOwner="000000000000")
    for call in (lambda **more: s3.put_object(Bucket=bucket, Key="k", Body=b"y", **more), lambda **more: s3.get_object(Bucket=bucket, Key="k", **more),
                 lambda **more: s3.list_objects_v2(Bucket=bucket, **more), lambda **more: s3.delete_bucket_tagging(Bucket=bucket, **more)):
        with refused("AccessDenied", 403):
            call(ExpectedBucketOwner="111111111111")
    with refused("AccessDenied", 403):
        s3.copy_object(Bucket=bucket, Key="c", CopySource={"Bucket": bucket, "Key": "k"}, ExpectedSourceBucketOwner="111111111111")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
