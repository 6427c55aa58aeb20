"""Answers that leave while they are made: InvokeWithResponseStream and function URLs with RESPONSE_STREAM."""
import json
import struct
import time
import zlib

import pytest

from perilune import HOLD, eventually, unique

SLOW = """
return function(event)
  return http.respond_stream(function(write)
    for i = 1, event.parts do
      assert(write("part " .. i .. ";"))
      time.sleep(event.pause)
    end
    if event.fail then
      error("midway")
    end
  end, { statusCode = 201, headers = { ["content-type"] = "text/plain", ["x-kind"] = "slow" }, cookies = { "a=1", "b=2" } })
end
"""


def messages(data):
    """The messages of an event stream: (type, payload); both checksums are checked."""
    found = []
    while data:
        total, headers_size, prelude_crc = struct.unpack(">III", data[:12])
        assert zlib.crc32(data[:8]) == prelude_crc
        assert zlib.crc32(data[:total - 4]) == struct.unpack(">I", data[total - 4:total])[0]
        headers, at = {}, 12
        while at < 12 + headers_size:
            name = data[at + 1:at + 1 + data[at]].decode()
            at += 1 + data[at]
            kind, size = struct.unpack(">BH", data[at:at + 3])
            assert kind == 7
            headers[name] = data[at + 3:at + 3 + size].decode()
            at += 3 + size
        assert headers[":message-type"] == "event"
        found.append((headers[":event-type"], data[12 + headers_size:total - 4]))
        data = data[total:]
    return found


def stream(server, name, event, headers=None):
    body = json.dumps(event).encode()
    status, headers, answer = server.signed("POST", f"/2021-11-15/functions/{name}/response-streaming-invocations", body,
                                            service="lambda", headers=headers)
    return status, headers, answer


@pytest.fixture(scope="module")
def slow(server):
    return server.make_function(SLOW, Handler="handler.main", Timeout=10)


@pytest.mark.http
def test_parts_arrive_as_they_are_written(server):
    """The second is written only when the first has been seen."""
    name = server.make_function("return { main = function(e) return http.respond_stream(function(write) assert(write('part 1;')) " + HOLD +
                                "assert(write('part 2;')) end) end }", role=server.make_role({"Effect": "Allow", "Action": "perilune:*", "Resource": "*"}),
                                Timeout=60)
    key = unique("hold")
    path, body = f"/2021-11-15/functions/{name}/response-streaming-invocations", json.dumps({"hold": key})
    request = server.sign("POST", path, body.encode(), service="lambda")
    with server.raw(f"POST {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in request.items()) + "\r\n" + body) as c:
        status, headers = c.head()
        assert status == 200 and headers["content-type"] == "application/vnd.amazon.eventstream"
        assert headers["x-amz-executed-version"] == "$LATEST"
        eventually(lambda: b"part 1;" in c.buffer or not c.more() and None, 20)
        assert b"part 2;" not in c.buffer
        server.cli("kv", "set", "holds", key, "over")
        eventually(lambda: b"InvokeComplete" in c.buffer or not c.more() and None, 20)
        assert b"part 2;" in c.buffer


@pytest.mark.http
def test_framing_and_end(server, slow):
    status, _, answer = stream(server, slow, {"parts": 3, "pause": 0}, {"X-Amz-Log-Type": "Tail"})
    got = messages(answer)
    assert status == 200
    assert [kind for kind, _ in got] == ["PayloadChunk"] * 3 + ["InvokeComplete"]
    assert b"".join(part for kind, part in got if kind == "PayloadChunk") == b"part 1;part 2;part 3;"
    assert "LogResult" in json.loads(got[-1][1])


@pytest.mark.http
def test_error_midway_is_told_at_the_end(server, slow):
    got = messages(stream(server, slow, {"parts": 2, "pause": 0, "fail": True})[2])
    assert [kind for kind, _ in got] == ["PayloadChunk"] * 2 + ["InvokeComplete"]
    end = json.loads(got[-1][1])
    assert end["ErrorCode"] == "Runtime.LuaError" and "midway" in json.loads(end["ErrorDetails"])["errorMessage"]


@pytest.mark.http
def test_function_that_does_not_stream(server):
    name = server.make_function("return { main = function(e) return { got = e.n } end }")
    got = messages(stream(server, name, {"n": 5})[2])
    assert got == [("PayloadChunk", b'{"got":5}'), ("InvokeComplete", b"{}")]
    late = server.make_function("return { main = function() while true do end end }", Timeout=1)
    got = messages(stream(server, late, {})[2])
    assert [kind for kind, _ in got] == ["InvokeComplete"] and json.loads(got[0][1])["ErrorCode"] == "Sandbox.Timedout"


@pytest.mark.boto3
def test_whole_for_those_who_want_it_whole(server, slow):
    value, error, _ = server.invoke(slow, {"parts": 2, "pause": 0})
    assert error is None
    assert value == {"statusCode": 201, "headers": {"content-type": "text/plain", "x-kind": "slow"}, "cookies": ["a=1", "b=2"],
                     "body": "part 1;part 2;"}


@pytest.mark.http
def test_reader_that_stops_holds_the_writer(server):
    """48 MiB to a client that does not read: the function waits, and the server holds little of it."""
    name = server.make_function("""
        local n = 0
        return { main = function(e)
          if e.asked then return n end
          return http.respond_stream(function(write)
            local text = ("x"):rep(65536)
            for i = 1, 768 do n = i assert(write(text)) end
          end)
        end }""", Timeout=30)
    request = server.sign("POST", f"/2021-11-15/functions/{name}/response-streaming-invocations", b"{}", service="lambda")
    head = f"POST /2021-11-15/functions/{name}/response-streaming-invocations HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in request.items())

    def rss():
        for line in open(f"/proc/{server.proc.pid}/status"):
            if line.startswith("VmRSS"):
                return int(line.split()[1])
    with server.raw(head + "\r\n{}") as c:
        assert c.head()[0] == 200
        before = rss()
        time.sleep(0.5)  # nothing to wait for: that nothing goes on is the point
        assert rss() - before < 16 * 1024
        size = len(c.buffer)
        while b"InvokeComplete" not in c.buffer[-400:]:
            c.buffer = c.buffer[-400:]
            had = len(c.buffer)
            assert c.more()
            size += len(c.buffer) - had
        assert size > 768 * 65536


@pytest.mark.http
def test_timeout_while_the_reader_waits(server):
    name = server.make_function("""return { main = function() return http.respond_stream(function(write)
        for i = 1, 768 do assert(write(("x"):rep(65536))) end end) end }""", name=unique("stuck"), Timeout=1)
    request = server.sign("POST", f"/2021-11-15/functions/{name}/response-streaming-invocations", b"{}", service="lambda")
    head = f"POST /2021-11-15/functions/{name}/response-streaming-invocations HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in request.items())
    with server.raw(head + "\r\n{}") as c:
        assert c.head()[0] == 200
        eventually(lambda: any("Task timed out" in line for line in server.log_lines(name)), 10)
    assert server.invoke(server.make_function("return { main = function() return 1 end }"))[0] == 1
