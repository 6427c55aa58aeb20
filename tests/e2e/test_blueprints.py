"""Every blueprint: its specs, its example, and its main job with the clients that will use it; what it leaves behind is nothing."""
import csv
import hashlib
import hmac
import io
import json
import os
import subprocess
import time

import pytest

from perilune import BINARY, TOP, eventually, unique

pytestmark = pytest.mark.cli
FOLDERS = sorted(p.parent for p in (TOP / "blueprints").glob("*/blueprint.lua"))
NEW = ("http-api", "webhook", "s3-csv-import")
SECRET = "It's a Secret to Everybody"


def new(server, blueprint, **parameters):
    """Makes one under a name of its own; the report."""
    parameters.setdefault("name", unique(blueprint))
    sets = [part for k, v in parameters.items() for part in ("--set", f"{k}={v}")]
    return json.loads(server.cli("blueprint", "new", blueprint, *sets, "--yes", "--json").stdout)


def everything(server):
    lam, iam, s3 = server.client("lambda"), server.client("iam"), server.client("s3")
    return ({f["FunctionName"] for f in lam.list_functions()["Functions"]}, {r["RoleName"] for r in iam.list_roles()["Roles"]},
            {b["Name"] for b in s3.list_buckets()["Buckets"]})


def kv(server, namespace, key):
    r = server.cli("kv", "get", namespace, key, check=False)
    return r.stdout.rstrip("\n") if r.returncode == 0 else None


def curl(url, *args, body=None):
    """Status, headers and JSON body of what curl got."""
    r = subprocess.run(["curl", "-sS", "-i", "--max-time", "20", *args, url], input=body, capture_output=True, check=True)
    head, _, rest = r.stdout.partition(b"\r\n\r\n")
    while head.startswith(b"HTTP/1.1 100"):
        head, _, rest = rest.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
    return int(first.split()[1]), headers, json.loads(rest) if rest else None


# --- each of them -------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: p.name)
def test_it_is_complete(server, folder):
    assert {"README.md", "blueprint.lua", "handler.lua", "event.json", "expected.json"} <= {p.name for p in folder.iterdir()}
    shown = json.loads(server.cli("blueprint", "show", folder.name, "--json").stdout)
    assert shown["title"] and shown["summary"] and shown["test_event"] == "event.json"
    readme = (folder / "README.md").read_text()
    for parameter in shown["params"]:
        assert f"| `{parameter['name']}` |" in readme, "the README describes each parameter"
        assert "default" in parameter, "it can be tried without a question"
    listed = json.loads(server.cli("blueprint", "list", "--json").stdout)["blueprints"]
    assert shown["title"] in [b["title"] for b in listed if b["name"] == folder.name]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: p.name)
def test_its_specs_pass(server, folder):
    r = server.cli("test", str(folder), "--json", check=False)
    out = json.loads(r.stdout)
    assert r.returncode == 0 and out["successes"] >= 3 and not out["failures"] and not out["errors"], r.stdout


@pytest.mark.parametrize("blueprint", NEW)
def test_its_example_is_what_it_says(server, blueprint):
    folder = TOP / "blueprints" / blueprint
    event, expected = (json.loads((folder / name).read_text()) for name in ("event.json", "expected.json"))
    before = everything(server)
    name = new(server, blueprint, name=unique("example"))["name"]
    if blueprint == "webhook":
        server.cli("secret", "set", "webhook", stdin=SECRET)
    if blueprint == "s3-csv-import":
        server.client("s3").put_object(Bucket="imports", Key="price list.csv", Body=(folder / "example.csv").read_bytes())
    out, error, _ = server.invoke(name, event)
    for answer in (out, expected):
        if "body" in answer:
            answer["body"] = json.loads(answer["body"])  # members in any order
    assert error is None and out == expected
    if blueprint == "s3-csv-import":
        server.client("s3").delete_object(Bucket="imports", Key="price list.csv")
    server.cli("blueprint", "remove", name)
    assert everything(server) == before
    assert server.log_lines(name) == []


@pytest.mark.parametrize("blueprint", NEW)
def test_a_preview_shows_it_and_makes_nothing(server, blueprint):
    before = everything(server)
    name = unique("preview")
    r = server.cli("blueprint", "new", blueprint, "--name", name, "--dry-run")
    for text in (name, f"{name}-role", "perilune:KvWrite"):
        assert text in r.stdout, r.stdout
    assert everything(server) == before


@pytest.mark.parametrize("given, why", [
    ("provider=bitbucket", "one of: github, stripe"), ("provider=", "one of"), ("tolerance_s=-1", "at least 1"), ("tolerance_s=1e9", "at most"),
    ("tolerance_s=inf", "a number"), ("tolerance_s=nan", "a number"), ("remember_days=x", "a number"), ("secret=a/b", "pattern"), ("name=a b", "name")])
def test_parameters_have_bounds(server, given, why):
    r = server.cli("blueprint", "new", "webhook", "--set", given, "--yes", check=False)
    assert r.returncode == 1 and f"'{given.split('=')[0]}'" in r.stderr and why in r.stderr, r.stderr


def on_terminal(server, typed, *args):
    """Exit code and all that stood on the terminal, after typing each text when its question is there."""
    import pty
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(str(BINARY), [str(BINARY), *args], server.aws_env())
    seen = ""
    for question, text in [*typed, (None, "")]:
        while question is None or question not in seen:
            try:
                more = os.read(fd, 4096)
            except OSError:  # the other end is closed
                more = b""
            seen += more.decode()
            if not more:
                break
        os.write(fd, text.encode()) if text else None
    os.close(fd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen


def test_a_terminal_is_asked_for_what_was_not_given(server):
    name = unique("asked")
    code, seen = on_terminal(server, [("[items]: ", "lamps\n"), ("[]: ", "\n"), ("Go on? [y/N] ", "y\n")],
                             "blueprint", "new", "http-api", "--name", name)
    assert code == 0 and "Name of the function" not in seen and f"made {name}" in seen.replace("\r", ""), seen
    assert f"/url/{name}/lamps" in seen
    for typed in ([("[items]: ", "\x04")], [("[items]: ", "\n"), ("[]: ", "\n"), ("[http-api]: ", unique("no") + "\n"), ("Go on? [y/N] ", "n\n")]):
        before = everything(server)
        code, seen = on_terminal(server, typed, "blueprint", "new", "http-api")
        assert code == 1 and "nothing was changed" in seen and everything(server) == before, seen
    code, seen = on_terminal(server, [("[items]: ", "NOT OK\n"), ("[]: ", "\n")], "blueprint", "new", "http-api", "--name", name)
    assert code == 1 and "'collection' does not match" in seen, seen


# --- http-api -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def api(server):
    report = new(server, "http-api", collection="lamps")
    assert report["url"] == f"{server.url}/url/{report['name']}/" and report["try"].endswith(f" {report['url']}lamps")
    return report


def test_api_what_it_suggests_works(server, api):
    r = subprocess.run(["sh", "-c", api["try"]], capture_output=True, text=True, check=True)
    assert json.loads(r.stdout)["name"] == "Moon lamp", r.stdout + r.stderr


def test_api_round_with_curl(server, api):
    lamps = api["url"] + "lamps"
    json_type = ("-H", "Content-Type: application/json")
    status, headers, made = curl(lamps, *json_type, "-d", '{"name":"Lämp","tags":["a"]}')
    assert status == 201 and headers["location"] == f"lamps/{made['id']}" and made["name"] == "Lämp"
    one = api["url"] + headers["location"]
    status, again, seen = curl(one)
    assert status == 200 and seen == made and again["etag"] == headers["etag"]
    assert curl(one, "-H", f"If-None-Match: {headers['etag']}")[0] == 304
    status, changed, seen = curl(one, "-X", "PATCH", *json_type, "-H", f"If-Match: {headers['etag']}", "-d", '{"price":3,"tags":null}')
    assert status == 200 and seen == {"id": made["id"], "created": made["created"], "name": "Lämp", "price": 3}
    assert curl(one, "-X", "PUT", *json_type, "-H", f"If-Match: {headers['etag']}", "-d", '{"name":"x"}')[0] == 412
    assert curl(one, "-X", "PUT", *json_type, "-d", '{"name":"x"}')[2]["name"] == "x"
    assert made["id"] in [i["id"] for i in curl(lamps + "?limit=100")[2]["lamps"]]
    assert curl(one, "-X", "DELETE")[0] == 204
    assert curl(one)[0] == 404 and curl(one, "-X", "DELETE")[0] == 404


def test_api_says_what_is_wrong(server, api):
    lamps = api["url"] + "lamps"
    json_type = ("-H", "Content-Type: application/json")
    status, _, body = curl(lamps, *json_type, "-d", '{"price":"cheap","colour":"red"}')
    assert status == 422 and body["errors"] == {"name": "is required", "price": "must be a number", "colour": "is not known"}
    assert curl(lamps, *json_type, "-d", "{")[0] == 400
    assert curl(lamps, "-d", "name=x")[0] == 415
    status, headers, _ = curl(lamps, "-X", "DELETE")
    assert status == 405 and headers["allow"] == "GET, POST"
    assert curl(api["url"])[0] == 404 and curl(lamps + "/..%2f..%2fetc")[0] == 404 and curl(lamps + "?cursor=zz")[0] in (200, 400)
    assert not [l for l in server.log_lines(api["name"]) if "errorType" in l]


def test_api_many_at_once_lose_no_update(server, api):
    """Four clients add one each to the same number, thirty times, and try again on 412."""
    _, _, made = curl(api["url"] + "lamps", "-H", "Content-Type: application/json", "-d", '{"name":"count","price":0}')
    script = f"""
import json, urllib.request, urllib.error
url, done = {api['url'] + 'lamps/' + made['id']!r}, 0
while done < 30:
    with urllib.request.urlopen(url) as r:
        tag, value = r.headers["ETag"], json.load(r)
    change = urllib.request.Request(url, json.dumps({{"price": value["price"] + 1}}).encode(), method="PATCH",
                                    headers={{"Content-Type": "application/json", "If-Match": tag}})
    try:
        urllib.request.urlopen(change).close()
        done += 1
    except urllib.error.HTTPError as e:
        assert e.code == 412, e
"""
    clients = [subprocess.Popen(["/usr/bin/python3", "-c", script]) for _ in range(4)]
    assert [c.wait(60) for c in clients] == [0] * 4
    assert curl(api["url"] + "lamps/" + made["id"])[2]["price"] == 120


def test_api_with_a_token(server):
    server.cli("secret", "set", "api-token", stdin="open sesame")
    report = new(server, "http-api", token="api-token")
    items = report["url"] + "items"
    status, headers, _ = curl(items)
    assert status == 401 and headers["www-authenticate"] == "Bearer"
    assert curl(items, "-H", "Authorization: Bearer wrong")[0] == 401
    assert curl(items, "-H", "Authorization: Bearer open")[0] == 401
    server.cli("secret", "set", "api-token", stdin="sesame")
    assert curl(items, "-H", "Authorization: Bearer sesame")[0] == 200
    policy = server.client("iam").get_role_policy(RoleName=f"{report['name']}-role", PolicyName="permissions")["PolicyDocument"]
    assert "secret/api-token" in json.dumps(policy) and '"*"' not in json.dumps(policy)


# --- webhook ------------------------------------------------------------------------------------------


def mac(text, secret=SECRET):
    return hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()


def handled(server, name, delivery):
    return [l for l in server.log_lines(name) if f'"{delivery}"' in l and "delivery {" in l]


def test_webhook_of_github(server):
    server.cli("secret", "set", "webhook", stdin=SECRET)
    report = new(server, "webhook")
    name, body = report["name"], json.dumps({"action": "opened", "text": 'ü "quoted"'}).encode()

    def send(delivery, signature=None, sent=body, *more):
        return curl(report["url"], "-H", "Content-Type: application/json", "-H", f"X-GitHub-Delivery: {delivery}", "-H", "X-GitHub-Event: issues",
                    *(("-H", f"X-Hub-Signature-256: {signature}") if signature else ()), *more, "--data-binary", "@-", body=sent)
    good = "sha256=" + mac(body)
    status, _, answer = send("d-1", good)
    assert status == 202 and answer == {"id": "d-1", "result": "accepted"}
    for _ in range(3):
        status, _, answer = send("d-1", good)
        assert status == 200 and answer["result"] == "duplicate"
    eventually(lambda: handled(server, name, "d-1"))
    for wrong in (None, good[:-1] + ("0" if good[-1] != "0" else "1"), good.upper(), "sha1=" + mac(body), "sha256=" + mac(body, "other"), "sha256="):
        assert send("d-2", wrong)[0] == 401
    assert send("d-2", good, body + b" ")[0] == 401
    big = json.dumps({"action": "big", "padding": "x" * 900_000}).encode()
    assert send("d-3", "sha256=" + mac(big), big)[0] == 202
    eventually(lambda: handled(server, name, "d-3"))
    huge = json.dumps({"padding": "x" * 2_000_000}).encode()
    assert send("d-4", "sha256=" + mac(huge), huge)[0] == 413
    assert curl(report["url"])[0] == 405
    assert send("", good)[0] == 400, "an empty id would be everybody's"
    assert len(handled(server, name, "d-1")) == 1
    assert kv(server, name, "count:issues") == "2"
    assert SECRET not in "".join(server.log_lines(name))


def test_webhook_of_github_sent_at_once_is_taken_once(server):
    server.cli("secret", "set", "webhook", stdin=SECRET)
    report = new(server, "webhook")
    body = b"{}"
    senders = [subprocess.Popen(["curl", "-sS", "-H", "X-GitHub-Delivery: same", "-H", "X-GitHub-Event: push", "-H",
                                 f"X-Hub-Signature-256: sha256={mac(body)}", "-d", "{}", report["url"]], stdout=subprocess.PIPE) for _ in range(12)]
    results = [json.loads(s.communicate(timeout=30)[0])["result"] for s in senders]
    assert sorted(results) == ["accepted"] + ["duplicate"] * 11
    eventually(lambda: kv(server, report["name"], "count:push") == "1")


def test_webhook_of_stripe(server):
    server.cli("secret", "set", "whsec", stdin="whsec_abc")
    report = new(server, "webhook", provider="stripe", secret="whsec", tolerance_s=100)
    name = report["name"]

    def send(event, header=None, at=0, secret="whsec_abc"):
        body = json.dumps(event, indent=2).encode()
        at = int(time.time()) + at
        header = (header or "t=@,v1=MAC").replace("@", str(at)).replace("MAC", mac(str(at).encode() + b"." + body, secret))
        return curl(report["url"], "-H", f"Stripe-Signature: {header}", "--data-binary", "@-", body=body)
    event = {"id": "evt_1", "type": "invoice.paid"}
    assert send(event)[0] == 202 and send(event)[2]["result"] == "duplicate"
    assert send({**event, "id": "evt_2"}, "t=@,v1=" + "0" * 64 + ",v1=MAC,v0=MAC")[0] == 202
    assert send(event, at=-50)[2]["result"] == "duplicate"
    for header, at in (("t=@,v1=MAC", -110), ("t=@,v1=MAC", 110), ("t=@,v0=MAC", 0), ("v1=MAC", 0), ("t=@", 0), ("t=@,v1=", 0), ("t=1,v1=MAC", 0),
                       ("t=@9,v1=MAC", 0)):
        assert send({**event, "id": "evt_3"}, header, at)[0] == 401, header
    assert send({**event, "id": "evt_3"}, secret="whsec_xyz")[0] == 401
    assert send({"type": "none"})[0] == 400 and send([])[0] == 400
    eventually(lambda: kv(server, name, "count:invoice.paid") == "2")
    server.cli("secret", "rm", "whsec")
    assert send({**event, "id": "evt_4"})[0] == 500


# --- s3-csv-import ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def importer(server):
    bucket = unique("imports")
    report = new(server, "s3-csv-import", bucket=bucket, namespace=unique("table"), key="id")
    return report["name"], bucket, report["parameters"]["namespace"]


def last_report(server, name, key, wait=60):
    return json.loads(eventually(lambda: kv(server, name, "report:" + key), wait, 0.05))


def test_csv_large_file_in_bounded_memory(server, importer):
    """Twenty MB as Python's csv module writes them, with quoted, multi-line and broken rows between, into 64 MiB."""
    name, bucket, table = importer
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(["id", "text", "note"])
    count, wrong = 20_000, 0
    for i in range(count):
        writer.writerow([f"k{i}", 'quoted, "x"\nand two lines' if i % 1000 == 0 else f"plain ü {i}", "n" * 950])
        if i % 5000 == 4999:
            out.write("only one field\r\n")
            wrong += 1
    server.client("s3").put_object(Bucket=bucket, Key="large file.csv", Body=out.getvalue().encode())
    report = last_report(server, name, "large file.csv")
    assert (report["rows"], report["bad"]) == (count, wrong) and report["errors"][0]["reason"] == "1 fields instead of 3"
    assert json.loads(kv(server, table, "k5000")) == {"id": "k5000", "text": 'quoted, "x"\nand two lines', "note": "n" * 950}
    assert json.loads(kv(server, table, f"k{count - 1}"))["text"] == f"plain ü {count - 1}"
    line = eventually(lambda: [l for l in server.log_lines(name) if l.startswith("REPORT") and "Max Memory Used" in l])[0]
    assert int(line.split("Max Memory Used: ")[1].split()[0]) <= 32, line


def test_csv_one_endless_line_is_a_bad_line(server, importer):
    """Seventy MB without a newline, through a function of 64 MiB."""
    name, bucket, table = importer
    server.client("s3").put_object(Bucket=bucket, Key="endless.csv", Body=b"id,text,note\n" + b'"' * 70_000_001 + b"\nlast,1,2\n")
    report = last_report(server, name, "endless.csv")
    assert report["rows"] == 1 and report["bad"] == 1 and report["errors"][0]["line"] == 2
    assert kv(server, table, "last") is not None
    assert not [l for l in server.log_lines(name) if "OutOfMemory" in l]


def test_csv_bad_lines_are_reported(server, importer):
    name, bucket, table = importer
    body = b'\xef\xbb\xbfid,text,note\r\na,"1","x"\r\nb,1\r\n,1,2\r\nc,"1"2,3\r\nd,\xff,1\r\ne,ok,\r\nf,"open\r\n'
    server.client("s3").put_object(Bucket=bucket, Key="bad.csv", Body=body)
    report = last_report(server, name, "bad.csv")
    assert report["rows"] == 2 and report["bad"] == 5
    assert [e["line"] for e in report["errors"]] == [3, 4, 5, 6, 8]
    assert json.loads(kv(server, table, "e")) == {"id": "e", "text": "ok", "note": ""} and kv(server, table, "b") is None
    assert [l for l in server.log_lines(name) if "bad row" in l and '"line":8' in l]
    server.client("s3").put_object(Bucket=bucket, Key="head.csv", Body=b"name\nx\n")
    assert last_report(server, name, "head.csv")["errors"][0]["reason"] == "there is no column id"
    server.client("s3").put_object(Bucket=bucket, Key="no.txt", Body=b"id,text,note\nzz,1,2\n")
    server.client("s3").put_object(Bucket=bucket, Key="empty.csv", Body=b"")
    assert last_report(server, name, "empty.csv")["rows"] == 0
    assert kv(server, table, "zz") is None, "only keys with the suffix"
