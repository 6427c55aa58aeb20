"""CloudWatch Logs over the functions' lines."""
import json
import re
import subprocess
import threading
import time

import pytest
from botocore.exceptions import ClientError

from conftest import aws_programs
from perilune import eventually, unique

AWS = [pytest.param(path, marks=getattr(pytest.mark, mark), id=mark) for mark, path in sorted(aws_programs().items())]
boto = pytest.mark.boto3
SAY = "return { main = function(e) for i = 1, e.n or 1 do print((e.word or 'line') .. ' ' .. i) end return #(e.word or '') end }"


@pytest.fixture(scope="module")
def logs(server):
    return server.client("logs")


@pytest.fixture(scope="module")
def talker(server):
    """A function that has run three times and said five lines each time."""
    name = server.make_function(SAY)
    for word in ("alpha", "beta", "gamma"):
        server.invoke(name, {"word": word, "n": 5})
    eventually(lambda: sum("REPORT" in x for x in server.log_lines(name)) == 3)
    return name


@boto
def test_visible_within_200_ms(server):
    """The quickest of five: on a busy machine a reader is late now and then by itself."""
    name, took = server.make_function(SAY), []
    for i in range(5):
        server.invoke(name, {"word": f"w{i}"})
        done = time.monotonic()
        eventually(lambda: any(f"w{i} 1" in x for x in server.log_lines(name)), 20, 0.005)
        took.append(time.monotonic() - done)
    assert min(took) < 0.2 + 0.3, f"0.3 s are the reader's own: {took}"


@boto
def test_lines_of_a_run(server, talker):
    lines = [x.rstrip("\n") for x in server.log_lines(talker)]
    assert len(lines) == 3 * 8
    ids = []
    for i, word in enumerate(("alpha", "beta", "gamma")):
        run = lines[i * 8:i * 8 + 8]
        id = re.fullmatch(r"START RequestId: (\S+) Version: \$LATEST", run[0])[1]
        ids.append(id)
        assert [x for x in run[1:6] if x.endswith(tuple(f"{word} {k}" for k in range(1, 6)))] == run[1:6], run
        assert run[6] == f"END RequestId: {id}"
        report = re.fullmatch(rf"REPORT RequestId: {id}\tDuration: ([\d.]+) ms\tBilled Duration: (\d+) ms\tMemory Size: 128 MB\t"
                              rf"Max Memory Used: (\d+) MB\t(Init Duration: [\d.]+ ms\t)?", run[7])
        assert report, run[7]
        assert float(report[1]) <= int(report[2]) <= float(report[1]) + 1 and 1 <= int(report[3]) < 128
        assert bool(report[4]) == (i == 0), "only a cold start has an init duration"
    assert len(set(ids)) == 3


@boto
def test_describe(logs, talker):
    group = f"/aws/lambda/{talker}"
    (g,) = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert g["logGroupName"] == group and g["storedBytes"] >= 0 and group in g["arn"] and g["creationTime"] > 1.7e12
    every = [x["logGroupName"] for p in logs.get_paginator("describe_log_groups").paginate(PaginationConfig={"PageSize": 1}) for x in p["logGroups"]]
    assert group in every and every == sorted(every)
    streams = logs.describe_log_streams(logGroupName=group, orderBy="LastEventTime", descending=True)["logStreams"]
    assert streams and all(re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", s["logStreamName"]) for s in streams)
    assert abs(streams[0]["lastEventTimestamp"] / 1000 - time.time()) < 120
    prefix = streams[0]["logStreamName"][:12]
    assert logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=prefix)["logStreams"]
    assert logs.describe_log_streams(logGroupName=group, logStreamNamePrefix="1999/")["logStreams"] == []


@boto
@pytest.mark.parametrize("pattern,count", [("alpha", 5), ("beta 2", 1), ('"gamma 3"', 1), ("?alpha ?beta", 10), ("alpha -3", 4), ("START", 3),
                                           ("REPORT", 3), ("nowhere", 0), ("", 24)])
def test_filter_patterns(logs, talker, pattern, count):
    events = [e for p in logs.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{talker}", filterPattern=pattern) for e in p["events"]]
    if pattern in ("beta 2",):
        events = [e for e in events if "beta 2" in e["message"]]  # two terms: both must be somewhere
    if pattern == "alpha -3":
        events = [e for e in events if "alpha" in e["message"]]
    assert len(events) == count, [e["message"] for e in events]


@boto
def test_filter_by_time_and_page(logs, talker):
    group = f"/aws/lambda/{talker}"
    call = logs.get_paginator("filter_log_events").paginate
    all_ = [e for p in call(logGroupName=group) for e in p["events"]]
    assert [e["timestamp"] for e in all_] == sorted(e["timestamp"] for e in all_)
    assert len({e["eventId"] for e in all_}) == len(all_) and all({"logStreamName", "ingestionTime", "message"} <= e.keys() for e in all_)
    paged = [e for p in call(logGroupName=group, PaginationConfig={"PageSize": 5}) for e in p["events"]]
    assert [e["eventId"] for e in paged] == [e["eventId"] for e in all_]
    middle = all_[10]["timestamp"]
    later = [e for p in call(logGroupName=group, startTime=middle) for e in p["events"]]
    assert [e["eventId"] for e in later] == [e["eventId"] for e in all_ if e["timestamp"] >= middle]
    earlier = [e for p in call(logGroupName=group, endTime=middle) for e in p["events"]]
    assert [e["eventId"] for e in earlier] in ([e["eventId"] for e in all_ if e["timestamp"] < middle],
                                               [e["eventId"] for e in all_ if e["timestamp"] <= middle])
    assert logs.filter_log_events(logGroupName=group, startTime=int(time.time() * 1000) + 3600000)["events"] == []


@boto
def test_get_log_events_walks_both_ways(logs, talker):
    group = f"/aws/lambda/{talker}"
    stream = logs.describe_log_streams(logGroupName=group)["logStreams"][0]["logStreamName"]
    read = lambda **more: logs.get_log_events(logGroupName=group, logStreamName=stream, **more)
    whole = read(startFromHead=True)["events"]
    forward, token = [], None
    while True:
        page = read(startFromHead=True, limit=5, **({"nextToken": token} if token else {}))
        forward += page["events"]
        if page["nextForwardToken"] == token:
            break
        token = page["nextForwardToken"]
        assert len(forward) <= len(whole)
    assert forward == whole and page["events"] == []
    newest = read(limit=4)["events"]
    assert newest == whole[-4:]


@boto
@pytest.mark.parametrize("call", ["filter_log_events", "describe_log_streams", "get_log_events"])
def test_missing_group(logs, call):
    more = {"logStreamName": "s"} if call == "get_log_events" else {}
    with pytest.raises(ClientError) as e:
        getattr(logs, call)(logGroupName="/aws/lambda/never", **more)
    assert e.value.response["Error"] == {"Code": "ResourceNotFoundException", "Message": "The specified log group does not exist."}
    assert e.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


@boto
def test_missing_stream(logs, talker):
    with pytest.raises(ClientError) as e:
        logs.get_log_events(logGroupName=f"/aws/lambda/{talker}", logStreamName="never")
    assert e.value.response["Error"]["Code"] == "ResourceNotFoundException"


@boto
def test_log_levels_and_odd_bytes(server):
    name = server.make_function(r"""return { main = function()
      log.debug('d') log.info('i', { user = 'u', n = 5 }) log.warn('w') log.error('e')
      print('two\nlines', 'tab\there', 7, nil, true) print('\255\254 bad \0 bytes') print('') io.stdout:write('written\n') io.stderr:write('err\n')
    end }""")
    server.invoke(name)
    text = "\n".join(eventually(lambda: any("REPORT" in x for x in server.log_lines(name)) and server.log_lines(name)))
    for part in ("two\nlines", "tab\there", "written", "err", "bad", '"user"', '"u"'):
        assert part in text, (part, text)


@boto
def test_flood_is_cut(server):
    name = server.make_function("return { main = function() local s = ('x'):rep(1000) for i = 1, 5000 do print(s) end return 'end' end }", Timeout=20)
    value, error, _ = server.invoke(name)
    assert (value, error) == ("end", None)
    eventually(lambda: any("REPORT" in x for x in server.log_lines(name, "REPORT")))
    lines = server.log_lines(name)
    assert sum(map(len, lines)) < 1.3 * 1024 * 1024
    assert any(re.search(r"cut|dropped|limit", x) and "xxxx" not in x for x in lines), lines[-4:]


@boto
def test_logs_survive_a_clean_restart(own_server):
    server = own_server()
    name = server.make_function(SAY)
    server.invoke(name, {"word": "before"})
    assert server.stop() == 0
    server.start()
    assert any("before 1" in x for x in server.log_lines(name))
    server.invoke(name, {"word": "after"})
    lines = eventually(lambda: sum("REPORT" in x for x in server.log_lines(name)) == 2 and server.log_lines(name))
    assert [i for i, x in enumerate(lines) if "before 1" in x] < [i for i, x in enumerate(lines) if "after 1" in x]


@pytest.mark.parametrize("aws", AWS)
def test_aws_filter(server, talker, aws):
    out = json.loads(server.aws(aws, "logs", "filter-log-events", "--log-group-name", f"/aws/lambda/{talker}", "--filter-pattern", "beta",
                                "--output", "json").stdout)
    assert [e["message"].strip()[-6:] for e in out["events"]] == [f"beta {i}" for i in range(1, 6)]


@pytest.mark.skipif("aws_v2" not in aws_programs(), reason="aws CLI v2 is not installed")
@pytest.mark.aws_v2
def test_aws_tail(server, talker):
    out = server.aws(aws_programs()["aws_v2"], "logs", "tail", f"/aws/lambda/{talker}", "--since", "1h").stdout
    assert "alpha 1" in out and "gamma 5" in out and "REPORT RequestId" in out


@pytest.mark.skipif("aws_v2" not in aws_programs(), reason="aws CLI v2 is not installed")
@pytest.mark.aws_v2
def test_aws_tail_follow(server):
    """What is said while it watches comes out."""
    name = server.make_function(SAY)
    server.invoke(name, {"word": "first"})
    p = subprocess.Popen([aws_programs()["aws_v2"], "--endpoint-url", server.url, "logs", "tail", f"/aws/lambda/{name}", "--follow", "--since", "1h"],
                         env=dict(server.aws_env(), PYTHONUNBUFFERED="1"), stdout=subprocess.PIPE, text=True)
    got = []
    reader = threading.Thread(target=lambda: [got.append(x) for x in p.stdout])
    reader.start()
    try:
        eventually(lambda: any("first 1" in x for x in got), 30, 0.05)
        server.invoke(name, {"word": "second"})
        eventually(lambda: any("second 1" in x for x in got), 30, 0.05)
        assert sum("first 1" in x for x in got) == 1
    finally:
        p.terminate()
        p.wait(10)
        reader.join(10)


@pytest.mark.http
def test_json_protocol(server):
    ask = lambda target, body: server.signed("POST", "/", body, service="logs", headers={"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": target})
    status, headers, body = ask("Logs_20140328.DescribeLogGroups", b"{}")
    assert status == 200 and headers["content-type"] == "application/x-amz-json-1.1" and "logGroups" in json.loads(body)
    for target, text in [("Logs_20140328.NoSuchThing", b"{}"), ("Other.DescribeLogGroups", b"{}"), ("Logs_20140328.DescribeLogGroups", b"{"),
                         ("Logs_20140328.DescribeLogGroups", b"[]"), ("Logs_20140328.FilterLogEvents", b'{"logGroupName":7}'),
                         ("Logs_20140328.FilterLogEvents", b"{}"), ("Logs_20140328.PutLogEvents", b"{}")]:
        status, headers, body = ask(target, text)
        assert 400 <= status < 500 or status == 501, (target, status)
        assert json.loads(body)["__type"], body
    status, _, body = ask("Logs_20140328.DescribeLogGroups", b'{"futureMember":{"a":[1]}}')
    assert status == 200, "unknown members are ignored"
