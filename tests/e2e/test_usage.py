"""What functions used: counted a second after each run, by day, with AWS's list price beside it."""
import csv
import datetime
import io
import json

import pytest

from perilune import eventually, unique

pytestmark = pytest.mark.cli
WORK = "return { main = function(e) if e.bad then error('bad') end return 1 end }"


def today():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")


def usage(server, *args):
    return json.loads(server.cli("usage", *args, "--json").stdout)


def counted(server, name, requests):
    """The function's one row, once that many runs are in it. (Around midnight there are two: then it waits.)"""
    rows = usage(server, name, "--by", "function")["usage"]
    return rows[0] if rows and rows[0]["requests"] == requests else None


def test_by_function_and_day(server):
    name = server.make_function(WORK, MemorySize=512)
    for _ in range(4):
        server.invoke(name, {})
    server.client("lambda").invoke(FunctionName=name, Payload=b'{"bad":true}')
    row = eventually(lambda: counted(server, name, 5))
    assert row["errors"] == 1 and row["billed_ms"] >= 5 and 0 < row["peak_bytes"] < 512 << 20
    assert row["gb_s"] == pytest.approx(row["billed_ms"] * 512 / 1024 / 1000)
    assert row["list_usd"] == pytest.approx(5 * 0.2e-6 + row["gb_s"] * 0.0000166667)
    whole = usage(server, name)
    assert {r["day"] for r in whole["usage"]} <= {today(), usage(server)["to"]} and whole["total"]["requests"] == 5
    assert whole["list_price"] == {"currency": "USD", "request": 2e-07, "gb_second": 0.0000166667, "least_mb": 128}
    server.client("lambda").invoke(FunctionName=name, InvocationType="Event", Payload=b"{}")
    eventually(lambda: counted(server, name, 6))


def test_small_functions_cost_what_aws_has_least(server):
    name = server.make_function(WORK)
    body = json.dumps({"MemorySize": 16}).encode()
    assert server.signed("PUT", f"/2015-03-31/functions/{name}/configuration", body=body, service="lambda")[0] == 200
    server.invoke(name, {})
    one = eventually(lambda: counted(server, name, 1))
    assert one["gb_s"] == pytest.approx(one["billed_ms"] * 16 / 1024000)
    assert one["list_usd"] == pytest.approx(0.2e-6 + one["billed_ms"] * 128 / 1024000 * 0.0000166667)


def test_it_outlives_its_function_and_the_server(own_server):
    server = own_server()
    lam = server.client("lambda")
    name = server.make_function(WORK)
    server.invoke(name, {})
    eventually(lambda: counted(server, name, 1))
    assert server.stop() == 0
    server.start()
    assert counted(server, name, 1)
    lam.delete_function(FunctionName=name)
    server.make_function(WORK, name=name)
    server.invoke(name, {})
    eventually(lambda: counted(server, name, 2))  # another function of that name, on the same line
    assert counted(server, name, 2)["deleted"] is False
    lam.delete_function(FunctionName=name)
    assert counted(server, name, 2)["deleted"] is True
    row = server.cli("usage", name).stdout.splitlines()[1]
    assert row.startswith(f"{name} (deleted) ")
    assert {(r["function"], r["deleted"]) for r in usage(server)["usage"]} == {(name, True)} and usage(server)["total"]["requests"] == 2
    assert server.cli("usage", name, "--csv").stdout.splitlines()[1].startswith(name + ",")


def test_a_slip_in_the_name_is_told(server):
    name = server.make_function(WORK)
    assert usage(server, name)["usage"] == [], "it has not run"
    made = server.cli("usage", unique("never"), check=False)
    assert (made.returncode, made.stdout) == (3, "") and "Function not found" in made.stderr


def test_pages_days_and_csv(own_server):
    server = own_server()
    names = sorted(server.make_function(WORK, name=unique("used")) for _ in range(5))
    for name in names:
        server.invoke(name, {})
    eventually(lambda: sorted(r["function"] for r in usage(server)["usage"]) == names)
    ask = lambda query: json.loads(server.signed("GET", f"/perilune/v1/usage?{query}", service="perilune")[2])
    seen, cursor = [], ""
    while cursor is not None:
        page = ask(f"limit=2&cursor={cursor}")
        assert len(page["usage"]) <= 2
        seen += [r["function"] for r in page["usage"]]
        cursor = page["cursor"]
    assert sorted(seen) == names
    assert usage(server, "--to", "2020-01-31")["usage"] == [] and usage(server, "--to", "2020-01-31")["from"] == "2020-01-02"
    assert usage(server, "--by", "day")["total"]["requests"] == 5 and len(usage(server, "--by", "function")["usage"]) == 5
    rows = list(csv.DictReader(io.StringIO(server.cli("usage", "--csv").stdout)))
    assert sorted(r["function"] for r in rows) == names and all(r["requests"] == "1" and float(r["list_usd"]) > 0 for r in rows)
    table = server.cli("usage").stdout
    assert "AT AWS, USD" in table and table.splitlines()[-1].startswith("all")
    for bad in ("--from=2026-13-01", "--from=yesterday", "--to=2026-11-1"):
        r = server.cli("usage", bad, check=False)
        assert r.returncode == 1 and "must be a day" in r.stderr, bad
    assert server.cli("usage", "--by", "week", check=False).returncode == 2
    assert server.signed("GET", "/perilune/v1/usage?from=2026-02-01&to=2026-01-01", service="perilune")[0] == 400
    assert server.signed("GET", "/perilune/v1/usage?cursor=x", service="perilune")[0] == 400
