"""The ledger of events: listed, replayed, given up, redriven; what a crash leaves of it."""
import datetime
import json
import urllib.error
import urllib.request

import pytest

from perilune import eventually, make_zip, unique
from test_lambda import arn

boto = pytest.mark.boto3
ECHO = "return { main = function(e) return { got = e } end }"
BROKEN = "return { main = function(e) error({ errorType = 'OrderRejected', message = 'no' }) end }"


@pytest.fixture(scope="module")
def lam(server):
    return server.client("lambda", read_timeout=60)


def send(lam, name, event):
    r = lam.invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps(event))
    assert r["StatusCode"] == 202
    return r["ResponseMetadata"]["RequestId"]


def ask(server, *args, **kw):
    return json.loads(server.cli(*args, "--json", **kw).stdout)


def runs(server, name, *args):
    return ask(server, "runs", "list", name, *args)["runs"]


def dead(server, name):
    return ask(server, "dead", "list", name)["dead"]


def code(server, *args):
    return server.cli(*args, check=False).returncode


@boto
def test_a_run_is_listed_shown_and_replayed(server, lam):
    name = server.make_function(ECHO)
    request = send(lam, name, {"n": 1})
    row = eventually(lambda: [r for r in runs(server, name) if r["state"] == "done"])[0]
    assert (row["function"], row["source"], row["attempts"], row["request_id"]) == (name, "invoke", 1, request)
    run = ask(server, "runs", "show", row["id"])
    assert run["event"] == {"n": 1} and run["result"] == {"got": {"n": 1}}
    assert len(run["tries"]) == 1 and run["tries"][0]["duration_ms"] > 0 and run["accepted"] <= run["ended"]
    again = ask(server, "runs", "replay", row["id"])
    other = ask(server, "runs", "replay", row["id"], "--event", '{"n":2}')
    eventually(lambda: len([r for r in runs(server, name, "--state", "done") if r["source"] == "replay"]) == 2)
    shown = [ask(server, "runs", "show", r["id"]) for r in (again, other)]
    assert [s["event"] for s in shown] == [{"n": 1}, {"n": 2}] and {s["replay_of"] for s in shown} == {row["id"]}
    assert code(server, "runs", "replay", row["id"], "--event", "{") == 1
    assert code(server, "runs", "show", "0123456789abcdef") == code(server, "runs", "show", "x") == 3
    assert code(server, "runs", "list", name, "--state", "odd") != 0
    assert code(server, "runs", "list", name, "--source", "schedule") == 1
    assert code(server, "dead", "show", row["id"]) == 5, "it is not dead"
    table = server.cli("runs", "list", name).stdout
    assert row["id"] in table and "replay" in table


@boto
def test_pages(server, lam):
    name = server.make_function(ECHO)
    for n in range(7):
        send(lam, name, {"n": n})
    eventually(lambda: len(runs(server, name, "--state", "done")) == 7)
    seen, cursor = [], ""
    while cursor is not None:
        page = json.loads(server.signed("GET", f"/perilune/v1/runs?function={name}&limit=3&cursor={cursor}", service="perilune")[2])
        seen += [r["id"] for r in page["runs"]]
        cursor = page["cursor"]
    assert len(set(seen)) == len(seen) == 7
    everything = [r["id"] for r in ask(server, "runs", "list", "--limit", "400")["runs"]]
    assert set(seen) <= set(everything)
    assert server.signed("GET", "/perilune/v1/runs?cursor=1.2", service="perilune")[0] == 400


@boto
def test_dead_and_redriven(server, lam):
    name = server.make_function(BROKEN)
    lam.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0)
    request = send(lam, name, {"order": 7})
    row = eventually(lambda: dead(server, name))[0]
    assert (row["state"], row["attempts"], row["error_type"], row["request_id"]) == ("dead", 1, "RetriesExhausted", request)
    assert "OrderRejected" in row["error"]
    shown = ask(server, "dead", "show", row["id"])
    assert shown["event"] == {"order": 7} and shown["tries"][0]["error_type"] == "OrderRejected"
    send(lam, name, {"order": 8})
    send(lam, name, {"order": 9})
    eventually(lambda: len(dead(server, name)) == 3)
    lam.update_function_code(FunctionName=name, ZipFile=make_zip(ECHO))
    assert ask(server, "dead", "redrive", row["id"]) == {"redriven": 1, "skipped": 0}
    eventually(lambda: ask(server, "runs", "show", row["id"])["state"] == "done")
    assert ask(server, "runs", "show", row["id"])["result"] == {"got": {"order": 7}}
    assert code(server, "dead", "redrive", row["id"]) == 5
    assert ask(server, "dead", "redrive", "--function", name)["redriven"] == 2
    eventually(lambda: len(runs(server, name, "--state", "done")) == 3)
    assert dead(server, name) == []


@boto
def test_dead_and_dropped(server, lam):
    name = server.make_function(BROKEN)
    lam.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0)
    for n in range(3):
        send(lam, name, n)
    rows = eventually(lambda: len(dead(server, name)) == 3 and dead(server, name))
    assert ask(server, "dead", "drop", rows[0]["id"]) == {"dropped": 1}
    assert code(server, "dead", "drop", rows[0]["id"]) == 3
    assert ask(server, "dead", "drop", "--function", name) == {"dropped": 2} and dead(server, name) == []
    assert code(server, "dead", "drop") == 2
    send(lam, name, 4)
    left = eventually(lambda: dead(server, name))
    lam.delete_function(FunctionName=name)
    assert [r["id"] for r in dead(server, name)] == [left[0]["id"]], "its function is gone, the event is not"
    assert ask(server, "dead", "redrive", "--function", name) == {"redriven": 0, "skipped": 1}
    assert ask(server, "dead", "drop", "--function", name) == {"dropped": 1}
    assert code(server, "dead", "redrive", left[0]["id"]) == code(server, "runs", "list", unique("never")) == 3
    for command in (("list",), ("redrive", "--function"), ("drop", "--function")):
        for gone in (name, unique("never")):
            made = server.cli("dead", *command, gone, check=False)
            assert (made.returncode, made.stdout) == (3, "") and f"Function not found: {gone}" in made.stderr
    other = server.make_function(ECHO)
    assert ask(server, "dead", "redrive", "--function", other) == {"redriven": 0, "skipped": 0}
    assert ask(server, "dead", "drop", "--function", other) == {"dropped": 0}


@boto
def test_by_time_and_cause(server, lam):
    name = server.make_function(ECHO)
    send(lam, name, 1)
    first = eventually(lambda: runs(server, name, "--state", "done"))[0]
    ask_api = lambda query: json.loads(server.signed("GET", f"/perilune/v1/runs?function={name}&{query}", service="perilune")[2])["runs"]
    at = int(datetime.datetime.fromisoformat(first["accepted"].replace("Z", "+00:00")).timestamp() * 1000)
    assert [r["id"] for r in ask_api(f"since={at}")] == [first["id"]] == [r["id"] for r in ask_api(f"until={at + 1}")]
    assert ask_api(f"since={at + 1}") == [] == ask_api(f"until={at}")
    assert first["duration_ms"] > 0
    assert ask_api("source_arn=arn%3Aaws%3As3%3A%3A%3Anone") == []
    for bad in ("since=x", "until=-1"):
        assert server.signed("GET", f"/perilune/v1/runs?{bad}", service="perilune")[0] == 400


@boto
def test_what_is_to_run_is_listed_for_all_functions(own_server):
    """Not by looking through all that ever ran: each page finds what waits."""
    server = own_server()
    lam = server.client("lambda", read_timeout=60)
    names = sorted(server.make_function(BROKEN) for _ in range(3))
    for name in names:
        for n in range(4):
            send(lam, name, n)
    listed = lambda: ask(server, "runs", "list", "--state", "waiting", "--limit", "100")["runs"]
    eventually(lambda: len(listed()) == 12)
    seen, cursor = [], ""
    while cursor is not None:
        page = json.loads(server.signed("GET", f"/perilune/v1/runs?state=waiting&limit=5&cursor={cursor}", service="perilune")[2])
        seen += [(r["function"], r["id"]) for r in page["runs"]]
        cursor = page["cursor"]
    assert len(set(seen)) == len(seen) == 12 and sorted({f for f, _ in seen}) == names
    assert ask(server, "runs", "list", "--state", "running")["runs"] == []


@boto
def test_who_may(server, lam):
    name = server.make_function(ECHO)
    send(lam, name, 1)
    row = eventually(lambda: runs(server, name, "--state", "done"))[0]
    iam = server.client("iam")
    user = unique("watcher")
    iam.create_user(UserName=user)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["perilune:ListRuns", "perilune:GetRun", "perilune:ReplayRun"], "Resource": "*"}]}))
    as_user = lambda method, path: server.signed(method, path, service="perilune", access_key=key["AccessKeyId"], secret_key=key["SecretAccessKey"])[0]
    assert as_user("GET", "/perilune/v1/runs") == 200 and as_user("GET", "/perilune/v1/dead") == 403
    assert as_user("POST", f"/perilune/v1/runs/{row['id']}/replay") == 403, "it may not invoke the function"


@boto
def test_runs_that_somebody_waited_for(server, lam):
    name = server.make_function("return { main = function(e) if e.bad then error('bad') end return e.n end }")
    for n in range(3):
        server.invoke(name, {"n": n})
    lam.invoke(FunctionName=name, Payload=b'{"bad":true}')
    rows = eventually(lambda: len(runs(server, name)) == 4 and runs(server, name))
    assert all(r["synchronous"] and r["state"] == "done" and r["attempts"] == 1 for r in rows)
    assert [r.get("error_type") for r in rows] == ["Runtime.LuaError", None, None, None]
    assert ask(server, "runs", "show", rows[1]["id"])["event"] == {"n": 2}
    assert ask(server, "runs", "show", rows[1]["id"])["result"] == 2
    assert dead(server, name) == [], "its caller knows; it is on no list"
    again = ask(server, "runs", "replay", rows[1]["id"], "--event", '{"n":9}')
    assert eventually(lambda: ask(server, "runs", "show", again["id"]).get("result")) == 9


@boto
def test_runs_of_a_url(server, lam):
    """Kept like other runs that somebody waited for; but nobody's credentials are."""
    code = """return { main = function(e)
      if e.rawPath == "/bad" then error("bad") end
      return { statusCode = 201, headers = { ["x-kind"] = "made" }, cookies = { "s=1; Path=/" }, body = e.rawPath == "/long" and ("é"):rep(4000) or "got " .. (e.body or "nothing") }
    end }"""
    name = server.make_function(code)
    lam.create_function_url_config(FunctionName=name, AuthType="NONE")
    lam.add_permission(FunctionName=name, StatementId="url", Action="lambda:InvokeFunctionUrl", Principal="*", FunctionUrlAuthType="NONE")
    url = f"{server.url}/url/{name}"
    ask_url = lambda path, body=None, **headers: urllib.request.urlopen(urllib.request.Request(url + path, data=body, headers=headers), timeout=30).read()
    assert ask_url("/first?a=1&a=%C3%A9&b", b"moon", Authorization="Bearer hidden", Cookie="sid=hidden", **{"X-Given": "kept"}) == b"got moon"
    ask_url("/bytes", b"\xff\x00")
    ask_url("/long")
    with pytest.raises(urllib.error.HTTPError):
        ask_url("/bad")
    rows = eventually(lambda: len(runs(server, name)) == 4 and runs(server, name))
    assert all(r["source"] == "url" and r["synchronous"] and r["state"] == "done" for r in rows)
    shown = {}
    for r in rows:
        run = ask(server, "runs", "show", r["id"])
        assert "hidden" not in json.dumps(run)
        shown[run["event"]["rawPath"]] = run
    first = shown["/first"]
    event = first["event"]
    assert (event["version"], event["rawQueryString"], event["body"], event["isBase64Encoded"]) == ("2.0", "a=1&a=%C3%A9&b", "moon", False)
    assert event["queryStringParameters"] == {"a": "1,é", "b": ""} and event["headers"]["x-given"] == "kept"
    assert event["headers"]["authorization"] == "(not kept)" and event["cookies"] == ["sid=(not kept)"]
    http = event["requestContext"]["http"]
    assert (http["method"], http["path"], http["sourceIp"], event["requestContext"]["requestId"]) == ("POST", "/first", "127.0.0.1", first["request_id"])
    assert first["result"] == {"statusCode": 201, "headers": {"content-type": "application/json", "x-kind": "made"}, "cookies": ["s=(not kept)"], "isBase64Encoded": False, "body": "got moon"}
    assert shown["/bytes"]["event"]["isBase64Encoded"] and shown["/bytes"]["event"]["body"] == "/wA="
    assert shown["/long"]["result_bytes"] > 8000 and shown["/long"]["result_text"].startswith('{"statusCode":201')
    assert shown["/bad"]["error_type"] == "Runtime.LuaError"
    again = ask(server, "runs", "replay", first["id"])
    assert eventually(lambda: ask(server, "runs", "show", again["id"]).get("result"))["body"] == "got moon"


@boto
def test_no_row_is_lost(own_server):
    """kill -9 amid runs: each acknowledged event is a row, and in the end each is done."""
    server = own_server()
    lam = server.client("lambda", read_timeout=60)
    name = server.make_function("return { main = function(e) time.sleep(0.02) return e end }")
    sent = set()
    for _ in range(3):
        sent |= {send(lam, name, {"n": n}) for n in range(40)}
        server.kill()
        server.start()
    listed = lambda *state: {r["request_id"] for r in runs(server, name, "--limit", "1000", *state)}
    assert listed() == sent
    eventually(lambda: listed("--state", "done") == sent, 30)
    queue = lambda: ask(server, "status")["queue"]
    eventually(lambda: [queue()[k] for k in ("queued", "late_ms", "bytes")] == [0, 0, 0])


@boto
def test_kept_by_number_and_age(own_server):
    server = own_server("--runs-keep", "3", "--runs-sample", "0")
    lam = server.client("lambda")
    name = server.make_function(ECHO)
    server.invoke(name, {})
    for n in range(6):
        send(lam, name, {"n": n})
    eventually(lambda: len(runs(server, name, "--state", "done")) == 3 and len(runs(server, name)) == 3)
    assert not any(r["synchronous"] for r in runs(server, name))
    assert server.stop() == 0
    server.flags += ["--runs-age", "1"]
    server.start()
    eventually(lambda: runs(server, name) == [], 15)
