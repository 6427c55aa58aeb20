"""Reserved concurrency at work, and what asynchronous calls do by their configuration."""
import concurrent.futures
import contextlib
import itertools
import json
import re
import statistics
import threading
import time

import pytest
from botocore.exceptions import ClientError

from perilune import HOLD, eventually, make_zip, occupied, unique
from test_lambda import UUID, arn, refused

boto = pytest.mark.boto3
SLOW = "return { main = function(e) " + HOLD + "return 'done' end }"
ANY = {"Effect": "Allow", "Action": "perilune:*", "Resource": "*"}


@pytest.fixture(scope="module")
def lam(server):
    return server.client("lambda", read_timeout=60, max_pool_connections=40)


def together(n, call):
    """What n calls at once gave: answers, and the errors' answers."""
    def one(_):
        try:
            return call(), None
        except ClientError as e:
            return None, e.response
    with concurrent.futures.ThreadPoolExecutor(n) as pool:
        got = list(pool.map(one, range(n)))
    return [g for g, e in got if not e], [e for _, e in got if e]


def held(server, n, refused, call):
    """The same, call(event), of runs that go on until so many others have been refused."""
    key, left, counting = unique("hold"), [refused], threading.Lock()

    def one():
        try:
            return call({"hold": key})
        except ClientError:
            with counting:
                left[0] -= 1
            raise

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        calls = pool.submit(together, n, one)
        try:
            eventually(lambda: left[0] <= 0, 30)
        finally:
            server.cli("kv", "set", "holds", key, "over")
        return calls.result()


@boto
def test_reserved_concurrency(server, lam):
    name = server.make_function(SLOW, role=server.make_role(ANY), Timeout=60)
    server.invoke(name, {})
    lam.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=3)
    good, bad = held(server, 10, 7, lambda e: server.invoke(name, e, client=lam)[0])
    assert good == ["done"] * 3 and len(bad) == 7
    for r in bad:
        assert (r["Error"]["Code"], r["ResponseMetadata"]["HTTPStatusCode"]) == ("TooManyRequestsException", 429)
        assert r["Error"]["Message"] == "Rate Exceeded." and r["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
        assert r["ResponseMetadata"]["HTTPHeaders"]["retry-after"]
    good, bad = together(3, lambda: server.invoke(name, client=lam)[0])
    assert len(good) == 3, "places are given back"
    lam.publish_version(FunctionName=name)
    lam.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    turns = itertools.count()
    good, bad = held(server, 8, 5, lambda e: server.invoke(name, e, client=lam, **({"Qualifier": "live"} if next(turns) % 2 else {}))[0])
    assert len(good) == 3, "all versions share it"
    lam.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    with refused("TooManyRequestsException", 429, "Rate Exceeded."):
        lam.invoke(FunctionName=name)
    lam.delete_function_concurrency(FunctionName=name)
    good, bad = together(10, lambda: server.invoke(name, client=lam)[0])
    assert len(good) == 10


def refusals(bad):
    return {(r["ResponseMetadata"]["HTTPStatusCode"], r["Error"]["Code"], r["Reason"], r["ResponseMetadata"]["HTTPHeaders"]["retry-after"]) for r in bad}


@boto
def test_account_concurrency(own_server):
    """What functions have not reserved is one pool for all the others; reserving leaves them some."""
    s = own_server("--concurrency", "10")
    lam = s.client("lambda", read_timeout=60, max_pool_connections=40)
    limits = lambda: tuple(lam.get_account_settings()["AccountLimit"][k] for k in ("ConcurrentExecutions", "UnreservedConcurrentExecutions"))
    role = s.make_role(ANY)
    own, one, two = (s.make_function(SLOW, role=role, Timeout=60) for _ in range(3))
    assert limits() == (10, 10)
    lam.put_function_concurrency(FunctionName=own, ReservedConcurrentExecutions=4)
    lam.put_function_concurrency(FunctionName=own, ReservedConcurrentExecutions=6)
    assert limits() == (10, 4)
    with refused("InvalidParameterValueException", 400, "Specified ReservedConcurrentExecutions for function decreases account's "
                 "UnreservedConcurrentExecution below its minimum value of [1]."):
        lam.put_function_concurrency(FunctionName=one, ReservedConcurrentExecutions=4)
    s.stop()
    s.start()  # it is kept
    calls = [one, two] * 5 + [own] * 6
    turn = iter(calls)
    lock = threading.Lock()

    def call(event):
        with lock:
            name = next(turn)
        return name, s.invoke(name, event, client=lam)[0]
    good, bad = held(s, len(calls), 6, call)
    assert sorted(good) == sorted([(own, "done")] * 6 + [g for g in good if g[0] != own]) and len(good) == 6 + 4
    assert refusals(bad) == {(429, "TooManyRequestsException", "ConcurrentInvocationLimitExceeded", "1")} and len(bad) == 6
    lam.delete_function(FunctionName=own)
    assert limits() == (10, 10)
    good, bad = together(10, lambda: s.invoke(one, client=lam)[0])
    assert len(good) == 10 and not bad
    assert s.stop() == 0, s.stderr()


@boto
def test_nested_at_the_account_limit(own_server):
    """Runs that wait for another run, at a limit that has no room for it, are told so and go on; events wait."""
    s = own_server("--concurrency", "4")
    inner = s.make_function("return { main = function(e, context) return context.attempt end }")
    role = s.make_role(ANY, {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": "*"})
    outer = s.make_function("return { main = function(e) " + HOLD + f"""
        local value, err = lambda.invoke('{inner}', {{}})
        return err and err.code or value
    end }}""", role=role, Timeout=60)
    lam = s.client("lambda", read_timeout=100, max_pool_connections=10)

    @contextlib.contextmanager
    def all_taken():
        """The account's four places are; what the four runs answered, after the block."""
        key, answers = unique("hold"), []
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            running = [pool.submit(s.invoke, outer, {"hold": key}, lam) for _ in range(4)]
            try:
                eventually(lambda: s.metric("runners_busy") == 4, 30)
                yield answers
            finally:
                s.cli("kv", "set", "holds", key, "over")
            answers += [r.result() for r in running]

    with all_taken() as answers:
        pass
    good = [value for value, error, _ in answers if error is None]
    assert len(good) == 4 and set(good) <= {"Throttled", 1} and "Throttled" in good
    assert s.invoke(outer, client=lam)[0] == 1
    keeper = s.make_function("return { main = function(e, context) print('attempt ' .. context.attempt) end }")
    with all_taken() as answers:
        lam.invoke(FunctionName=keeper, InvocationType="Event")
    assert all(error is None for _, error, _ in answers)
    assert eventually(lambda: s.log_lines(keeper, "attempt"), 30) == ["attempt 1"], "waiting burnt a try"


@boto
def test_errors_give_places_back(server, lam):
    name = server.make_function("return { main = function(e) if e.spin then while true do end end error('no') end }", Timeout=1)
    lam.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    for event in ({}, {}, {"spin": True}, {}, {}):
        assert server.invoke(name, event)[1] == "Unhandled"


@boto
def test_events_wait_for_their_places(server, lam):
    """Events of a function whose places are taken wait, burn no try, and run once there is one."""
    role = server.make_role({"Effect": "Allow", "Action": "perilune:*", "Resource": "*"})
    name = server.make_function("return { main = function(e, context) " + HOLD + "if e.i then print('ran ' .. e.i, context.attempt) end end }", role=role, Timeout=60)
    ran = lambda: sorted(x for x in server.log_lines(name) if x.startswith("ran "))
    with occupied(server, name):
        for i in range(5):
            assert lam.invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps({"i": i}).encode())["StatusCode"] == 202
        time.sleep(0.3)
        assert not ran()
    lam.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    eventually(lambda: len(ran()) == 5, timeout=15)
    assert ran() == [f"ran {i}\t1" for i in range(5)]


@boto
def test_events_of_a_function_that_may_not_run(server, lam, pair):
    """With no concurrency they go where failures go, at once and without a try."""
    name, keeper = pair
    lam.put_function_event_invoke_config(FunctionName=name, DestinationConfig={"OnFailure": {"Destination": arn(keeper)}})
    lam.update_function_configuration(FunctionName=name, DeadLetterConfig={"TargetArn": arn(keeper)})
    lam.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    id = send(lam, name, {"x": 1})
    got = eventually(lambda: (got := records(server, keeper)) and len(got) == 2 and got)
    record = next(r for r in got if "version" in r)
    assert {"x": 1} in got and record.pop("timestamp")
    assert record == {"version": "1.0", "requestContext": {"requestId": id, "functionArn": arn(name) + ":$LATEST", "condition": "ZeroReservedConcurrency",
                                                           "approximateInvokeCount": 0}, "requestPayload": {"x": 1}}
    dead = [r for r in json.loads(server.cli("dead", "list", "--json").stdout)["dead"] if r["function"] == name]
    assert [(r["error_type"], r["attempts"]) for r in dead] == [("ZeroReservedConcurrency", 0)]
    lam.delete_function_concurrency(FunctionName=name)
    server.cli("dead", "redrive", dead[0]["id"])
    assert eventually(lambda: any(x.startswith(f"REPORT RequestId: {id}") for x in server.log_lines(name)))


KEEPER = "return { main = function(e) print('got ' .. json.encode(e)) end }"


@pytest.fixture
def pair(server):
    """A function and the one that its outcomes are sent to."""
    keeper = server.make_function(KEEPER)
    role = server.make_role({"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": [arn(keeper), arn(keeper) + ":*"]})
    name = server.make_function("return { main = function(e) if e.fail then error({ errorType = 'Broken', message = 'as asked' }) end return { fine = e.x } end }", role=role)
    return name, keeper


def records(server, keeper):
    return [json.loads(x[4:]) for x in server.log_lines(keeper) if x.startswith("got ")]


def send(lam, name, event, **more):
    r = lam.invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps(event).encode(), **more)
    return r["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"]


@boto
def test_destinations(server, lam, pair):
    name, keeper = pair
    lam.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0, DestinationConfig={
        "OnSuccess": {"Destination": arn(keeper)}, "OnFailure": {"Destination": arn(keeper)}})
    id = send(lam, name, {"x": [1, {}]})
    got, = eventually(lambda: records(server, keeper))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", got.pop("timestamp"))
    assert got == {"version": "1.0", "requestContext": {"requestId": id, "functionArn": arn(name) + ":$LATEST", "condition": "Success", "approximateInvokeCount": 1},
                   "requestPayload": {"x": [1, {}]}, "responseContext": {"statusCode": 200, "executedVersion": "$LATEST"}, "responsePayload": {"fine": [1, {}]}}
    id = send(lam, name, {"fail": True})
    got = eventually(lambda: [r for r in records(server, keeper) if r["requestContext"]["requestId"] == id])[0]
    assert got["requestContext"]["condition"] == "RetriesExhausted" and got["requestContext"]["approximateInvokeCount"] == 1
    assert got["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    assert got["requestPayload"] == {"fail": True} and got["responsePayload"]["errorType"] == "Broken" and got["responsePayload"]["errorMessage"] == "as asked"
    lines = server.log_lines(name)
    assert sum(x.startswith(f"START RequestId: {id}") for x in lines) == 1, "no retry: none was wanted"


@boto
def test_destination_of_an_alias(server, lam, pair):
    """Each alias has its own; its targets may be aliases."""
    name, keeper = pair
    for n in (name, keeper):
        lam.publish_version(FunctionName=n)
        lam.create_alias(FunctionName=n, Name="live", FunctionVersion="1")
    lam.put_function_event_invoke_config(FunctionName=name, Qualifier="live", DestinationConfig={"OnSuccess": {"Destination": arn(keeper) + ":live"}})
    send(lam, name, {"x": "unheard"})
    id = send(lam, name, {"x": 2}, Qualifier="live")
    got, = eventually(lambda: records(server, keeper))
    assert got["requestContext"]["requestId"] == id and got["requestContext"]["functionArn"] == arn(name) + ":live"
    assert got["responseContext"]["executedVersion"] == "1"
    assert any(x.startswith("START") and "Version: 1" in x for x in server.log_lines(keeper))
    time.sleep(0.3)
    assert len(records(server, keeper)) == 1


@boto
def test_dead_letters(server, lam, pair):
    name, keeper = pair
    lam.update_function_configuration(FunctionName=name, DeadLetterConfig={"TargetArn": arn(keeper)})
    lam.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0)
    send(lam, name, {"fail": True, "what": "the event itself"})
    assert eventually(lambda: records(server, keeper)) == [{"fail": True, "what": "the event itself"}]


@boto
def test_the_role_decides(server, lam, pair):
    """A role that lost its right sends nothing on; what ran stays done."""
    name, keeper = pair
    lam.put_function_event_invoke_config(FunctionName=name, DestinationConfig={"OnSuccess": {"Destination": arn(keeper)}})
    lam.update_function_configuration(FunctionName=name, Role=server.make_role())
    id = send(lam, name, {"x": 1})
    eventually(lambda: [x for x in server.log_lines(name) if x.startswith(f"REPORT RequestId: {id}")])
    eventually(lambda: f"the outcome of {id} is not sent on" in server.stderr())
    time.sleep(0.2)
    assert records(server, keeper) == []


@boto
def test_large_records(server, lam, pair):
    """A record that would be too large goes without its payloads."""
    name, keeper = pair
    lam.update_function_code(FunctionName=name, ZipFile=make_zip("return { main = function(e) return ('y'):rep(900000) end }"))
    lam.update_function_code(FunctionName=keeper, ZipFile=make_zip("return { main = function(e) print('got ' .. json.encode({ n = #json.encode(e), request = #e.requestPayload,"
                                                                   " response = type(e.responsePayload) == 'string' and #e.responsePayload or 0 })) end }"))
    lam.put_function_event_invoke_config(FunctionName=name, DestinationConfig={"OnSuccess": {"Destination": arn(keeper)}})
    send(lam, name, "x" * 900000)
    got, = eventually(lambda: records(server, keeper))
    assert got["request"] == 900000 and got["response"] == 0


@boto
def test_invoke_async(server, lam):
    name = server.make_function("return { main = function(e) print('heard ' .. e.word) end }")
    r = lam.invoke_async(FunctionName=name, InvokeArgs=b'{"word":"old"}')
    assert r["Status"] == 202 and re.fullmatch(UUID, r["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"])
    assert eventually(lambda: "heard old" in server.log_lines(name))
    with refused("ResourceNotFoundException", 404):
        lam.invoke_async(FunctionName="nosuch", InvokeArgs=b"{}")
    with refused("InvalidRequestContentException", 400):
        lam.invoke_async(FunctionName=name, InvokeArgs=b"{")


def looping(server, how):
    name = unique("loop")
    role = server.make_role({"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": arn(name)})
    return server.make_function(f"return {{ main = function(e) print('run ' .. (e.n or 0)) if (e.n or 0) < 20 then {how} end return e.n end }}".replace(
        "NAME", name), name=name, role=role)


@boto
def test_loops_end(server, lam):
    """Sixteen runs in one chain of events, then the function's own log says why; unless it may loop."""
    name = looping(server, "lambda.invoke_async('NAME', { n = (e.n or 0) + 1 })")
    send(lam, name, {})
    ran = lambda: [int(x[4:]) for x in server.log_lines(name) if x.startswith("run ")]
    told = eventually(lambda: [x for x in server.log_lines(name) if "recursive loop" in x])
    assert sorted(ran()) == list(range(16)) and "RecursiveInvocation" in told[0]
    server.signed("PUT", f"/2024-08-31/functions/{name}/recursion-config", b'{"RecursiveLoop":"Allow"}', service="lambda")
    send(lam, name, {})
    eventually(lambda: 20 in ran())
    deep = looping(server, "local r, err = lambda.invoke('NAME', { n = (e.n or 0) + 1 }) if not r then return tostring(err) end return r")
    got, _, _ = server.invoke(deep, {})
    assert "recursive loop" in got


@boto
def test_destinations_in_a_ring_end(server, lam):
    ring = [unique("ring") for _ in range(2)]
    for name, other in (ring, ring[::-1]):
        role = server.make_role({"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": "*"})
        server.make_function("return { main = function(e) print('ran') error('no') end }", name=name, role=role)
    for name, other in (ring, ring[::-1]):
        lam.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": arn(other)}})
    send(lam, ring[0], {})
    ran = lambda: sum(x == "ran" for n in ring for x in server.log_lines(n))
    eventually(lambda: ran() == 16)
    time.sleep(0.3)
    assert ran() == 16


@boto
def test_a_function_that_feeds_its_own_trigger(server, lam):
    s3, bucket = server.client("s3"), unique("loop")
    s3.create_bucket(Bucket=bucket)
    name = server.make_function(f"return {{ main = function(e) print('ran') assert(s3.put('{bucket}', e.Records[1].s3.object.key .. 'x', 'more')) end }}",
                                role=server.make_role({"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/*"}))
    lam.add_permission(FunctionName=name, StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com", SourceArn=f"arn:aws:s3:::{bucket}")
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={
        "LambdaFunctionConfigurations": [{"LambdaFunctionArn": arn(name), "Events": ["s3:ObjectCreated:*"]}]})
    healthy = server.make_function("return { main = function(e) return 'well' end }")

    def took():
        began = time.monotonic()
        assert server.invoke(healthy, client=lam)[0] == "well"
        return time.monotonic() - began

    alone = [took() for _ in range(20)]
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    meanwhile = [took() for _ in range(20)]
    eventually(lambda: [x for x in server.log_lines(name) if "recursive loop" in x])
    assert statistics.median(meanwhile) <= max(0.25, 10 * statistics.median(alone)), f"others notice the loop: {alone} {meanwhile}"
    drawn = eventually(lambda: [x for x in server.log_lines(name) if "The loop: " in x])[0]
    link = f"{name} > s3://{bucket}"
    assert " > ".join([link] * 16) + f" > {name}, which was stopped" in drawn
    row = eventually(lambda: json.loads(server.cli("dead", "list", name, "--json").stdout)["dead"])[0]
    assert row["error_type"] == "RecursiveInvocationException" and row["hops"] == 16 and row["attempts"] == 0
    assert server.log_lines(name).count("ran") == 16 and s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 17


@boto
def test_what_was_stopped_as_a_loop_is_sent_on(server, lam):
    """To the destination for failures and to the dead-letter target. They run, and may call others. When that leads into the loop
    again, it is stopped again, and whom the chain has been through is not told twice."""
    loop, told, letters, after = (unique(n) for n in ("loop", "told", "letters", "after"))
    role = server.make_role({"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": "*"})
    for name, code in ((loop, f"print('ran') lambda.invoke_async('{loop}', e)"),
                       (told, f"print(json.encode(e)) lambda.invoke_async('{after}', {{}}) lambda.invoke_async('{loop}', {{again = true}})"),
                       (letters, "print(json.encode(e))"), (after, "print('ran')")):
        server.make_function(f"return {{ main = function(e) {code} end }}", name=name, role=role)
    lam.put_function_event_invoke_config(FunctionName=loop, MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": arn(told)}})
    lam.update_function_configuration(FunctionName=loop, DeadLetterConfig={"TargetArn": arn(letters)})
    send(lam, loop, {"mine": 1})
    lines = lambda name, mark: [x for x in server.log_lines(name) if mark in x]
    eventually(lambda: len(lines(loop, "The loop: ")) == 2 and len(lines(letters, "{")) == 2 and lines(after, "ran"))
    time.sleep(0.3)  # that nothing more comes is the point
    assert len(lines(loop, "ran")) == 16 + 15 and len(lines(after, "ran")) == 1
    record, = [json.loads(x) for x in lines(told, "requestContext")]
    assert record["requestPayload"] == {"mine": 1} and record["requestContext"]["approximateInvokeCount"] == 0
    assert record["requestContext"]["condition"] == "RecursiveInvocationException" and record["requestContext"]["functionArn"] == arn(loop) + ":$LATEST"
    assert "responsePayload" not in record
    assert [json.loads(x) for x in lines(letters, "{")] == [{"mine": 1}, {"again": True}]


@boto
def test_a_function_that_deletes_into_its_own_trigger(server, lam):
    """Deletes bear the lineage as writes do."""
    s3, bucket = server.client("s3"), unique("loop")
    s3.create_bucket(Bucket=bucket)
    code = f"return {{ main = function(e) print('ran') local k = e.Records[1].s3.object.key s3.put('{bucket}', k .. 'x', '') s3.delete('{bucket}', k .. 'x') end }}"
    name = server.make_function(code, role=server.make_role({"Effect": "Allow", "Action": "s3:*", "Resource": f"arn:aws:s3:::{bucket}/*"}))
    lam.add_permission(FunctionName=name, StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com", SourceArn=f"arn:aws:s3:::{bucket}")
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={
        "LambdaFunctionConfigurations": [{"LambdaFunctionArn": arn(name), "Events": ["s3:ObjectRemoved:*"]}]})
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    s3.delete_object(Bucket=bucket, Key="k")
    eventually(lambda: [x for x in server.log_lines(name) if "recursive loop" in x])
    assert server.log_lines(name).count("ran") == 16
