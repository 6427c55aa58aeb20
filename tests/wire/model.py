"""Compares exchanges with the API models that botocore ships.

`Models().operation(exchange)` names the operation that a request is; `check(exchange)` lists what in an
accepted request or in an answer the model does not know: members, types, enumerations, statuses,
undeclared errors. Where Perilune differs on purpose, the difference is in ON_PURPOSE with its reason.
"""
import base64
import binascii
import datetime
import email.utils
import json
import re
import urllib.parse
import xml.etree.ElementTree as ET

import botocore.loaders
import botocore.model

SERVICES = ("lambda", "s3", "logs", "iam", "sts", "events", "scheduler")

# (operation or "*", path of the member, or its start with "*"): why the model is not followed.
ON_PURPOSE = {
    ("*", "Runtime"): "our runtimes are lua, luajit and lua5.1 beside AWS's",
    ("*", "MemorySize"): "a function may be smaller than AWS's 128 MB",
    ("CreateBucket", "CreateBucketConfiguration.LocationConstraint"): "us-east-1 may be named, --region may be anything",
    ("GetBucketLocation", "LocationConstraint"): "the same",
    ("*", "FunctionUrl"): "http://HOST/url/NAME/ is shorter than AWS's host names",
    ("GetAccessKeyLastUsed", "AccessKeyLastUsed.LastUsedDate"): "AWS leaves it out too while a key was never used",
    ("GetFunctionCodeSigningConfig", "CodeSigningConfigArn"): "AWS leaves both out where there is none",
    ("GetFunctionCodeSigningConfig", "FunctionName"): "the same",
    ("GetUser", "User.UserId"): "the root user's id is the account's, as at AWS",
    ("*", "message"): "a function may print an empty line",
    ("FilterLogEvents", "logGroupName"): "newer clients may name the group by logGroupIdentifier alone",
    ("ListTargetsByRule", "Targets"): "a rule without targets has none, whatever the model says",
}

# The model's status is not what AWS sends.
STATUS = {"PutBucketPolicy": (204,), "PutBucketTagging": (204,), "GetObject": (200, 206), "HeadObject": (200, 206), "Invoke": (200, 202, 204)}

# Members that AWS has added since the oldest model we test with (botocore 1.26).
NEWER = {"ActionAfterCompletion", "LoggingConfig", "InvokeMode", "ChecksumType", "logGroupArn", "logGroupClass"}
NEWER_VALUES = {"CRC64NVME"}

# Answers that any operation of the protocol may give, besides those its model declares.
COMMON_ERRORS = {
    "lambda": {"AccessDeniedException", "UnrecognizedClientException", "InvalidSignatureException", "ExpiredTokenException",
               "MissingAuthenticationTokenException", "IncompleteSignatureException", "ValidationException", "ServiceException",
               "SerializationException", "InvalidRequestContentException", "RequestEntityTooLargeException", "NotImplemented",
               "RequestTooLargeException", "UnknownOperationException", "TooManyRequestsException", "ServiceUnavailableException",
               "InternalFailure", "PreconditionFailedException", "InvalidParameterValueException", "ResourceNotFoundException"},
    "logs": {"AccessDeniedException", "UnrecognizedClientException", "InvalidSignatureException", "ExpiredTokenException",
             "MissingAuthenticationTokenException", "IncompleteSignatureException", "ValidationException", "SerializationException",
             "ServiceUnavailableException", "UnknownOperationException", "InternalFailure", "InvalidParameterException",
             "ThrottlingException", "NotImplemented", "RequestEntityTooLargeException", "PayloadTooLargeException",
             "LimitExceededException"},
    "iam": {"AccessDenied", "InvalidClientTokenId", "SignatureDoesNotMatch", "ExpiredToken", "MissingAuthenticationToken",
            "IncompleteSignature", "ValidationError", "InvalidAction", "ServiceUnavailable", "InternalFailure", "ServiceFailure",
            "MalformedQueryString", "MissingAction", "NotImplemented", "RequestEntityTooLarge", "Throttling", "InvalidParameterValue",
            "MissingParameter", "RequestExpired", "MissingAuthenticationTokenException"},
}
COMMON_ERRORS["sts"] = COMMON_ERRORS["iam"]
COMMON_ERRORS["events"] = COMMON_ERRORS["scheduler"] = COMMON_ERRORS["logs"]


class Models:
    def __init__(self):
        loader = botocore.loaders.create_loader()
        self.services = {}
        for name in SERVICES:
            model = botocore.model.ServiceModel(loader.load_service_model(name, "service-2"), name)
            self.services[name] = model
        self.rest = {name: self._rest_rows(model) for name, model in self.services.items()
                     if model.metadata["protocol"].startswith("rest-")}

    def _rest_rows(self, model):
        rows = []
        request = lambda op: (op.http["method"], op.http["requestUri"])
        operations = [model.operation_model(name) for name in model.operation_names]
        current = {request(op) for op in operations if not op.deprecated}
        for op in operations:
            if op.deprecated and request(op) in current:
                continue
            path, _, query = op.http["requestUri"].partition("?")
            literal = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
            pattern = re.sub(r"\\{([^}+]+)(\\\+)?\\}", lambda m: "(.+)" if m[2] else "([^/]+)", re.escape(path.rstrip("/")))
            names = re.findall(r"\{([^}+]+)\+?\}", path)
            needed_query, needed_headers = set(), set()
            if op.input_shape:
                for member, shape in op.input_shape.members.items():
                    if member in op.input_shape.required_members:
                        where = shape.serialization.get("location")
                        if where == "querystring":
                            needed_query.add(shape.serialization["name"])
                        elif where == "header":
                            needed_headers.add(shape.serialization["name"].lower())
            rows.append((op, op.http["method"], re.compile(pattern + "/?$"), names, literal, needed_query, needed_headers))
        return rows

    def operation(self, e):
        """(service, operation model) of a request, or None."""
        service = e.service
        if service not in self.services:
            return None
        model = self.services[service]
        name = None
        if service in self.rest:
            found = self._rest(service, e)
            return found and (service, found)
        if "x-amz-target" in e.headers:
            name = e.headers["x-amz-target"].rpartition(".")[2]
        elif e.body:
            name = dict(urllib.parse.parse_qsl(e.body.decode("latin-1"))).get("Action")
        return (service, model.operation_model(name)) if name in model.operation_names else None

    def _rest(self, service, e):
        best = None
        path, host = e.path, e.headers.get("host", "").partition(":")[0].lower()
        if service == "s3" and host.endswith(".buckets.test"):  # what the tests give to serve --domain
            path = f"/{host[:-len('.buckets.test')]}{path}"
        if service == "s3" and path.count("/") > 1 and path.endswith("/") and path.count("/") == 2:
            path = path[:-1]  # "/bucket/"
        for op, method, pattern, names, literal, query, headers in self.rest[service]:
            if method != e.method or not pattern.match(path):
                continue
            if any(e.query.get(k) is None or (v and e.query[k] != v) for k, v in literal.items()):
                continue
            if not query <= e.query.keys() or not headers <= e.headers.keys():
                continue
            score = (len(literal) + len(query) + len(headers), len(names))
            if best is None or score > best[0]:
                best = (score, op)
        return best and best[1]


# --- values ------------------------------------------------------------------------------------------

def _allowed(op, path):
    path = re.sub(r"\[\d*\]", "", path)
    if NEWER & set(path.split(".")):
        return True
    for (name, member), _ in ON_PURPOSE.items():
        if name in ("*", op.name) and (path == member or path.endswith("." + member) or
                                       (member.endswith("*") and path.startswith(member[:-1]))):
            return True
    return False


def _size(shape, value):
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    return not ((low is not None and value < float(low)) or (high is not None and value > float(high)))


def _iso(text):
    try:
        datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
        return "T" in text
    except ValueError:
        return False


def _scalar(shape, text, place):
    """Is this text (of XML, a header or the query) a value of the shape?"""
    kind = shape.type_name
    if kind == "boolean":
        return text in ("true", "false") or place in ("header", "querystring") and text in ("True", "False")  # as botocore writes them
    if kind in ("integer", "long"):
        return re.fullmatch(r"-?\d+", text) is not None
    if kind in ("float", "double"):
        return re.fullmatch(r"-?\d+(\.\d+)?([eE][-+]?\d+)?", text) is not None
    if kind == "timestamp":
        if shape.serialization.get("timestampFormat") == "iso8601":
            return _iso(text)
        if place in ("header", "querystring"):
            return email.utils.parsedate(text) is not None
        return _iso(text)
    if kind == "blob":
        try:
            base64.b64decode(text, validate=True)
            return True
        except binascii.Error:
            return False
    return True


def _string(shape, text):
    if shape.enum and text not in shape.enum and text not in NEWER_VALUES:
        return f"{text!r} is none of the model's values"
    if not _size(shape, len(text)):
        return f"{len(text)} characters"
    return None


class Walk:
    """Collects what does not fit while a value is compared with its shape."""

    def __init__(self, op, strict):
        self.op, self.strict, self.bad = op, strict, []  # strict: unknown members are findings

    def say(self, path, text):
        if not _allowed(self.op, path):
            self.bad.append(f"{path or '.'}: {text}")

    def json(self, shape, value, path=""):
        kind = shape.type_name
        if value is None:
            return
        if kind == "structure":
            if not isinstance(value, dict):
                return self.say(path, f"{type(value).__name__}, not an object")
            members = {s.serialization.get("name", n): (n, s) for n, s in shape.members.items()
                       if s.serialization.get("location") in (None,)}
            for name, inner in value.items():
                if name in members:
                    self.json(members[name][1], inner, f"{path}.{name}".lstrip("."))
                elif self.strict and name not in ("__type", "message", "Message", "Type"):
                    self.say(f"{path}.{name}".lstrip("."), "the model has no such member")
            for name, (member, s) in members.items():
                if member in shape.required_members and value.get(name) is None:
                    self.say(f"{path}.{name}".lstrip("."), "required, absent")
        elif kind == "list":
            if not isinstance(value, list):
                return self.say(path, f"{type(value).__name__}, not a list")
            if not _size(shape, len(value)):
                self.say(path, f"{len(value)} elements")
            for inner in value:
                self.json(shape.member, inner, f"{path}[]")
        elif kind == "map":
            if not isinstance(value, dict):
                return self.say(path, f"{type(value).__name__}, not a map")
            for name, inner in value.items():
                self.json(shape.value, inner, f"{path}.{name}".lstrip("."))
        elif kind in ("string", "character"):
            if not isinstance(value, str):
                return self.say(path, f"{type(value).__name__}, not a string")
            wrong = _string(shape, value)
            if wrong:
                self.say(path, wrong)
        elif kind == "boolean":
            if not isinstance(value, bool):
                self.say(path, f"{value!r} is no boolean")
        elif kind in ("integer", "long"):
            if isinstance(value, bool) or not isinstance(value, int):
                self.say(path, f"{value!r} is no integer")
            elif not _size(shape, value):
                self.say(path, f"{value} is out of range")
        elif kind in ("float", "double"):
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                self.say(path, f"{value!r} is no number")
        elif kind == "timestamp":
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if shape.serialization.get("timestampFormat") == "iso8601":
                number = isinstance(value, str) and _iso(value)
            if not number:
                self.say(path, f"{value!r} is no timestamp")
        elif kind == "blob" and not (isinstance(value, str) and _scalar(shape, value, "json")):
            self.say(path, "no base64")

    def xml(self, shape, node, path=""):
        kind = shape.type_name
        if kind == "structure":
            members, attributes = {}, set()
            for name, s in shape.members.items():
                if s.serialization.get("location"):
                    continue
                if s.serialization.get("xmlAttribute"):
                    attributes.add(name)
                    continue
                wire = s.serialization.get("name", name)
                if s.type_name == "list" and s.serialization.get("flattened"):
                    wire = s.serialization.get("name") or s.member.serialization.get("name", name)
                members[wire] = (name, s)
            seen = set()
            for child in node:
                tag = child.tag.rpartition("}")[2]
                if tag not in members:
                    if self.strict:
                        self.say(f"{path}.{tag}".lstrip("."), "the model has no such element")
                    continue
                name, s = members[tag]
                here = f"{path}.{tag}".lstrip(".")
                if s.type_name == "list" and s.serialization.get("flattened"):
                    self.xml(s.member, child, here)
                elif tag in seen:
                    self.say(here, "twice")
                else:
                    self.xml(s, child, here)
                seen.add(tag)
            for wire, (name, s) in members.items():
                if name in shape.required_members and wire not in seen and s.type_name != "list":
                    self.say(f"{path}.{wire}".lstrip("."), "required, absent")
        elif kind == "list":
            item = shape.member.serialization.get("name", "member")
            for child in node:
                if child.tag.rpartition("}")[2] != item:
                    self.say(f"{path}[]", f"<{child.tag.rpartition('}')[2]}> in a list of <{item}>")
                self.xml(shape.member, child, f"{path}[]")
        elif kind == "map":
            for child in node:
                parts = [c.tag.rpartition("}")[2] for c in child]
                if parts != [shape.key.serialization.get("name", "key"), shape.value.serialization.get("name", "value")]:
                    self.say(path, f"map entry of {parts}")
        else:
            text = node.text or ""
            if len(node):
                self.say(path, "elements where a value is expected")
            elif not _scalar(shape, text, "xml"):
                self.say(path, f"{text!r} is no {kind}")
            elif kind == "string":
                wrong = _string(shape, text)
                if wrong:
                    self.say(path, wrong)

    def located(self, shape, headers, query=None):
        """Members that travel in headers, and of requests in the query."""
        for name, s in shape.members.items():
            where, wire = s.serialization.get("location"), s.serialization.get("name", name)
            value = headers.get(wire.lower()) if where == "header" else query.get(wire) if where == "querystring" and query is not None else None
            if value is None:
                if where in ("header", "querystring") and name in shape.required_members and (query is not None or where == "header"):
                    self.say(name, "required, absent")
                continue
            if s.type_name in ("structure", "list", "map") or s.metadata.get("jsonvalue"):
                continue
            if not _scalar(s, value, where):
                self.say(name, f"{value!r} is no {s.type_name}")
            elif s.type_name == "string":
                wrong = _string(s, value)
                if wrong:
                    self.say(name, wrong)


# --- requests and answers ----------------------------------------------------------------------------

def _payload(shape):
    name = shape.serialization.get("payload")
    return shape.members[name] if name else None


def _has_body(shape):
    return any(not s.serialization.get("location") for s in shape.members.values())


def check_request(service, op, e):
    shape = op.input_shape
    if shape is None or e.body is None:
        return []
    protocol = op.service_model.metadata["protocol"]
    walk = Walk(op, strict=False)
    if protocol in ("json", "rest-json"):
        if protocol == "rest-json":
            walk.located(shape, e.headers, e.query)
            if _payload(shape) is not None or not _has_body(shape):
                return walk.bad
        walk.json(shape, json.loads(e.body or b"{}"))
    elif protocol == "rest-xml":
        walk.located(shape, e.headers, e.query)
        inner = _payload(shape)
        if inner is not None and inner.type_name == "structure" and e.body.strip():
            walk.xml(inner, ET.fromstring(e.body), inner.serialization.get("name", ""))
    elif protocol == "query":
        form = dict(urllib.parse.parse_qsl(e.body.decode("latin-1"), keep_blank_values=True))
        for name in shape.required_members:
            s = shape.members[name]
            wire = s.serialization.get("name", name)
            if not any(k == wire or k.startswith(wire + ".") for k in form):
                walk.say(name, "required, absent")
        for name, s in shape.members.items():
            value = form.get(s.serialization.get("name", name))
            if value is not None and s.type_name not in ("structure", "list", "map"):
                wrong = None if _scalar(s, value, "query") else f"{value!r} is no {s.type_name}"
                wrong = wrong or (_string(s, value) if s.type_name == "string" else None)
                if wrong:
                    walk.say(name, wrong)
    return walk.bad


def _expected_status(op):
    return op.http.get("responseCode", 200)


def check_success(service, op, e):
    bad, protocol, shape = [], op.service_model.metadata["protocol"], op.output_shape
    if e.status not in STATUS.get(op.name, (_expected_status(op),)):
        bad.append(f"status {e.status}, the model says {_expected_status(op)}")
    if e.status == 204 and e.answer:
        bad.append("a 204 with a body")
    if shape is None or e.answer is None:
        return bad
    walk = Walk(op, strict=True)
    if protocol.startswith("rest-"):
        walk.located(shape, e.answer_headers)
    inner = _payload(shape) if protocol.startswith("rest-") else None
    if protocol in ("json", "rest-json"):
        if protocol == "json" or inner is not None and inner.type_name == "structure":
            walk.json(inner or shape, json.loads(e.answer or b"{}"))
        elif inner is None and _has_body(shape) and e.status != 204:
            walk.json(shape, json.loads(e.answer or b"{}"))
    elif protocol == "rest-xml":
        target = inner if inner is not None else shape
        if target.type_name == "structure" and (inner is not None or _has_body(shape)) and e.method != "HEAD":
            walk.xml(target, ET.fromstring(e.answer))
    elif protocol == "query":
        root = ET.fromstring(e.answer)
        if root.tag.rpartition("}")[2] != op.name + "Response":
            walk.say("", f"<{root.tag}>")
        result = [c for c in root if c.tag.rpartition("}")[2] == shape.serialization.get("resultWrapper", op.name + "Result")]
        if not result:
            walk.say("", "no result element")
        else:
            walk.xml(shape, result[0])
    return bad + walk.bad


def check_error(service, op, e):
    protocol = op.service_model.metadata["protocol"]
    if e.method == "HEAD" or e.status == 304 or e.answer is None:
        return [] if not e.answer else ["a body where there can be none"]
    if e.answer.startswith(b'{"Type":"User","message":"Bad Request'):
        return []  # the connection's own: what came was no HTTP
    declared = {s.metadata.get("error", {}).get("code", s.name): s for s in op.error_shapes}
    if protocol in ("json", "rest-json"):
        body = json.loads(e.answer)
        code = e.answer_headers.get("x-amzn-errortype", body.get("__type", "")).split(":")[0].rpartition("#")[2]
        if protocol == "rest-json" and "x-amzn-errortype" not in e.answer_headers:
            return ["no x-amzn-ErrorType"]
        if not ("message" in body or "Message" in body):
            return [f"{code} without a message"]
    else:
        root = ET.fromstring(e.answer)
        node = root if root.tag.rpartition("}")[2] == "Error" else next((c for c in root if c.tag.rpartition("}")[2] == "Error"), None)
        if node is None:
            return [f"<{root.tag}> is no error"]
        code = next((c.text or "" for c in node if c.tag.rpartition("}")[2] == "Code"), "")
        if not code:
            return ["an error without a code"]
    if service == "s3":
        return []  # its model declares next to none
    if code in declared:
        wanted = declared[code].metadata.get("error", {}).get("httpStatusCode")
        return [f"{code} with {e.status}, the model says {wanted}"] if wanted and wanted != e.status else []
    return [] if code in COMMON_ERRORS[service] else [f"{code} ({e.status}) is not declared"]


def check(models, e):
    """(service.operation or None, findings)."""
    found = models.operation(e)
    if not found:
        return None, []
    service, op = found
    try:
        if e.status >= 300:
            bad = check_error(service, op, e)
        else:
            bad = [f"request {b}" for b in check_request(service, op, e)] + [f"answer {b}" for b in check_success(service, op, e)]
    except (ValueError, ET.ParseError) as x:
        bad = [f"unreadable: {x}"]
    return f"{service}.{op.name}", bad
