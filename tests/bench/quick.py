#!/usr/bin/python3
"""Quick figures, beside a peer where there is one: `make bench-quick`.

Nothing here passes or fails: every line is a measurement with its spread, from interleaved rounds on the
same cores. wrk's raw output is kept in build/bench/.
"""
import argparse
import contextlib
import http.client
import io
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
PEERS = TOP / "build" / "peers" / "root"
OUT = TOP / "build" / "bench"
BINARY = pathlib.Path(os.environ.get("PERILUNE_BIN", TOP / "build" / "perilune"))
KEY, SECRET = "BENCHKEY", "bench-secret"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def tree(pid):
    """pid and all its descendants."""
    found, todo = [], [pid]
    while todo:
        p = todo.pop()
        found.append(p)
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{p}/task"):
                with open(f"/proc/{p}/task/{task}/children") as f:
                    todo += [int(c) for c in f.read().split()]
    return found


def pss_kib(pid):
    """PSS of the tree without the pages of the store's map."""
    total = 0
    for p in tree(pid):
        counted = False
        with contextlib.suppress(OSError), open(f"/proc/{p}/smaps") as f:
            for line in f:
                head = re.match(r"^[0-9a-f]+-[0-9a-f]+ ", line)
                if head:
                    counted = not line.rstrip().endswith("meta.mdb")
                elif counted and line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total


class Server:
    def __init__(self, cores=None):
        self.dir = tempfile.mkdtemp(prefix="perilune-bench-")
        self.port = free_port()
        env = dict(os.environ, PERILUNE_ROOT_ACCESS_KEY=KEY, PERILUNE_ROOT_SECRET_KEY=SECRET)
        cmd = [str(BINARY), "serve", "--data", self.dir + "/data", "--listen", f"127.0.0.1:{self.port}"]
        if cores:
            cmd = ["taskset", "-c", cores] + cmd
        began = time.perf_counter()
        self.log = open(self.dir + "/stderr", "wb")
        self.proc = subprocess.Popen(cmd, env=env, stderr=self.log)
        while True:
            with contextlib.suppress(OSError):
                c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                c.request("GET", "/healthz")
                if c.getresponse().status == 200:
                    break
            if self.proc.poll() is not None or time.perf_counter() - began > 10:
                sys.exit(open(self.dir + "/stderr").read())
            time.sleep(0.0005)
        self.ready_ms = (time.perf_counter() - began) * 1000
        self.url = f"http://127.0.0.1:{self.port}"

    def client(self, name, **config):
        return boto3.client(name, endpoint_url=self.url, region_name="us-east-1", aws_access_key_id=KEY,
                            aws_secret_access_key=SECRET, config=Config(retries={"max_attempts": 0}, **config))

    def stop(self):
        self.proc.send_signal(signal.SIGTERM)
        self.proc.wait(20)
        shutil.rmtree(self.dir, ignore_errors=True)


def zipped(source):
    b = io.BytesIO()
    with zipfile.ZipFile(b, "w") as z:
        z.writestr("handler.lua", source)
    return b.getvalue()


def make_role(server):
    iam = server.client("iam")
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"},
                                                     "Action": "sts:AssumeRole"}]}
    return iam.create_role(RoleName="bench", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]


def make_function(server, name, source, role, **more):
    server.client("lambda").create_function(FunctionName=name, Runtime="provided.al2", Role=role, Handler="handler.main",
                                            Code={"ZipFile": zipped(source)}, **more)


def spread(values, unit, digits=2):
    v = sorted(values)
    return f"median {statistics.median(v):.{digits}f} {unit} (min {v[0]:.{digits}f}, max {v[-1]:.{digits}f}, n {len(v)})"


def percentiles(values, unit="ms"):
    v = sorted(values)
    at = lambda p: v[min(len(v) - 1, int(len(v) * p))]
    return f"p50 {at(.5):.2f} p90 {at(.9):.2f} p99 {at(.99):.2f} max {v[-1]:.2f} {unit} (n {len(v)})"


def wrk(url, name, round_, seconds, core):
    raw = subprocess.run(["taskset", "-c", core, str(PEERS / "usr/bin/wrk"), "-t1", "-c64", f"-d{seconds}s", "--latency", url],
                         capture_output=True, text=True, check=True).stdout
    (OUT / f"wrk-{name}-{round_}.txt").write_text(raw)
    if "Non-2xx" in raw:
        print(f"  {name}: answers other than 2xx, see build/bench/wrk-{name}-{round_}.txt")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", raw)[1])


def signed_invoke(server, name, body=b"{}", more=None):
    """The bytes of one Invoke, with more headers; its signature holds for a quarter of an hour."""
    path = f"/2015-03-31/functions/{name}/invocations"
    made = AWSRequest("POST", server.url + path, data=body, headers={"Host": f"127.0.0.1:{server.port}", "Content-Length": str(len(body)), **(more or {})})
    SigV4Auth(Credentials(KEY, SECRET), "lambda", "us-east-1").add_auth(made)
    return path, dict(made.headers.items()), body


def wrk_invoke(server, name, label, round_, seconds, core):
    path, headers, body = signed_invoke(server, name)
    script = OUT / "invoke.lua"
    script.write_text("wrk.method = 'POST'\nwrk.body = %s\n" % json.dumps(body.decode()) +
                      "".join(f"wrk.headers[{json.dumps(k)}] = {json.dumps(v)}\n" for k, v in headers.items()))
    raw = subprocess.run(["taskset", "-c", core, str(PEERS / "usr/bin/wrk"), "-t1", "-c64", f"-d{seconds}s", "-s", str(script),
                          server.url + path], capture_output=True, text=True, check=True).stdout
    (OUT / f"wrk-{label}-{round_}.txt").write_text(raw)
    if "Non-2xx" in raw:
        print(f"  {label}: answers other than 2xx, see build/bench/wrk-{label}-{round_}.txt")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", raw)[1])


def nginx(core):
    d = tempfile.mkdtemp(prefix="perilune-peer-")
    os.chmod(d, 0o755)
    port = free_port()
    conf = (HERE / "nginx.conf").read_text()
    for k, v in (("DIR", d), ("ROOT", PEERS), ("PORT", port)):
        conf = conf.replace(f"@{k}@", str(v))
    path = pathlib.Path(d) / "nginx.conf"
    path.write_text(conf)
    p = subprocess.Popen(["taskset", "-c", core, str(PEERS / "usr/sbin/nginx"), "-p", d, "-c", str(path)],
                         stderr=subprocess.DEVNULL)
    deadline = time.time() + 5
    while time.time() < deadline:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return p, port, d
        time.sleep(0.01)
    sys.exit("nginx did not start: " + (pathlib.Path(d) / "error.log").read_text())


def bench_hello(rounds, seconds):
    server = Server("0")
    peer, port, d = nginx("0")
    try:
        role = make_role(server)
        make_function(server, "hello", (HERE / "hello.lua").read_text(), role)
        lam = server.client("lambda")
        lam.create_function_url_config(FunctionName="hello", AuthType="NONE")
        lam.add_permission(FunctionName="hello", StatementId="public", Action="lambda:InvokeFunctionUrl", Principal="*",
                           FunctionUrlAuthType="NONE")
        ours, theirs = f"{server.url}/url/hello/", f"http://127.0.0.1:{port}/hello"
        wrk(ours, "warm-perilune", 0, 1, "1"), wrk(theirs, "warm-nginx", 0, 1, "1")
        a, b, signed = [], [], []
        for r in range(rounds):
            a.append(wrk(ours, "perilune", r, seconds, "1"))
            b.append(wrk(theirs, "nginx-lua", r, seconds, "1"))
            signed.append(wrk_invoke(server, "hello", "signed", r, seconds, "1"))
        print(f"hello, 64 connections, all server processes on one core, {rounds} interleaved rounds of {seconds} s:")
        print(f"  perilune   {spread(a, 'req/s', 0)}")
        print(f"  nginx+lua  {spread(b, 'req/s', 0)}")
        print(f"  ratio      {spread([x / y for x, y in zip(a, b)], '', 3)}   (wanted >= 0.45)")
        print(f"  signed     {spread(signed, 'req/s', 0)}, {statistics.median(x / y for x, y in zip(signed, a)):.3f} of it by Invoke with SigV4   (wanted >= 0.8)")
    finally:
        server.stop()
        peer.terminate()
        peer.wait(10)
        shutil.rmtree(d, ignore_errors=True)


def bench_start_and_memory():
    ready = []
    for _ in range(7):
        s = Server()
        ready.append(s.ready_ms)
        s.stop()
    print(f"ready after exec:      {spread(ready, 'ms')}   (wanted <= 50)")
    s = Server()
    try:
        time.sleep(1)
        print(f"idle PSS, all processes: {pss_kib(s.proc.pid) / 1024:.2f} MiB   (wanted <= 8)")
    finally:
        s.stop()


def bench_cold(n):
    s = Server()
    try:
        role = make_role(s)
        lam = s.client("lambda")
        source = (HERE / "hello.lua").read_text()
        for i in range(n):
            make_function(s, f"cold{i}", source, role)
            lam.create_function_url_config(FunctionName=f"cold{i}", AuthType="NONE")
            lam.add_permission(FunctionName=f"cold{i}", StatementId="public", Action="lambda:InvokeFunctionUrl", Principal="*",
                               FunctionUrlAuthType="NONE")
        c = http.client.HTTPConnection("127.0.0.1", s.port)
        c.connect()
        c.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        times = []
        for i in range(n):
            t = time.perf_counter()
            c.request("GET", f"/url/cold{i}/")
            r = c.getresponse()
            r.read()
            times.append((time.perf_counter() - t) * 1000)
            assert r.status == 200, r.status
            time.sleep(0.01)
        print(f"cold start over a URL, paced 100/s: {percentiles(times)}   (wanted p50 <= 1)")
    finally:
        s.stop()


def bench_upload_to_log(n):
    s = Server()
    try:
        role = make_role(s)
        make_function(s, "seen", "return { main = function(e) print('seen ' .. e.Records[1].s3.object.key) end }", role)
        s3, logs, lam = s.client("s3"), s.client("logs"), s.client("lambda")
        s3.create_bucket(Bucket="bench")
        lam.add_permission(FunctionName="seen", StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com",
                           SourceArn="arn:aws:s3:::bench")
        arn = lam.get_function_configuration(FunctionName="seen")["FunctionArn"]
        s3.put_bucket_notification_configuration(Bucket="bench", NotificationConfiguration={
            "LambdaFunctionConfigurations": [{"LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:*"]}]})
        times = []
        for i in range(n):
            t = time.perf_counter()
            s3.put_object(Bucket="bench", Key=f"k{i}", Body=b"x" * 4096)
            while True:
                with contextlib.suppress(logs.exceptions.ResourceNotFoundException):
                    got = logs.filter_log_events(logGroupName="/aws/lambda/seen", filterPattern=f'"seen k{i}"')["events"]
                    if any(e["message"].strip().endswith(f"seen k{i}") for e in got):
                        break
                if time.perf_counter() - t > 5:
                    sys.exit("the log line did not come")
            times.append((time.perf_counter() - t) * 1000)
        print(f"upload -> log line readable (boto3's own time included): {percentiles(times[3:])}   (wanted p50 <= 10)")
    finally:
        s.stop()


def bench_large_upload(mib):
    s = Server()
    try:
        s.client("s3").create_bucket(Bucket="large")
        time.sleep(1)
        before = pss_kib(s.proc.pid)
        path = pathlib.Path(s.dir) / "large.bin"
        with open(path, "wb") as f:
            block = os.urandom(1 << 20)
            for _ in range(mib):
                f.write(block)
        p = subprocess.Popen([sys.executable, "-c", f"""
import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
c = boto3.client('s3', endpoint_url='{s.url}', region_name='us-east-1', aws_access_key_id='{KEY}', aws_secret_access_key='{SECRET}',
                 config=Config(s3={{'payload_signing_enabled': False}}, read_timeout=300))
with open('{path}', 'rb') as f:
    c.put_object(Bucket='large', Key='large', Body=f)
"""])
        began, peak = time.perf_counter(), 0
        while p.poll() is None:
            peak = max(peak, pss_kib(s.proc.pid))
            time.sleep(0.1)
        took = time.perf_counter() - began
        size = s.client("s3").head_object(Bucket="large", Key="large")["ContentLength"]
        print(f"upload of {mib} MiB: all processes grew by {(peak - before) / 1024:.2f} MiB at most (wanted <= 4), "
              f"{size / took / 1e6:.0f} MB/s")
    finally:
        s.stop()


def bench_large_event():
    s = Server()
    try:
        role = make_role(s)
        make_function(s, "size", "return { main = function(e) return #e.text end }", role, MemorySize=256)
        make_function(s, "echo", "return { main = function(e) return e end }", role, MemorySize=256)
        lam = s.client("lambda")
        event = json.dumps({"text": "x" * 6_000_000}).encode()
        times = []
        for i in range(5):
            t = time.perf_counter()
            r = lam.invoke(FunctionName="echo", Payload=event)
            got = r["Payload"].read()
            times.append((time.perf_counter() - t) * 1000)
            assert len(got) == len(json.dumps({"text": "x" * 6_000_000}, separators=(",", ":"))), got[:200]
        status = json.loads(subprocess.run([str(BINARY), "status", "--json", "--endpoint", s.url], capture_output=True, text=True,
                                           env=dict(os.environ, AWS_ACCESS_KEY_ID=KEY, AWS_SECRET_ACCESS_KEY=SECRET)).stdout)
        loop = status["loop"]
        print(f"6 MB event and answer: {spread(times, 'ms')}; loop turns > 2 ms: {loop['over_2ms']} of {loop['turns']}, "
              f"longest {loop['longest_us'] / 1000:.2f} ms (wanted <= 2)")
    finally:
        s.stop()


def bench_objects(rounds, seconds):
    import s3  # it takes its servers from here
    with contextlib.closing(s3.nginx()) as peer, s3.perilune("0") as ours:
        s3.small([ours, peer], rounds, seconds, s3.say)


def bench_codec(rounds):
    build = BINARY.parent
    subprocess.run(["make", "-s", f"BUILD={build}", f"{build}/bench/codec"], cwd=TOP, check=True)
    module = next((PEERS / "usr/lib").glob("*/lua/5.1/cjson.so"))
    print("JSON of 6 MB, MB/s of CPU, the runner's codec and lua-cjson (wanted >= 1.0 x):")
    for line in subprocess.run([str(build / "bench/codec"), str(module), str(rounds)], capture_output=True, text=True, check=True).stdout.splitlines():
        name, *v = line.split()
        d, cd, e, ce = map(float, v)
        print(f"  {name:8} decode {d:5.0f} : {cd:4.0f} = {d / cd:5.2f} x   encode {e:5.0f} : {ce:4.0f} = {e / ce:5.2f} x")


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--rounds", type=int, default=5)
    a.add_argument("--seconds", type=int, default=3)
    a.add_argument("--only", default="")
    a = a.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    parts = {
        "hello": lambda: bench_hello(a.rounds, a.seconds),
        "start": bench_start_and_memory,
        "cold": lambda: bench_cold(300),
        "log": lambda: bench_upload_to_log(100),
        "upload": lambda: bench_large_upload(1024),
        "event": bench_large_event,
        "objects": lambda: bench_objects(2, 2),
        "codec": lambda: bench_codec(15),
    }
    for name, part in parts.items():
        if not a.only or name in a.only.split(","):
            part()


if __name__ == "__main__":
    main()
