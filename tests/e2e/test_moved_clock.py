"""What takes minutes by the clock: retries and schedules of a server whose wall and boot time a test moves on.

The release binary, under build/fault/clock.so (tests/fault/clock.c): nothing in the server knows of it."""
import json
import mmap
import struct

import pytest

from conftest import aws_programs
from perilune import ACCOUNT, REGION, TOP, BUILD, SANITIZED, eventually, make_zip, unique
from test_lambda import arn

SHIM = TOP / BUILD / "fault" / "clock.so"
pytestmark = pytest.mark.skipif(SANITIZED or not SHIM.exists(), reason="needs build/fault/clock.so (make fault-tools), not under a sanitizer")

KEEPER = "return { main = function(e) print('got ' .. json.encode(e)) end }"


class Clock:
    def __init__(self, path):
        path.write_bytes(bytes(16))
        self.file = open(path, "r+b")
        self.map = mmap.mmap(self.file.fileno(), 16)
        self.wall_ms = self.boot_ms = 0

    def move(self, wall_s=0, boot_s=0):
        self.wall_ms += int(wall_s * 1000)
        self.boot_ms += int(boot_s * 1000)
        self.map[:] = struct.pack("=qq", self.wall_ms, self.boot_ms)


@pytest.fixture
def moved(own_server, tmp_path):
    clock = Clock(tmp_path / "clock")
    return own_server(env={"LD_PRELOAD": str(SHIM), "CLOCK_MOVED": str(tmp_path / "clock")}), clock


def ask(server, *args):
    return json.loads(server.cli(*args, "--json").stdout)


@pytest.mark.boto3
def test_three_tries_then_dead_then_redriven(moved):
    """A failing function's event: tried after 0, 60 and 180 s with one id, told to its destination as AWS tells it, on the
    dead list, and run once the code is right."""
    server, clock = moved
    lam = server.client("lambda")
    keeper = server.make_function(KEEPER)
    role = server.make_role({"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": arn(keeper)})
    name = server.make_function("return { main = function(e, context) print('try ' .. context.attempt) error({ errorType = 'OrderRejected', message = 'no stock' }) end }", role=role)
    lam.put_function_event_invoke_config(FunctionName=name, DestinationConfig={"OnFailure": {"Destination": arn(keeper)}})
    request = lam.invoke(FunctionName=name, InvocationType="Event", Payload=b'{"order":7}')["ResponseMetadata"]["RequestId"]
    row = lambda: ask(server, "runs", "list", name)["runs"][0]

    def nudge():  # the queue's timer counts monotonic time, which nobody moves: another event has it look
        lam.invoke(FunctionName=keeper, InvocationType="Event", Payload=b"1")

    for attempt, wait_s in ((1, 60), (2, 120)):
        eventually(lambda: (row()["state"], row()["attempts"]) == ("waiting", attempt), 30)
        clock.move(boot_s=wait_s - 5)
        nudge()
        eventually(lambda: len([x for x in server.log_lines(keeper) if x == "got 1"]) == 2 * attempt - 1, 30)
        assert row()["attempts"] == attempt, "it was tried too early"
        clock.move(boot_s=6)
        nudge()
    dead = eventually(lambda: ask(server, "dead", "list", name)["dead"], 30)[0]
    assert (dead["attempts"], dead["error_type"], dead["request_id"]) == (3, "RetriesExhausted", request)
    shown = ask(server, "dead", "show", dead["id"])
    assert [t["error_type"] for t in shown["tries"]] == ["OrderRejected"] * 3 and shown["event"] == {"order": 7}
    lines = server.log_lines(name)
    assert [x for x in lines if x.startswith("try ")] == ["try 1", "try 2", "try 3"]
    assert sum(x.startswith(f"START RequestId: {request}") for x in lines) == 3, "one id for all of them"
    got = eventually(lambda: [json.loads(x[4:]) for x in server.log_lines(keeper) if x.startswith("got {")], 30)
    assert len(got) == 1
    record = got[0]
    assert set(record) == {"version", "timestamp", "requestContext", "requestPayload", "responseContext", "responsePayload"}
    assert record["requestContext"] == {"requestId": request, "functionArn": arn(name) + ":$LATEST", "condition": "RetriesExhausted", "approximateInvokeCount": 3}
    assert record["requestPayload"] == {"order": 7} and record["responsePayload"]["errorType"] == "OrderRejected"
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    lam.update_function_code(FunctionName=name, ZipFile=make_zip("return { main = function(e) return { shipped = e.order } end }"))
    assert ask(server, "dead", "redrive", dead["id"])["redriven"] == 1
    eventually(lambda: ask(server, "runs", "show", dead["id"])["state"] == "done", 30)
    assert ask(server, "runs", "show", dead["id"])["result"] == {"shipped": 7} and ask(server, "dead", "list", name)["dead"] == []


@pytest.mark.aws_v2
def test_a_rule_of_the_stock_cli_fires_each_minute(moved):
    server, clock = moved
    program = aws_programs().get("aws_v2")
    if not program:
        pytest.skip("no aws CLI v2")
    rule = unique("minutely")
    name = server.make_function(KEEPER)
    rule_arn = json.loads(server.aws(program, "--output", "json", "events", "put-rule", "--name", rule, "--schedule-expression", "rate(1 minute)").stdout)["RuleArn"]
    assert rule_arn == f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{rule}"
    server.aws(program, "lambda", "add-permission", "--function-name", name, "--statement-id", "rule", "--action", "lambda:InvokeFunction",
               "--principal", "events.amazonaws.com", "--source-arn", rule_arn)
    server.aws(program, "events", "put-targets", "--rule", rule, "--targets", json.dumps([{"Id": "1", "Arn": arn(name)}]))
    got = lambda: [json.loads(x[4:]) for x in server.log_lines(name) if x.startswith("got ")]
    upcoming = lambda: [t["utc"] for t in ask(server, "schedule", "next", rule)["next"]]
    assert len(upcoming()) == 5 and not got()
    for runs in (1, 2, 3):
        clock.move(wall_s=60, boot_s=60)
        eventually(lambda: len(got()) >= runs, 30)
    events = got()
    assert all(e["source"] == "aws.events" and e["detail-type"] == "Scheduled Event" and e["resources"] == [rule_arn] for e in events)
    assert len({e["time"] for e in events}) == len(events) <= 4, "a minute fires once (one more may have passed by itself)"
    server.aws(program, "events", "remove-targets", "--rule", rule, "--ids", "1")
    server.aws(program, "events", "delete-rule", "--name", rule)
