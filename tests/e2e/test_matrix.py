"""Who may not, for every operation there is: rows are read out of ops_*.def when the test runs, so a new row is in here
by being a row. Each is asked by nobody, with an unknown key, a wrong secret, an expired session, an inactive key, a key
that may do everything but this, and a key that may do exactly this on exactly that resource.

What a row cannot tell (how its path or body must look to be that operation) is in samples(); a row that needs more fails
here until it is told."""
import base64
import ctypes
import ctypes.util
import datetime
import hashlib
import hmac
import http.client
import json
import os
import re
import struct
import time
from urllib.parse import quote

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from perilune import ACCOUNT, REGION, TOP, make_zip

pytestmark = pytest.mark.http

# Rows without an action of their own: any signed caller may, or the handler asks (for what is named in the body).
ANYBODY = {"GetCallerIdentity", "GetSessionToken", "GetAccessKeyInfo", "GetReference"}
HANDLER_ASKS = {"CreateFunction": "lambda:CreateFunction", "DeleteObjects": "s3:DeleteObject", "PostObject": "s3:PutObject",
                "ShareObject": "s3:GetObject"}

FN, BUCKET, KEY, ROLE, USER, POLICY, GROUP = "matrix-fn", "matrix-bucket", "a/key", "matrix-role", "matrix-user", "matrix-policy", "/matrix"
LAMBDA = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:"
IAM = f"arn:aws:iam::{ACCOUNT}:"


class Row:
    def __init__(self, shape, args):
        self.shape = shape
        if shape == "REST_JSON":
            self.service, self.name, self.method, self.pattern, _, self.body, _, self.action, self.resource, _ = args
        elif shape == "S3":
            self.name, self.method, self.pattern, self.select, _, self.body, _, self.action, self.resource, _ = args
            self.service = "s3"
        elif shape == "QUERY":
            self.service, self.name, self.action, self.resource, _ = args
            self.method = "POST"
        else:
            self.service, self.target, self.name, self.action, self.resource, _ = args
            self.method = "POST"

    def __str__(self):
        return f"{self.service} {self.name}"


def rows():
    found = []
    for path in sorted((TOP / "core/api").glob("ops_*.def")):
        before = len(found)
        text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S)
        for shape, inside in re.findall(r"^(REST_JSON|S3|QUERY|JSON11)\(((?:\"[^\"]*\"|[^\")])*)\)", text, re.M):
            args = [a.strip().strip('"') for a in re.findall(r'"[^"]*"|[^,]+', inside) if a.strip()]
            found.append(Row(shape, args))
        assert len(found) - before == len(re.findall(r"^(?:REST_JSON|S3|QUERY|JSON11)\(", text, re.M)), f"{path.name}: a row that cannot be read"
    return found


def form(row, key_id):
    fields = {"Action": row.name, "Version": "2011-06-15" if row.service == "sts" else "2010-05-08", "RoleName": ROLE, "UserName": USER,
              "PolicyArn": f"{IAM}policy/{POLICY}", "PolicySourceArn": f"{IAM}user/{USER}", "RoleArn": f"{IAM}role/{ROLE}", "AccessKeyId": key_id}
    if row.name in ("ListRoles", "ListUsers"):
        del fields["RoleName"], fields["UserName"]
    return "&".join(f"{k}={quote(v, safe='')}" for k, v in fields.items()).encode()


def sample(row, key_id):
    """(path, headers, body) of a request that is this row's operation."""
    if row.shape == "QUERY":
        return "/", {"Content-Type": "application/x-www-form-urlencoded"}, form(row, key_id)
    if row.shape == "JSON11":
        group = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{GROUP}"
        return "/", {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"{row.target}.{row.name}"}, json.dumps(
            {"logGroupName": GROUP, "resourceArn": group, "ResourceARN": f"arn:aws:events:{REGION}:{ACCOUNT}:rule/x"} if row.resource != "ANY" else {}).encode()
    if row.shape == "S3":
        path, headers, query = {"/": "/", "/b": f"/{BUCKET}", "/b/k": f"/{BUCKET}/{KEY}"}[row.pattern], {}, []
        for part in filter(None, row.select.split("&")):
            if part.startswith("@"):
                headers[part[1:]] = f"/{BUCKET}/{KEY}"
            else:
                query.append(part if "=" in part else part + "=" + ("1" if part == "partNumber" else ""))
        if "uploadId=" in query and row.name.startswith("UploadPart"):
            query.insert(0, "partNumber=1")
        body = b"<Delete><Object><Key>%s</Key></Object></Delete>" % KEY.encode() if row.name == "DeleteObjects" else b""
        if body:
            headers["Content-MD5"] = base64.b64encode(hashlib.md5(body).digest()).decode()
        return path + ("?" + "&".join(query) if query else ""), headers, body
    place = quote(LAMBDA + FN, safe="") if "/tags/" in row.pattern else FN if row.service == "lambda" or "/functions/" in row.pattern else "x"
    path = row.pattern.replace("{}", place, 1).replace("{}", "x")
    body = b""
    if row.method in ("POST", "PUT"):
        body = json.dumps({"FunctionName": FN, "Runtime": "lua", "Handler": "handler.main", "Role": f"{IAM}role/{ROLE}",
                           "Code": {"ZipFile": base64.b64encode(make_zip("return {}")).decode()}}).encode()
    if row.name == "ShareObject":
        body = json.dumps({"bucket": BUCKET, "key": KEY}).encode()
    return path, {"Content-Type": "application/json"}, body


def resource(row):
    """The ARN that the row's action is asked about."""
    kind = row.resource
    if kind == "PERILUNE":
        segments = row.pattern.split("/")[3:]
        first = {"secrets": "secret"}.get(segments[0], segments[0])
        place = {"functions": FN, "schedules": "x/x"}.get(segments[0], "x")
        return f"arn:aws:perilune:{REGION}:{ACCOUNT}:{first}" + (f"/{place}" if "{}" in row.pattern else "")
    listed = row.name.startswith("List") and row.name in ("ListRoles", "ListUsers")
    return {"ANY": "*", "FUNCTION": LAMBDA + FN, "WHOLE_FUNCTION": LAMBDA + FN, "FUNCTION_JSON": LAMBDA + FN, "BUCKET": f"arn:aws:s3:::{BUCKET}", "OBJECT": f"arn:aws:s3:::{BUCKET}/{KEY}",
            "ROLE": f"{IAM}role/" + ("" if listed else ROLE), "USER": f"{IAM}user/" + ("" if listed else USER), "KEY_OWNER": f"{IAM}user/inactive",
            "POLICY": f"{IAM}policy/{POLICY}", "POLICY_SOURCE": f"{IAM}user/{USER}", "ROLE_ARN": f"{IAM}role/{ROLE}",
            "LOG_GROUP": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{GROUP}*",
            **dict.fromkeys(("RULE", "RULE_TARGETS", "RULE_ARN"), f"arn:aws:events:{REGION}:{ACCOUNT}:rule/*"),
            "SCHEDULE": f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/*",
                "SCHEDULE_GROUP": f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule-group/*"}[kind]


def browser_form(key):
    """A form as a page of the key's owner would hold it: its signature is a field. Headers and body."""
    now = datetime.datetime.now(datetime.timezone.utc)
    fields = {"key": KEY}
    if key:
        day = now.strftime("%Y%m%d")
        fields.update({"x-amz-algorithm": "AWS4-HMAC-SHA256", "x-amz-credential": f"{key['AccessKeyId']}/{day}/{REGION}/s3/aws4_request",
                       "x-amz-date": now.strftime("%Y%m%dT%H%M%SZ")})
        if "SessionToken" in key:
            fields["x-amz-security-token"] = key["SessionToken"]
        document = {"expiration": (now + datetime.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
                    "conditions": [{"bucket": BUCKET}, *({k: v} for k, v in fields.items())]}
        fields["policy"] = base64.b64encode(json.dumps(document).encode()).decode()
        mac = b"AWS4" + key["SecretAccessKey"].encode()
        for part in (day, REGION, "s3", "aws4_request", fields["policy"]):
            mac = hmac.new(mac, part.encode(), hashlib.sha256).digest()
        fields["x-amz-signature"] = mac.hex()
    parts = [f'--x\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in fields.items()]
    parts.append('--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nbody\r\n--x--\r\n')
    return {"Content-Type": "multipart/form-data; boundary=x"}, "".join(parts).encode()


class Matrix:
    """The server's side of it: identities of each sort."""

    def __init__(self, server):
        self.server, self.iam = server, server.client("iam")
        iam = self.iam
        for name in (USER, "exact", "all-but", "inactive"):
            iam.create_user(UserName=name)
        self.keys = {name: iam.create_access_key(UserName=name)["AccessKey"] for name in (USER, "exact", "all-but", "inactive")}
        iam.attach_user_policy(UserName="inactive", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
        iam.update_access_key(UserName="inactive", AccessKeyId=self.keys["inactive"]["AccessKeyId"], Status="Inactive")
        self.expired = self.seal_session(self.keys[USER])

    def seal_session(self, key):
        """An expired session, made as the server makes one: with its master key."""
        master = (self.server.data / "master.key").read_bytes()
        access_key, secret = "ASIA" + "E" * 16, "s" * 40
        user = self.iam.get_user(UserName=USER)["User"]
        text = lambda tag, s: struct.pack("<HI", tag, len(s)) + s
        number = lambda tag, n: text(tag, struct.pack("<Q", n))
        now = int(time.time() * 1000)
        record = (number(1, 2) + text(2, USER.encode()) + text(3, user["UserId"].encode()) + text(4, b"") + text(5, secret.encode())
                  + number(6, now - 7200_000) + number(7, now - 3600_000))
        return {"AccessKeyId": access_key, "SecretAccessKey": secret,
                "SessionToken": base64.b64encode(seal(master, f"session:{access_key}".encode(), record)).decode()}

    def ask(self, row, key):
        """(status, error code, body) of the row's request, signed with that key; None: unsigned."""
        spare = self.keys["inactive" if row.name == "GetAccessKeyLastUsed" else USER]
        path, headers, body = sample(row, spare["AccessKeyId"])
        if row.name == "DeleteObjects":
            self.server.signed("PUT", f"/{BUCKET}")  # other rows remove it
        if row.name == "PostObject":
            headers, body = browser_form(key)
            key = None
        request = AWSRequest(row.method, self.server.url + path, data=body, headers=headers)
        request.headers["Host"] = f"127.0.0.1:{self.server.port}"
        if body or row.method in ("POST", "PUT"):
            request.headers["Content-Length"] = str(len(body))
        if key:
            who = Credentials(key["AccessKeyId"], key["SecretAccessKey"], key.get("SessionToken"))
            (S3SigV4Auth if row.service == "s3" else SigV4Auth)(who, row.service, REGION).add_auth(request)
        c = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        try:
            c.putrequest(row.method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in request.headers.items():
                c.putheader(name, value)
            c.endheaders(body)
            r = c.getresponse()
            text = r.read() if r.getheader("Content-Type") != "text/event-stream" else b""
            return r.status, self.code(row, r, text), text.decode("utf-8", "replace")
        finally:
            c.close()

    @staticmethod
    def code(row, r, text):
        if row.shape in ("REST_JSON", "JSON11"):
            return r.getheader("x-amzn-ErrorType")
        m = re.search(rb"<Code>(\w+)</Code>", text)
        return m[1].decode() if m else None


def seal(master, label, plain):
    """AES-256-GCM as core/store/seal.c has it, through libcrypto."""
    crypto = ctypes.CDLL(ctypes.util.find_library("crypto"))
    crypto.EVP_CIPHER_CTX_new.restype = crypto.EVP_aes_256_gcm.restype = ctypes.c_void_p
    nonce, out, tag, n = os.urandom(12), ctypes.create_string_buffer(len(plain)), ctypes.create_string_buffer(16), ctypes.c_int()
    ctx = ctypes.c_void_p(crypto.EVP_CIPHER_CTX_new())
    assert crypto.EVP_EncryptInit_ex(ctx, ctypes.c_void_p(crypto.EVP_aes_256_gcm()), None, master, nonce)
    assert crypto.EVP_EncryptUpdate(ctx, None, ctypes.byref(n), label, len(label))
    assert crypto.EVP_EncryptUpdate(ctx, out, ctypes.byref(n), plain, len(plain))
    assert crypto.EVP_EncryptFinal_ex(ctx, None, ctypes.byref(n))
    assert crypto.EVP_CIPHER_CTX_ctrl(ctx, 0x10, 16, tag)
    crypto.EVP_CIPHER_CTX_free(ctx)
    return b"\x01" + nonce + out.raw + tag.raw


@pytest.fixture(scope="module")
def matrix(server):
    return Matrix(server)


ROWS = rows()
# {what: {protocol: (status, code)}}; S3's answers to HEAD have no body and so no code
REFUSED = {
    "nobody": {"REST_JSON": (403, "MissingAuthenticationTokenException"), "S3": (403, "AccessDenied"), "QUERY": (403, "MissingAuthenticationToken"),
               "JSON11": (403, "MissingAuthenticationTokenException")},
    "unknown": {"REST_JSON": (403, "UnrecognizedClientException"), "S3": (403, "InvalidAccessKeyId"), "QUERY": (403, "InvalidClientTokenId"),
                "JSON11": (400, "UnrecognizedClientException")},
    "wrong": {"REST_JSON": (403, "InvalidSignatureException"), "S3": (403, "SignatureDoesNotMatch"), "QUERY": (403, "SignatureDoesNotMatch"),
              "JSON11": (400, "InvalidSignatureException")},
    "expired": {"REST_JSON": (403, "ExpiredTokenException"), "S3": (400, "ExpiredToken"), "QUERY": (403, "ExpiredToken"),
                "JSON11": (400, "ExpiredTokenException")},
    "denied": {"REST_JSON": (403, "AccessDeniedException"), "S3": (403, "AccessDenied"), "QUERY": (403, "AccessDenied"), "JSON11": (400, "AccessDeniedException")},
}
REFUSED["inactive"] = REFUSED["unknown"]


def check(row, what, got, wrong):
    status, code = REFUSED[what][row.shape]
    head = row.method == "HEAD"
    if got[0] != status or (not head and got[1] != code):
        wrong.append(f"{row}: {got[0]} {got[1]} instead of {status} {code}: {got[2][:200]}")


def test_rows_are_read():
    assert len(ROWS) > 150 and {r.shape for r in ROWS} == {"REST_JSON", "S3", "QUERY", "JSON11"}
    names = {str(r) for r in ROWS}
    assert {"s3 PutObject", "lambda Invoke", "iam CreateUser", "logs FilterLogEvents", "perilune Deploy"} <= names
    free = {r.name for r in ROWS if not r.action}
    assert free == ANYBODY | set(HANDLER_ASKS), "a row without an action: say here who asks"


@pytest.mark.parametrize("what", ["nobody", "unknown", "wrong", "expired", "inactive"])
def test_refused(matrix, what):
    good = matrix.keys["all-but"]
    key = {"nobody": None, "unknown": {"AccessKeyId": "AKIA" + "Q" * 16, "SecretAccessKey": "s" * 40}, "wrong": dict(good, SecretAccessKey="s" * 40),
           "expired": matrix.expired, "inactive": matrix.keys["inactive"]}[what]
    wrong = []
    matrix.server.signed("PUT", f"/{BUCKET}")  # strangers are told when there is no such bucket
    for row in ROWS:
        got = matrix.ask(row, key)
        if what == "nobody" and row.name == "DeleteObjects":  # answers for each key
            assert "<Code>AccessDenied</Code>" in got[2], got
            continue
        check(row, what, got, wrong)
    assert not wrong, "\n".join(wrong)


def test_everything_but_this(matrix):
    wrong = []
    for row in ROWS:
        action = row.action or HANDLER_ASKS.get(row.name)
        if not action:
            continue
        document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "NotAction": action, "Resource": "*"}]}
        matrix.iam.put_user_policy(UserName="all-but", PolicyName="p", PolicyDocument=json.dumps(document))
        got = matrix.ask(row, matrix.keys["all-but"])
        if row.name == "DeleteObjects":
            assert "<Code>AccessDenied</Code>" in got[2], got
            continue
        check(row, "denied", got, wrong)
        if row.method != "HEAD" and action.lower() not in got[2].lower():
            wrong.append(f"{row}: does not name {action}: {got[2][:200]}")
    assert not wrong, "\n".join(wrong)


def test_exactly_this(matrix):
    """Past the gate: whatever comes then (there is no such role, no such bucket) is not a refusal of this action."""
    wrong = []
    for row in ROWS:
        action, where = row.action or HANDLER_ASKS.get(row.name), resource(row)
        if not action or row.name == "AssumeRole":  # whom a role trusts is test_identities' affair
            continue
        if row.name == "CreateFunction":
            where = LAMBDA + FN
        if row.name in ("DeleteObjects", "PostObject", "ShareObject"):
            where = f"arn:aws:s3:::{BUCKET}/{KEY}"
        document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": where}]}
        matrix.iam.put_user_policy(UserName="exact", PolicyName="p", PolicyDocument=json.dumps(document))
        got = matrix.ask(row, matrix.keys["exact"])
        refused = got[0] in (400, 403) and (got[1] or "").startswith("AccessDenied") and f"perform: {action.lower()} " in got[2].lower()
        if refused or (row.method == "HEAD" and got[0] == 403 and "ListBucket" in action):
            wrong.append(f"{row} on {where}: {got[0]} {got[1]}: {got[2][:300]}")
        if got[0] >= 500 and got[0] != 501:
            wrong.append(f"{row}: {got[0]} {got[2][:300]}")
    assert not wrong, "\n".join(wrong)
