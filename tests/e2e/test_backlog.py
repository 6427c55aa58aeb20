"""Many events wait: a server that starts on them is there at once, takes a few at a time and grows no memory; a queue that is
full says so; an event that brings the server down is put aside; one function's rate can be capped.

BACKLOG_ROWS is how many wait (`make fault`: a million)."""
import datetime
import json
import os
import signal
import subprocess
import time

import botocore.exceptions
import pytest

from perilune import BUILD, HOLD, SANITIZED, TOP, Server, eventually, occupied
from traffic import figure

pytestmark = pytest.mark.boto3
ROWS = int(os.environ.get("BACKLOG_ROWS", "20000"))
HELLO = "return { main = function(e) return 1 end }"


def memory_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("Anonymous:"))


def queue(server):
    return json.loads(server.cli("status", "--json").stdout)["queue"]


@pytest.mark.skipif(SANITIZED, reason="the loader is of the ordinary build")
def test_a_start_on_many_rows_that_are_due():
    subprocess.run(["make", "-s", f"{BUILD}/bench/rows"], cwd=TOP, check=True)
    with Server("--store-max", "8589934592", "--queue-max-rows", str(2 * ROWS), "--queue-max-bytes", str(10 << 30)) as server:
        server.make_function("return { main = function(e) time.sleep(0.02) end }", name="many")
        server.make_function(HELLO, name="other")
        server.client("lambda").put_function_concurrency(FunctionName="many", ReservedConcurrentExecutions=4)
        server.stop()
        subprocess.run([str(TOP / BUILD / "bench/rows"), "due", str(server.data), "many", str(ROWS)], check=True)
        server.start()
        ready_ms = server.ready_s * 1000
        pid = server.proc.pid
        eventually(lambda: server.metric("invocations_total") >= 20, 60)
        before, began = memory_kib(pid), server.metric("invocations_total")
        at = time.monotonic()
        r = server.client("lambda").invoke(FunctionName="other", InvocationType="Event", Payload=b"{}")
        eventually(lambda: [r for r in json.loads(server.cli("runs", "list", "other", "--json").stdout)["runs"] if r["state"] == "done"], 60)
        other_s = time.monotonic() - at
        eventually(lambda: server.metric("invocations_total") >= began + 100, 120)
        status = json.loads(server.cli("status", "--json").stdout)
        assert r["StatusCode"] == 202 and status["queue"]["running"] <= 4
        assert status["queue"]["queued"] > ROWS - 5000 and status["queue"]["late_ms"] > 0
        assert server.metric("events_queued") > ROWS - 5000 and server.metric("events_late_seconds") > 0
        grown = memory_kib(pid) - before
        assert grown < 8192, f"{grown} KiB more"
        figure("D10", f"{ROWS} events due at a start: ready in {ready_ms:.0f} ms, another function's event run in {other_s:.2f} s, "
               f"{grown} KiB more in the core, longest turn {status['loop']['longest_us'] / 1000:.1f} ms")


def test_a_full_queue_says_so():
    with Server("--queue-max-rows", "5") as server:
        lam = server.client("lambda")
        role = server.make_role({"Effect": "Allow", "Action": "perilune:*", "Resource": "*"})
        name = server.make_function("return { main = function(e) " + HOLD + "end }", role=role, Timeout=60)
        with occupied(server, name):
            with pytest.raises(botocore.exceptions.ClientError) as full:
                for _ in range(6):
                    lam.invoke(FunctionName=name, InvocationType="Event", Payload=b"{}")
            assert queue(server)["queued"] == 5
        answer = full.value.response
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 429 and answer["Error"]["Code"] == "TooManyRequestsException"
        assert "queue" in answer["Error"]["Message"].lower(), answer
        lam.delete_function_concurrency(FunctionName=name)
        eventually(lambda: queue(server)["queued"] == 0, 60)
        lam.invoke(FunctionName=name, InvocationType="Event", Payload=b"{}")


def test_an_event_that_brings_the_server_down_is_put_aside():
    with Server() as server:
        lam = server.client("lambda")
        target = server.make_function(HELLO)
        role = server.make_role({"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": "*"})
        name = server.make_function("return { main = function(e) while true do time.sleep(1) end end }", role=role, Timeout=60)
        where = f"arn:aws:lambda:us-east-1:000000000000:function:{target}"
        lam.put_function_event_invoke_config(FunctionName=name, DestinationConfig={"OnFailure": {"Destination": where}})
        lam.invoke(FunctionName=name, InvocationType="Event", Payload=b'{"n":1}')

        def runs_of(function):
            return json.loads(server.cli("runs", "list", function, "--json").stdout)["runs"]

        for kill in range(10):
            eventually(lambda: [r for r in runs_of(name) if r["state"] == "running" and r["attempts"] == kill], 60)
            server.kill()
            server.start()
        dead = eventually(lambda: [r for r in runs_of(name) if r["state"] == "dead"], 60)[0]
        assert (dead["error_type"], dead["attempts"]) == ("PoisonEvent", 10)
        heard = eventually(lambda: [r for r in runs_of(target) if r["state"] == "done"], 60)[0]
        record = json.loads(server.cli("runs", "show", heard["id"], "--json").stdout)["event"]
        assert record["requestContext"]["condition"] == "PoisonEvent" and record["requestPayload"] == {"n": 1}


def test_one_functions_rate_is_capped():
    with Server() as server:
        lam = server.client("lambda")
        name, free = server.make_function(HELLO), server.make_function(HELLO)
        assert json.loads(server.cli("brake", name, "--json").stdout) == {"event_rate": None}
        assert json.loads(server.cli("brake", name, "3", "--json").stdout) == {"event_rate": 3}
        assert "3 events a second" in server.cli("brake", name).stdout
        for wrong in ("0", "x", "-1", "1000001"):
            assert server.cli("brake", name, wrong, check=False).returncode != 0
        assert server.cli("brake", "nosuch", "3", check=False).returncode == 3
        for f in (name, free):
            for _ in range(40):
                lam.invoke(FunctionName=f, InvocationType="Event", Payload=b"{}")

        def started(f):
            listed = json.loads(server.cli("runs", "list", f, "--state", "done", "--json").stdout)["runs"]
            tries = [json.loads(server.cli("runs", "show", r["id"], "--json").stdout)["tries"][0] for r in listed]
            return sorted(datetime.datetime.fromisoformat(t["started"][:19]) for t in tries)

        eventually(lambda: len(started(free)) == 40, 60)
        assert len(started(name)) < 40
        seconds = eventually(lambda: (got := started(name)) and len(got) >= 9 and got, 60)
        took = (seconds[-1] - seconds[0]).seconds + 1
        assert len(seconds) <= 3 * (took + 1), "one second more, for those that were late to begin"
        server.stop()
        server.start()  # it is kept
        assert json.loads(server.cli("brake", name, "--json").stdout) == {"event_rate": 3}
        server.cli("brake", name, "off")
        eventually(lambda: len(started(name)) == 40, 60)  # at once, not in ten seconds more


def test_state_and_event_are_one_commit():
    """The outbox: a key counts what was sent, the receiver counts what came."""
    sender = """return { main = function(e)
      assert(kv.transaction(function(tx)
        local s = tx:open('out')
        s:set('sent:' .. e.n, '1')
        tx:invoke_async('receiver', { n = e.n })
      end))
    end }"""
    receiver = "return { main = function(e) assert(kv.open('in'):incr('got:' .. e.n)) end }"
    with Server() as server:
        role = server.make_role({"Effect": "Allow", "Action": ["lambda:InvokeFunction", "perilune:*"], "Resource": "*"})
        server.make_function(receiver, name="receiver", role=role)
        server.make_function(sender, name="sender", role=role)
        n = 0
        for _ in range(5):
            lam = server.client("lambda")
            until = time.monotonic() + 0.4
            while time.monotonic() < until:
                n += 1
                lam.invoke(FunctionName="sender", InvocationType="Event", Payload=json.dumps({"n": n}))
            os.killpg(server.proc.pid, signal.SIGKILL)
            server.proc.wait()
            server.start()

        def keys(space):
            return {k["key"].split(":")[1] for k in json.loads(server.cli("kv", "list", space, "--json").stdout)["items"]}

        eventually(lambda: queue(server)["queued"] + queue(server)["running"] == 0 and len(keys("out")) == n, 120)
        eventually(lambda: keys("in") == keys("out"), 120)
        figure("D10", f"outbox: {n} transactions over 5 kills, each with its event")
