"""kill -9 of the whole group under load: what was acknowledged is executed, every uploaded object has its
event and every event its object."""
import json
import os
import random
import threading
import time
import uuid

import pytest

from perilune import SANITIZED, eventually

pytestmark = pytest.mark.boto3
KILLS = int(os.environ.get("CRASH_KILLS", "20"))

# Writes its event's id into the store, so that "executed" is durable and can be counted after the crash.
MARK = """
local done = kv.open("done")
return { main = function(e)
  local id = e.id
  if e.Records then
    local r = e.Records[1].s3
    id = events.decode_key(r.object.key)
    local o, err = s3.head(r.bucket.name, id)
    if not o then error("no object for the event of " .. id .. ": " .. tostring(err)) end
  end
  done:incr(id)
  return true
end }
"""
READ = """
return { main = function(e)
  local done, missing, twice = kv.open("done"), {}, 0
  for _, id in ipairs(e.ids) do
    local v = done:get(id)
    if not v then missing[#missing + 1] = id elseif tonumber(v) > 1 then twice = twice + 1 end
  end
  return { missing = json.array(missing), twice = twice }
end }
"""


class Load(threading.Thread):
    """Sends Event invokes and uploads with unique ids until told to stop; notes what was acknowledged."""

    def __init__(self, server, stop):
        super().__init__(daemon=True)
        self.server, self.stop, self.invoked, self.uploaded = server, stop, [], []

    def run(self):
        lam = self.server.client("lambda", connect_timeout=1, read_timeout=5)
        s3 = self.server.client("s3", connect_timeout=1, read_timeout=5)
        while not self.stop.is_set():
            try:
                new = uuid.uuid4().hex
                if random.random() < 0.6:
                    r = lam.invoke(FunctionName="mark", InvocationType="Event", Payload=json.dumps({"id": new}).encode())
                    if r["StatusCode"] == 202:
                        self.invoked.append(new)
                else:
                    # some inline, some in blob files
                    s3.put_object(Bucket="crash", Key=new, Body=os.urandom(random.choice((10, 1000, 40000))))
                    self.uploaded.append(new)
            except Exception:  # the server is being killed under us
                time.sleep(0.005)


def test_kill_loop(own_server):
    server = own_server()
    role = server.make_role({"Effect": "Allow", "Action": ["s3:*", "perilune:*"], "Resource": "*"})
    server.make_function(MARK, name="mark", role=role)
    server.make_function(READ, name="read", role=role, Timeout=60)
    s3, lam = server.client("s3"), server.client("lambda")
    s3.create_bucket(Bucket="crash")
    lam.add_permission(FunctionName="mark", StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com",
                       SourceArn="arn:aws:s3:::crash")
    arn = lam.get_function_configuration(FunctionName="mark")["FunctionArn"]
    s3.put_bucket_notification_configuration(Bucket="crash", NotificationConfiguration={
        "LambdaFunctionConfigurations": [{"LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:*"]}]})
    invoked, uploaded, ready = [], [], []
    for _ in range(KILLS):
        stop = threading.Event()
        loads = [Load(server, stop) for _ in range(4)]
        for load in loads:
            load.start()
        time.sleep(random.uniform(0.02, 0.5))
        server.kill()
        stop.set()
        for load in loads:
            load.join(20)
            assert not load.is_alive()
            invoked += load.invoked
            uploaded += load.uploaded
        server.start()
        ready.append(server.ready_s)
    acknowledged = invoked + uploaded

    def missing():
        left, twice = [], 0
        for i in range(0, len(acknowledged), 500):
            value, error, _ = server.invoke("read", {"ids": acknowledged[i:i + 500]})
            assert error is None, value
            left += value["missing"]
            twice += value["twice"]
        return left, twice

    # a try that a crash cut off is repeated after one minute at the latest
    eventually(lambda: not missing()[0], 90, 0.2)
    _, twice = missing()
    for key in random.sample(uploaded, min(50, len(uploaded))):
        head = server.client("s3").get_object(Bucket="crash", Key=key)
        import hashlib
        assert hashlib.md5(head["Body"].read()).hexdigest() == head["ETag"].strip('"')
    print(f"{KILLS} kills: {len(invoked)} Event invokes and {len(uploaded)} uploads acknowledged, 0 lost, {twice} executed twice; "
          f"ready again after {max(ready) * 1000:.0f} ms at most")
    assert len(acknowledged) > KILLS
    if not SANITIZED:
        assert sorted(ready)[len(ready) // 2] < 2
