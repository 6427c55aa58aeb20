"""Load for the fault tests: threads that ask without pause on a connection of their own, note what was answered, and
live through a server that is killed, stopped or full.

boto3 makes a few hundred requests a second of one interpreter; what is signed and parsed by hand here makes
thousands, so that a thousand short lives of a server see a hundred thousand acknowledgements."""
import collections
import hashlib
import json
import os
import pathlib
import random
import socket
import subprocess
import threading
import time
import uuid

from perilune import BUILD, TOP, Raw

# Writes its event's id into the store, so that "executed" is durable and can be counted after a crash; an event of an
# upload fails when there is no such object (but for keys that say they will be deleted).
MARK = """
local done = kv.open("done")
return { main = function(e)
  local id = e.id
  if e.Records then
    local r = e.Records[1].s3
    id = events.decode_key(r.object.key)
    local o, err = s3.head(r.bucket.name, id)
    if not o and id:sub(1, 4) ~= "gone" then error("no object for the event of " .. id .. ": " .. tostring(err)) end
  end
  assert(done:incr(id))
  return true
end }
"""
READ = """
return { main = function(e)
  local done, missing, twice, more = kv.open("done"), {}, 0, 0
  for _, id in ipairs(e.ids) do
    local v = done:get(id)
    if not v then missing[#missing + 1] = id elseif tonumber(v) > 1 then twice, more = twice + 1, more + tonumber(v) - 1 end
  end
  return { missing = json.array(missing), twice = twice, more = more }
end }
"""
BUCKET = "traffic"
FAULT = pathlib.Path(os.environ.get("PERILUNE_BUILD", TOP / BUILD)) / "fault"


def figure(name, text):
    """A line of what a fault test saw; `make fault` collects them."""
    line = f"{name:4} {text}"
    print(line)
    if os.environ.get("FAULT_FIGURES"):
        with open(os.environ["FAULT_FIGURES"], "a") as f:
            f.write(line + "\n")


def spread(seconds):
    v = sorted(seconds)
    return f"p50 {v[len(v) // 2] * 1000:.0f} ms, max {v[-1] * 1000:.0f} ms"


def prepare(server):
    """Functions mark and read, a bucket whose uploads go to mark; the role's ARN."""
    role = server.make_role({"Effect": "Allow", "Action": ["s3:*", "perilune:*"], "Resource": "*"})
    server.make_function(MARK, name="mark", role=role)
    server.make_function(READ, name="read", role=role, Timeout=60)
    s3, lam = server.client("s3"), server.client("lambda")
    s3.create_bucket(Bucket=BUCKET)
    lam.add_permission(FunctionName="mark", StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com",
                       SourceArn=f"arn:aws:s3:::{BUCKET}")
    arn = lam.get_function_configuration(FunctionName="mark")["FunctionArn"]
    s3.put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration={
        "LambdaFunctionConfigurations": [{"LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:*"]}]})
    return role


def unexecuted(server, ids):
    """Those of the ids that no run has marked; how many were run twice or more; how many runs were too many."""
    missing, twice, more = [], 0, 0
    for i in range(0, len(ids), 1000):
        value, error, _ = server.invoke("read", {"ids": ids[i:i + 1000]})
        assert error is None, value
        missing += value["missing"]
        twice += value["twice"]
        more += value["more"]
    return missing, twice, more


class Found:
    """What tests/fault/inspect.c saw in the folder of a server that is not running."""

    def __init__(self, folder):
        env = dict(os.environ, ASAN_OPTIONS="detect_leaks=0")
        r = subprocess.run([FAULT / "inspect", folder], env=env, capture_output=True, text=True, timeout=60)
        assert r.returncode == 0, r.stderr
        self.done, self.queued, self.objects, self.functions, self.code, self.blobs = set(), "", {}, {}, {}, ""
        for line in r.stdout.splitlines():
            what, *rest = line.split(" ")
            if what == "kv" and rest[0] == "done":
                self.done.add(rest[1])
            elif what == "blobs":
                self.blobs = rest[0]
            elif what == "event":
                self.queued += line
            elif what == "object":
                self.objects[rest[1]] = rest[2]
            elif what == "function":
                self.functions[rest[0]], self.code[rest[0]] = rest[1:]


Answer = collections.namedtuple("Answer", "status headers body")


class Wire:
    """One connection at a time to a server that may go away; requests are signed by hand."""

    def __init__(self, server):
        self.server, self.raw = server, None

    def close(self):
        if self.raw:
            self.raw.close()
        self.raw = None

    def ask(self, method, path, service, body=b"", headers=None, query="", sent=None):
        """The answer, or None when the connection did not live to bring one. sent() is called when the request is out."""
        payload = "UNSIGNED-PAYLOAD" if service == "s3" else hashlib.sha256(body).hexdigest()
        signed = self.server.sign_by_hand(method, path, service, payload, query=query, more=headers)
        head = "".join(f"{k}: {v}\r\n" for k, v in signed.items())
        target = path + ("?" + query if query else "")
        text = f"{method} {target} HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        try:
            if not self.raw:
                self.raw = Raw(self.server.port, timeout=20)
            self.raw.socket.sendall(text)
            if sent:
                sent()
            got = self.raw.head()
            if got is None:
                raise ConnectionResetError
            status, fields = got
            answer = Answer(status, fields, self.raw.body(fields) if method != "HEAD" else b"")
            if fields.get("connection", "").lower() == "close":
                self.close()
            return answer
        except (OSError, AssertionError, ValueError, socket.timeout):
            self.close()
            return None

    # --- what is asked most -----------------------------------------------------------------------

    def event(self, name, function="mark", **more):
        return self.ask("POST", f"/2015-03-31/functions/{function}/invocations", "lambda", json.dumps({"id": name}).encode(),
                        {"X-Amz-Invocation-Type": "Event"}, **more)

    def invoke(self, function, event=b"{}", **more):
        return self.ask("POST", f"/2015-03-31/functions/{function}/invocations", "lambda", event, **more)

    def put(self, key, body, **more):
        return self.ask("PUT", f"/{BUCKET}/{key}", "s3", body, **more)

    def get(self, key, **more):
        return self.ask("GET", f"/{BUCKET}/{key}", "s3", **more)

    def delete(self, key, **more):
        return self.ask("DELETE", f"/{BUCKET}/{key}", "s3", **more)

    def multipart(self, key, body):
        """An upload in one part, from its beginning to its completion; the last answer, or None."""
        begun = self.ask("POST", f"/{BUCKET}/{key}", "s3", query="uploads=")
        if not begun or begun.status != 200:
            return begun
        upload = begun.body.split(b"<UploadId>")[1].split(b"<")[0].decode()
        part = self.ask("PUT", f"/{BUCKET}/{key}", "s3", body, query=f"partNumber=1&uploadId={upload}")
        if not part or part.status != 200:
            return part
        text = f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{part.headers['etag']}</ETag></Part></CompleteMultipartUpload>"
        done = self.ask("POST", f"/{BUCKET}/{key}", "s3", text.encode(), query=f"uploadId={upload}")
        if done and b"<Error>" in done.body:  # S3's way of failing after a 200
            return done._replace(status=503 if b"<Code>ServiceUnavailable<" in done.body else 500)
        return done


def etag_of(body, parts=False):
    """As S3 has it: of an upload in one part when parts."""
    digest = hashlib.md5(body)
    return f'"{hashlib.md5(digest.digest()).hexdigest()}-1"' if parts else f'"{digest.hexdigest()}"'


class Load(threading.Thread):
    """Asks until told to stop. kinds: weights of "event", "object" and "parts". told: {id: kind} of what was acknowledged;
    refused: answers that were none; lost: requests that got no answer at all."""

    def __init__(self, server, stop, kinds, pause=0, note=None):
        super().__init__(daemon=True)
        self.wire, self.stop, self.kinds, self.pause, self.note = Wire(server), stop, kinds, pause, note
        self.told, self.refused, self.lost, self.etags, self.wrong = {}, collections.Counter(), 0, {}, []
        self.start()

    def one(self):
        name, kind = uuid.uuid4().hex, random.choices(list(self.kinds), self.kinds.values())[0]
        if kind == "event":
            answer, good = self.wire.event(name), 202
        else:
            # some inline, some in blob files
            body = os.urandom(random.choice((10, 1000, 40000)))
            answer, good = (self.wire.put if kind == "object" else self.wire.multipart)(name, body), 200
            self.etags[name] = etag_of(body, kind == "parts")
        if answer is None:
            self.lost += 1
        elif answer.status == good:
            self.told[name] = kind
            if self.note:
                self.note(kind, name)
        else:
            self.refused[answer.status] += 1
            if answer.status < 500 and answer.status != 429:
                self.wrong.append(answer)
        return answer

    def run(self):
        while not self.stop.is_set():
            if self.one() is None:
                time.sleep(0.005)
            if self.pause:
                time.sleep(self.pause)
        self.wire.close()


class Traffic:
    """Several loads; their sums."""

    def __init__(self, server, count, kinds, **more):
        self.stop = threading.Event()
        self.loads = [Load(server, self.stop, kinds, **more) for _ in range(count)]

    def end(self):
        """{id: kind} of what was acknowledged."""
        self.stop.set()
        told = {}
        for load in self.loads:
            load.join(60)
            assert not load.is_alive()
            assert not load.wrong, load.wrong[0]
            told.update(load.told)
        return told

    def etags(self):
        return {name: etag for load in self.loads for name, etag in list(load.etags.items())}

    def refused(self):
        return sum((load.refused for load in self.loads), collections.Counter())

    def lost(self):
        return sum(load.lost for load in self.loads)

    def acknowledged(self):
        return sum(len(load.told) for load in self.loads)
