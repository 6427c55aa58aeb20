"""One retry in real time, on the build that people get: after a minute, not sooner and not much later. The test runs beside
others, see turns.py."""
import datetime
import json

import pytest

from perilune import eventually
from traffic import figure


@pytest.mark.boto3
def test_a_retry_after_a_real_minute(server):
    name = server.make_function("return { main = function(e) error('no') end }")
    lam = server.client("lambda")
    lam.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=1)
    lam.invoke(FunctionName=name, InvocationType="Event", Payload=b"{}")
    listed = lambda: json.loads(server.cli("runs", "list", name, "--json").stdout)["runs"]
    dead = eventually(lambda: [r for r in listed() if r["state"] == "dead"], 120, 1)[0]
    run = json.loads(server.cli("runs", "show", dead["id"], "--json").stdout)
    first, second = run["tries"]
    instant = lambda text: datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    waited = (instant(second["started"]) - instant(first["ended"])).total_seconds()
    figure("D9", f"release build: a retry after {waited:.2f} real seconds")
    assert 59.9 <= waited <= 70 and dead["error_type"] == "RetriesExhausted"
