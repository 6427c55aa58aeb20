"""Hours in seconds: retries, ages, destinations, the dead list and schedules under a clock that the test sets, also across
kill -9. Only the flavour that is compiled with -DPERILUNE_FAULTS has such a clock (core/base/clock_read.c)."""
import datetime
import json
import mmap
import os
import pathlib
import struct
import tempfile
import time

import botocore.exceptions
import pytest

import perilune
from perilune import BUILD, HOLD, SANITIZED, TOP, Server, eventually, occupied, unique
from test_lambda import arn
from traffic import figure

pytestmark = pytest.mark.boto3
FAILS = "return { main = function(e) error({ errorType = 'Refused', message = 'no' }) end }"
WORKS = "return { main = function(e) return { got = e } end }"
HOLDS = "return { main = function(e) " + HOLD + "end }"
MINUTE, HOUR, DAY = 60, 3600, 86400
POLL_S = 0.1  # a look starts a program or two


class Clock:
    """Seconds added to wall time and to store time of servers that have its environment."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="perilune-clock-")
        os.chmod(self.dir, 0o755)
        path = pathlib.Path(self.dir) / "clock"
        path.write_bytes(bytes(16))
        path.chmod(0o644)
        self.env = {"PERILUNE_CLOCK_FILE": str(path)}
        with open(path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 16)
        self.wall_s = self.store_s = 0

    def add(self, store_s=0, wall_s=0):
        self.store_s += store_s
        self.wall_s += wall_s
        struct.pack_into("qq", self.map, 0, int(self.wall_s * 1000), int(self.store_s * 1000))


@pytest.fixture
def clock(monkeypatch):
    if not SANITIZED:  # that build has it anyway
        monkeypatch.setattr(perilune, "BINARY", TOP / BUILD / "faults/perilune")
    return Clock()


@pytest.fixture
def timed(clock):
    with Server(env=clock.env) as server:
        server.clock = clock
        yield server


def send(server, name, event=None):
    r = server.client("lambda").invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps(event or {}))
    return r["ResponseMetadata"]["RequestId"]


def rows(server, name, *more):
    return json.loads(server.cli("runs", "list", name, *more, "--json").stdout)["runs"]


def show(server, row):
    return json.loads(server.cli("runs", "show", row["id"], "--json").stdout)


def only(server, name, state, attempts=None):
    """The one run of that function, once it is in that state."""
    def there():
        found = rows(server, name)
        return [r for r in found if r["state"] == state and attempts in (None, r["attempts"])]
    return eventually(there, 60, POLL_S)[0]


def seconds(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def pause(server, s):
    """The queue looks at the clock each second; nothing that is due is still waiting after this."""
    server.clock.add(store_s=s)
    time.sleep(1.2)


def gaps(server, row):
    tries = show(server, row)["tries"]
    return [seconds(b["started"]) - seconds(a["ended"]) for a, b in zip(tries, tries[1:])]


def advance_until(server, name, attempts, wait_s):
    """Store time goes on until that try has begun, the last seconds one by one; events of another function make the queue look."""
    server.clock.add(store_s=wait_s - 5)
    for _ in range(15):
        send(server, "ticker")
        if rows(server, name)[0]["attempts"] >= attempts:
            return
        server.clock.add(store_s=1)
    raise AssertionError(f"no try {attempts} within {wait_s + 10} s")


@pytest.mark.parametrize("kills", [0, 1])
def test_retries_after_one_and_two_minutes(timed, kills):
    timed.make_function(WORKS, name="ticker")
    name = timed.make_function(FAILS)
    send(timed, name, {"n": 1})
    only(timed, name, "waiting", 1)
    for attempt, wait_s in ((2, 60), (3, 120)):
        if kills:
            timed.kill()
            timed.start()
        advance_until(timed, name, attempt, wait_s)
        only(timed, name, "waiting" if attempt == 2 else "dead", attempt)
    dead = only(timed, name, "dead", 3)
    waits = gaps(timed, dead)
    assert len(waits) == 2 and all(abs(got - want) <= 0.05 * want for got, want in zip(waits, (60, 120))), waits
    assert dead["error_type"] == "RetriesExhausted" and show(timed, dead)["event"] == {"n": 1}
    pause(timed, HOUR)
    assert rows(timed, name)[0]["attempts"] == 3
    figure("D9", f"retries after {waits[0]:.1f} and {waits[1]:.1f} s of store time{', killed before each' if kills else ''}")


def configured(server, code, target, **config):
    """A function whose outcomes go to the target."""
    role = server.make_role({"Effect": "Allow", "Action": ["lambda:InvokeFunction", "perilune:*"], "Resource": "*"})
    name = server.make_function(code, role=role, Timeout=60)
    server.client("lambda").put_function_event_invoke_config(
        FunctionName=name, DestinationConfig={"OnSuccess": {"Destination": arn(target)}, "OnFailure": {"Destination": arn(target)}}, **config)
    return name


def heard(server, target, request):
    """The record about that request that the target got."""
    def there():
        events = [show(server, r)["event"] for r in rows(server, target)]
        return [e for e in events if e.get("requestContext", {}).get("requestId") == request]
    found = eventually(there, 60, POLL_S)
    assert len(found) == 1
    return found[0]


def test_destinations_and_dead_letters(timed):
    target, letters = timed.make_function(WORKS), timed.make_function(WORKS)
    failing = configured(timed, FAILS, target, MaximumRetryAttempts=1)
    lam = timed.client("lambda")
    lam.update_function_configuration(FunctionName=failing, DeadLetterConfig={"TargetArn": arn(letters)})
    request = send(timed, failing, {"order": 7})
    only(timed, failing, "waiting", 1)
    timed.kill()
    timed.start()
    pause(timed, 61)
    record = heard(timed, target, request)
    assert list(record) == ["version", "timestamp", "requestContext", "requestPayload", "responseContext", "responsePayload"]
    assert record["version"] == "1.0" and seconds(record["timestamp"])
    assert record["requestContext"] == {"requestId": request, "functionArn": arn(failing) + ":$LATEST", "condition": "RetriesExhausted",
                                        "approximateInvokeCount": 2}
    assert record["requestPayload"] == {"order": 7}
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    assert record["responsePayload"]["errorType"] == "Refused"
    letter = only(timed, letters, "done")
    assert show(timed, letter)["event"] == {"order": 7}
    working = configured(timed, WORKS, target)
    request = send(timed, working, {"order": 8})
    record = heard(timed, target, request)
    assert record["requestContext"]["condition"] == "Success" and record["requestContext"]["approximateInvokeCount"] == 1
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST"}
    assert record["responsePayload"] == {"got": {"order": 8}}


def test_throttled_events_burn_no_try_and_grow_old(timed):
    target = timed.make_function(WORKS)
    lam = timed.client("lambda")
    held = configured(timed, HOLDS, target, MaximumEventAgeInSeconds=6 * HOUR)
    old = configured(timed, HOLDS, target, MaximumEventAgeInSeconds=60)
    with occupied(timed, held), occupied(timed, old):
        requests = [send(timed, name) for name in (held, old)]
        for s in (5, 20, 20, 20):  # each time it is refused again
            pause(timed, s)
        record = heard(timed, target, requests[1])
        assert record["requestContext"]["condition"] == "EventAgeExceeded" and record["requestContext"]["approximateInvokeCount"] == 0
        assert "responsePayload" not in record
        assert only(timed, old, "dead")["attempts"] == 0
        for _ in range(6):
            pause(timed, HOUR - 400)
        row, = rows(timed, held)
        assert (row["state"], row["attempts"], row["request_id"]) == ("queued", 0, requests[0])
        lam.delete_function_concurrency(FunctionName=held)
        assert only(timed, held, "done")["attempts"] == 1
        lam.put_function_concurrency(FunctionName=held, ReservedConcurrentExecutions=1)
        send(timed, held)
        for _ in range(7):
            pause(timed, HOUR)
        assert eventually(lambda: [r for r in rows(timed, held) if r["state"] == "dead"], 60)[0]["error_type"] == "EventAgeExceeded"


def rule(server, name, expression, target):
    events = server.client("events")
    at = events.put_rule(Name=name, ScheduleExpression=expression)["RuleArn"]
    server.client("lambda").add_permission(FunctionName=target, StatementId=unique("s"), Action="lambda:InvokeFunction",
                                           Principal="events.amazonaws.com", SourceArn=at)
    events.put_targets(Rule=name, Targets=[{"Id": "t", "Arn": arn(target)}])


def times(server, target):
    """For which times it was run."""
    return sorted(show(server, r)["event"]["time"] for r in rows(server, target))


@pytest.mark.parametrize("jump", [HOUR, DAY])
def test_the_wall_clock_jumps(timed, jump):
    """R5: forwards and back; then back ten seconds again and again."""
    clock = timed.clock
    by_cron, by_rate = timed.make_function(WORKS), timed.make_function(WORKS)
    slow = timed.make_function("return { main = function() time.sleep(2.5) return 'whole' end }", Timeout=4)
    rule(timed, "cron", "cron(* * * * ? *)", by_cron)
    rule(timed, "rate", "rate(1 minute)", by_rate)
    request = send(timed, slow)
    clock.add(wall_s=jump)
    time.sleep(2.5)  # what it skips counts as missed: run once, and what is due now
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        timed.client("lambda").list_functions()
    assert refused.value.response["Error"]["Code"] in ("InvalidSignatureException", "RequestTimeTooSkewed")
    clock.add(wall_s=-jump)
    run = eventually(lambda: [r for r in rows(timed, slow, "--state", "done") if r["request_id"] == request], 60, POLL_S)
    assert show(timed, run[0])["result"] == "whole"  # its deadline knows nothing of that
    next_minute_s = MINUTE - time.time() % MINUTE
    clock.add(wall_s=next_minute_s, store_s=next_minute_s)
    ran = eventually(lambda: (got := times(timed, by_cron)) and len(got) >= 2 and got, 60, POLL_S)
    assert len(set(ran)) == len(ran) <= 5, ran
    for _ in range(20):  # back ten seconds every second
        clock.add(wall_s=-10)
        time.sleep(0.1)
    clock.add(wall_s=200)
    before, real = times(timed, by_cron), time.monotonic()
    for minutes in (1, 2):  # what was given up while the clock was wrong comes after all
        clock.add(wall_s=MINUTE, store_s=MINUTE)
        eventually(lambda: len(times(timed, by_cron)) >= len(before) + minutes, 60, POLL_S)
        eventually(lambda: len(times(timed, by_rate)) >= minutes, 60, POLL_S)
    clock.add(wall_s=-2 * MINUTE)
    time.sleep(1.5)
    after, passed = times(timed, by_cron), (time.monotonic() - real) // MINUTE + 1
    assert len(set(after)) == len(after), after
    assert len(times(timed, by_rate)) <= 3 + passed
