"""Every host call x {granted, absent, other resource, explicit Deny}, from the table that the core uses."""
import concurrent.futures
import pathlib
import re
import statistics
import time

import pytest

from perilune import ACCOUNT, REGION, TOP, unique
from web import Web

pytestmark = pytest.mark.boto3

TABLE = re.findall(r'^X\((\w+), "([\w.]+)", "([\w:]*)", (\w+)\)', (TOP / "core/svc/hostcall.def").read_text(), re.M)
GUARDED = [row for row in TABLE if row[2]]

# What each call is tried with, and what it gives when it may. b: bucket, f: function, n: namespace.
CALLS = {
    "s3.get": ("local o, err = s3.get(e.b, 'there') return o and o.body, err", "body of there"),
    "s3.head": ("local o, err = s3.head(e.b, 'there') return o and o.size, err", 13),
    "s3.put": ("local o, err = s3.put(e.b, 'new', 'text') return o and #o.etag, err", 32),
    "s3.delete": ("local ok, err = s3.delete(e.b, 'gone') return ok and true or nil, err", True),
    "s3.list": ("local it, err = s3.list(e.b, {}) if not it then return nil, err end local n = 0 for o in it do n = n + 1 end return n > 0", True),
    "s3.open": ("local it, err = s3.chunks(e.b, 'there') return it and it(), err", "body of there"),
    "s3.create": ("local w, err = s3.writer(e.b, 'written') return w and w:close().size, err", 0),
    "s3.copy": ("local r, err = s3.copy(e.b, 'there', e.b, 'copied') return r and r.size, err", 13),
    "s3.presign": ("return s3.presign(e.b, 'there')", None),
    "kv.get": ("local v, ver = kv.open(e.n):get('absent') if ver and type(ver) == 'table' then return nil, ver end return v == nil", True),
    "kv.set": ("local ok, err = kv.open(e.n):set('k', 'v') return ok and true or nil, err", True),
    "kv.incr": ("return kv.open(e.n):incr('count')", None),
    "kv.delete": ("local ok, err = kv.open(e.n):delete('k') if err then return nil, err end return true", True),
    "kv.list": ("local l, err = kv.open(e.n):list() return l and true, err", True),
    "kv.commit": ("return kv.transaction(function(tx) tx:open(e.n):set('k2', 'v') end)", True),
    "secrets.get": ("return secrets.get(e.secret)", "hunter22"),
    "http.request": ("local res, err = http.get(e.web .. '/echo') return res and res.status, err", 200),
    "lambda.invoke": ("local r, err = lambda.invoke(e.f, { x = 2 }) return r and r.x, err", 2),
    "lambda.invoke_async": ("local id, err = lambda.invoke_async(e.f, { x = 2 }) return id and #id, err", 36),
}
# Calls whose parts are asked for by themselves: what the first of them is about; and what more they need.
EACH = {"kv.commit": "KV", "s3.copy": "OBJECT", "s3.presign": "OBJECT"}
MORE = {"s3.copy": "s3:GetObject"}
# kv.open():set and friends answer (value, err); kv.get answers (value, version): the wrapper below makes
# {value=, err=} of the pair.
WRAPPER = """
local function call(e)
%s
end
return { main = function(e)
  local value, err = call(e)
  if type(err) == 'table' then return { code = err.code, message = err.message, text = tostring(err) } end
  return { value = value }
end }
"""


def resource(kind, world):
    return {
        "OBJECT": f"arn:aws:s3:::{world['b']}/*",
        "BUCKET": f"arn:aws:s3:::{world['b']}",
        "KV": f"arn:aws:perilune:{REGION}:{ACCOUNT}:kv/{world['n']}",
        "FUNCTION": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{world['f']}",
        "SECRET": f"arn:aws:perilune:{REGION}:{ACCOUNT}:secret/{world['secret']}",
        "URL": world["web"] + "/*",
    }[kind]


def other(kind):
    return {
        "OBJECT": "arn:aws:s3:::another-bucket/*",
        "BUCKET": "arn:aws:s3:::another-bucket",
        "KV": f"arn:aws:perilune:{REGION}:{ACCOUNT}:kv/another",
        "FUNCTION": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:another",
        "SECRET": f"arn:aws:perilune:{REGION}:{ACCOUNT}:secret/another",
        "URL": "http://127.0.0.1/*",
    }[kind]


@pytest.fixture(scope="module")
def world(server):
    bucket = unique("calls")
    s3 = server.client("s3")
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="there", Body=b"body of there")
    echo = server.make_function("return { main = function(e) return e end }")
    secret = unique("secret")
    server.signed("PUT", f"/perilune/v1/secrets/{secret}", b"hunter22", service="perilune")
    with Web() as web:
        yield {"b": bucket, "f": echo, "n": unique("ns"), "secret": secret, "web": web.url}


def test_every_row_has_a_case():
    assert {name for _, name, _, _ in GUARDED} == set(CALLS)
    free = {name for _, name, action, _ in TABLE if not action}
    assert free == {"package.read", "time.sleep", "cache.get", "cache.set", "s3.read", "s3.write", "s3.finish",
                    "s3.close", "response.begin", "response.write"}, "calls that need no permission are few and known"


@pytest.mark.parametrize("verdict", ["granted", "absent", "other", "deny"])
@pytest.mark.parametrize("row", GUARDED, ids=lambda r: r[1])
def test_host_call(server, world, row, verdict):
    _, call, action, kind = row
    kind = EACH.get(call, kind)
    allow = {"Effect": "Allow", "Action": action, "Resource": resource(kind, world)}
    statements = {
        "granted": [allow],
        "absent": [],
        "other": [dict(allow, Resource=other(kind))],
        "deny": [{"Effect": "Allow", "Action": "*", "Resource": "*"}, dict(allow, Effect="Deny")],
    }[verdict]
    if call in MORE:
        statements = statements + [dict(allow, Action=MORE[call])]
    role = server.make_role(*statements)
    body, expected = CALLS[call]
    name = server.make_function(WRAPPER % body, role=role)
    value, error, _ = server.invoke(name, world)
    assert error is None, value
    if verdict == "granted":
        assert "code" not in value, value
        if expected is not None:
            assert value["value"] == expected, value
        return
    assert value.get("code") == "AccessDenied", value
    exact = resource(kind, world).replace("/*", "/") if kind in ("OBJECT", "URL") else resource(kind, world)
    assert action in value["message"] and exact in value["message"], value
    assert role.rsplit("/", 1)[1] in value["message"], value
    lines = "\n".join(server.log_lines(name))
    assert action in lines and exact in lines, lines


def test_denied_calls_change_nothing(server, world):
    s3 = server.client("s3")
    s3.put_object(Bucket=world["b"], Key="kept", Body=b"1")
    name = server.make_function(
        "return { main = function(e) s3.delete(e.b, 'kept') s3.put(e.b, 'sneaked', 'x') return true end }", role=server.make_role())
    assert server.invoke(name, world)[0] is True
    keys = [o["Key"] for o in s3.list_objects_v2(Bucket=world["b"])["Contents"]]
    assert "kept" in keys and "sneaked" not in keys


def test_a_changed_role_takes_effect_at_once(server, world):
    iam = server.client("iam")
    role = server.make_role()
    role_name = role.rsplit("/", 1)[1]
    name = server.make_function(WRAPPER % CALLS["s3.get"][0], role=role)
    assert server.invoke(name, world)[0]["code"] == "AccessDenied"
    import json
    iam.put_role_policy(RoleName=role_name, PolicyName="p", PolicyDocument=json.dumps(
        {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{world['b']}/the*"}}))
    assert server.invoke(name, world)[0]["value"] == "body of there"
    iam.delete_role_policy(RoleName=role_name, PolicyName="p")
    assert server.invoke(name, world)[0]["code"] == "AccessDenied"


def test_a_condition_that_is_not_understood_never_allows(server, world):
    role = server.make_role({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*",
                             "Condition": {"NumericLessThanIfExists": {"aws:MultiFactorAuthAge": "3600"}}})
    name = server.make_function(WRAPPER % CALLS["s3.get"][0], role=role)
    assert server.invoke(name, world)[0]["code"] == "AccessDenied"


HOLDER = """return { main = function(e)
  local tasks = {}
  for i = 1, 60 do tasks[i] = function() s3.get(e.b, 'large') end end
  tasks[61] = function() while true do end end
  task.all(tasks)
end }"""


def resident(server):
    return int(re.search(r"^RssAnon:\s+(\d+)", pathlib.Path(f"/proc/{server.proc.pid}/status").read_text(), re.M)[1]) << 10


def test_results_that_nobody_takes(server):
    """Functions that begin calls and never look at what comes: what lies in the core for all of them is bounded."""
    callers, results, bucket = 14, 60 * 512 * 1024, unique("left")
    server.client("s3").create_bucket(Bucket=bucket)
    server.client("s3").put_object(Bucket=bucket, Key="large", Body=bytes(512 * 1024))
    role = server.make_role({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"})
    name = server.make_function(HOLDER, role=role, Timeout=2)
    clients = [server.client("lambda", read_timeout=60) for _ in range(callers)]
    before, most = resident(server), 0
    with concurrent.futures.ThreadPoolExecutor(callers) as pool:
        calls = [pool.submit(server.invoke, name, {"b": bucket}, c) for c in clients]
        while not all(c.done() for c in calls):
            most = max(most, resident(server))
            time.sleep(0.01)
    assert {c.result()[0]["errorType"] for c in calls} == {"Sandbox.Timedout"}
    print(f"{callers} functions asked for {callers * results >> 20} MiB and took none: the core grew by {(most - before) >> 20} MiB")
    assert most - before < 340 << 20


GREEDY = """return { main = function(e)
  if type(e) == 'string' then time.sleep(3) return 1 end
  local text, told = ('x'):rep(6000000), {}
  local function send() local r, err = lambda.invoke(e.f, text) told[#told + 1] = err and err.code .. ': ' .. err.message or 'sent' end
  task.all{ send, send }
  return told
end }"""


def test_arguments_that_all_keep_open(server):
    """Functions whose calls last and are given much: what lies in the core of it is bounded for all of them together, who
    gets no room in time is told so, and a small call notices nothing."""
    callers, each = 32, 6000000  # the second call of each waits in its runner
    role = server.make_role({"Effect": "Allow", "Action": ["lambda:InvokeFunction", "perilune:Kv*"], "Resource": "*"})
    greedy = [server.make_function(GREEDY, role=role, Timeout=20) for _ in range(callers)]
    small = server.make_function("local ns = kv.open('small') return { main = function() return (ns:set('k', 'v')) and 1 end }", role=role)
    assert server.invoke(small)[0] == 1
    clients = [server.client("lambda", read_timeout=60) for _ in range(callers)]
    before, most, times = resident(server), 0, []
    with concurrent.futures.ThreadPoolExecutor(callers) as pool:
        calls = [pool.submit(server.invoke, name, {"f": name}, c) for name, c in zip(greedy, clients)]
        while not all(c.done() for c in calls):
            began = time.monotonic()
            assert server.invoke(small)[:2] == (1, None)
            times.append(time.monotonic() - began)
            most = max(most, resident(server))
    told = [t for c in calls for t in c.result()[0]]
    refused = [t for t in told if t != "sent"]
    print(f"{callers} functions kept {callers * each >> 20} MiB of arguments: {len(refused)} of {len(told)} refused, the core grew by "
          f"{(most - before) >> 20} MiB, a small call took {statistics.median(times):.3f}, at most {max(times):.3f} s")
    assert len(told) == 2 * callers and refused and len(refused) < len(told)
    assert all(t.startswith("Throttled: Too many bytes of arguments") for t in refused), refused
    assert most - before < 120 << 20
    assert statistics.median(times) < 0.5
