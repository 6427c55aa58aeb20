"""make opcov: which operations of AWS's models are answered, which of those the last test run used, and
whether it read the effect back through another operation.

An operation that changes something counts as read back when, in the same server's life, one that reads
(EFFECT_IN, or the same noun with Get, Head, List or Describe) spoke of the same resource: with success, or
for a deletion with a 404 or by a list. Operations that only read count when they answered; of those that
never did, as there is nothing of that kind here, the statuses are listed.
"""
import collections
import json
import os
import pathlib
import re
import sys
import urllib.parse

import model
import wire

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
SERVICES = ("lambda", "s3", "iam", "sts", "logs")
READ = re.compile(r"^(Get|Head|List|Describe|Filter|Simulate|Select)")
VERB = re.compile(r"^(Create|Put|Update|Delete|Add|Remove|Attach|Detach|Tag|Untag|Upload|Complete|Abort|Copy|Publish|Set)")

# Where an effect shows when the noun does not say it.
EFFECT_IN = {
    "PutObject": "GetObject HeadObject", "CopyObject": "GetObject HeadObject", "DeleteObject": "GetObject HeadObject ListObjectsV2",
    "DeleteObjects": "GetObject HeadObject ListObjectsV2 ListObjects ListObjectVersions",
    "CompleteMultipartUpload": "GetObject HeadObject", "UploadPart": "ListParts GetObject HeadObject",
    "UploadPartCopy": "ListParts GetObject HeadObject", "CreateMultipartUpload": "ListMultipartUploads ListParts",
    "AbortMultipartUpload": "ListMultipartUploads ListParts", "CreateBucket": "ListBuckets HeadBucket ListObjectsV2",
    "PutBucketLifecycleConfiguration": "GetBucketLifecycleConfiguration", "DeleteBucketLifecycle": "GetBucketLifecycleConfiguration",
    "UpdateFunctionCode": "Invoke GetFunction GetFunctionConfiguration", "AddPermission": "GetPolicy", "RemovePermission": "GetPolicy",
    "PublishVersion": "ListVersionsByFunction Invoke GetFunction GetFunctionConfiguration", "TagResource": "ListTags GetFunction ListTagsForResource",
    "UntagResource": "ListTags ListTagsForResource", "Invoke": "FilterLogEvents GetLogEvents", "InvokeAsync": "FilterLogEvents GetLogEvents",
    "CreateFunction": "GetFunction Invoke ListFunctions GetFunctionConfiguration", "PutFunctionConcurrency": "GetFunctionConcurrency",
    "PutRetentionPolicy": "DescribeLogGroups", "DeleteRetentionPolicy": "DescribeLogGroups", "PutLogEvents": "GetLogEvents FilterLogEvents",
    "UpdateAssumeRolePolicy": "GetRole AssumeRole", "UpdateRoleDescription": "GetRole", "AttachRolePolicy": "ListAttachedRolePolicies", "DetachRolePolicy": "ListAttachedRolePolicies",
    "AttachUserPolicy": "ListAttachedUserPolicies", "DetachUserPolicy": "ListAttachedUserPolicies",
    "SetDefaultPolicyVersion": "GetPolicy", "TagRole": "ListRoleTags", "UntagRole": "ListRoleTags", "TagUser": "ListUserTags",
    "UntagUser": "ListUserTags", "TagLogGroup": "ListTagsLogGroup", "UntagLogGroup": "ListTagsLogGroup", "AssumeRole": "GetCallerIdentity",
    "GetSessionToken": "GetCallerIdentity", "PutProvisionedConcurrencyConfig": "GetProvisionedConcurrencyConfig",
    "PutFunctionEventInvokeConfig": "GetFunctionEventInvokeConfig", "UpdateFunctionEventInvokeConfig": "GetFunctionEventInvokeConfig",
}


def answered():
    """{service: names} of the rows in ops_*.def."""
    rows = collections.defaultdict(set)
    for path in sorted((TOP / "core/api").glob("ops_*.def")):
        for line in path.read_text().splitlines():
            if m := re.match(r'REST_JSON\("(\w+)", "(\w+)"', line):
                rows[m[1]].add(m[2])
            elif m := re.match(r'S3\("(\w+)"', line):
                rows["s3"].add(m[1])
            elif m := re.match(r'QUERY\("(\w+)", "(\w+)"', line):
                rows[m[1]].add(m[2])
            elif m := re.match(r'JSON11\("(\w+)", "\w+", "(\w+)"', line):
                rows[m[1]].add(m[2])
    return rows


def names(service, e):
    """What a request speaks of: names that two requests about one thing share."""
    path = urllib.parse.unquote(e.path)
    if service == "s3":
        parts = path.strip("/").split("/", 1)
        return {parts[0], path.strip("/")}
    found = set()
    if service == "lambda":
        found |= {p.split(":")[6] if p.startswith("arn:") and p.count(":") > 5 else p.split(":")[0] for p in path.split("/")[3:4]}
    body = e.body or b""
    try:
        fields = json.loads(body) if body[:1] == b"{" else dict(urllib.parse.parse_qsl(body.decode("latin-1")))
    except ValueError:
        fields = {}
    for key, value in fields.items() if isinstance(fields, dict) else ():
        if key.lower().endswith(("name", "arn", "identifier")) and isinstance(value, str):
            found |= {value, value.rpartition("/")[2]}
            if key == "logGroupName":
                found.add(value.rpartition("/")[2])
    return found


def readers(op):
    noun = VERB.sub("", op)
    plural = noun[:-1] + "ies" if re.search("[^aeou]y$", noun) else noun + "s"
    return set(EFFECT_IN.get(op, "").split()) | {v + n for v in ("Get", "Head", "List", "Describe") for n in (noun, plural)}


def main(folder):
    models, rows = model.Models(), answered()
    used, spoken = collections.defaultdict(list), collections.defaultdict(lambda: collections.defaultdict(list))
    told = collections.defaultdict(set)  # statuses
    for e in wire.exchanges(folder):
        found = models.operation(e)
        if found:
            service, op = found
            server = e.source.split(":")[0]
            told[service, op.name].add(e.status)
            if e.status < 400:
                used[service, op.name].append((server, names(service, e)))
            spoken[server][op.name].append((e.status, names(service, e)))

    def read_back(service, op):
        if READ.match(op) or op not in EFFECT_IN and not VERB.match(op):
            return op if used[service, op] else None
        gone = op.startswith(("Delete", "Abort", "Remove", "Detach"))
        for server, who in used[service, op]:
            for reader in sorted(readers(op)):
                for status, about in spoken[server][reader]:
                    if (status < 400 or gone and status in (400, 404)) and (not about or not who or about & who):
                        return reader
        return None

    for service in SERVICES:
        operations = models.services[service].operation_names
        have = [op for op in operations if op in rows[service]]
        print(f"\n{service}: {len(have)} of the model's {len(operations)} operations answered")
        for op in have:
            through = read_back(service, op)
            n = len(used[service, op])
            print(f"  {op:42} {n:6} × " + (f"read back by {through}" if through and through != op else "read" if through else
                                            "NOT READ BACK" if n else
                                            "only with " + ", ".join(map(str, sorted(told[service, op]))) if told[service, op] else "NOT TESTED"))
        print("  not answered: " + ", ".join(op for op in operations if op not in rows[service]))


if __name__ == "__main__":
    log = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("WIRE_LOG", TOP / "build/wire"))
    if not log.is_dir() or not any(log.iterdir()):
        sys.exit(f"{log}: nothing was recorded; run the tests first (make test, or pytest on some files)")
    main(log)
