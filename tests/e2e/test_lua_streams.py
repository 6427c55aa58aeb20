"""Objects as streams, copies and links, from inside the real runtime."""
import time

import pytest

from lua_run import ALL, bucket, lua, role  # noqa: F401  fixtures
from perilune import eventually, unique

pytestmark = pytest.mark.boto3

# --- streams --------------------------------------------------------------------------------------


def test_chunks(server, lua, bucket):
    s3 = server.client("s3")
    body = bytes(range(256)) * 4000  # 1,024,000
    s3.put_object(Bucket=bucket, Key="big", Body=body)
    s3.put_object(Bucket=bucket, Key="small", Body=b"0123456789")
    s3.put_object(Bucket=bucket, Key="empty", Body=b"")
    import hashlib
    assert lua("""
        local parts = {}
        for c in s3.chunks(e, 'big', 300000) do parts[#parts + 1] = c end
        assert(#parts == 4 and #parts[1] == 300000 and #parts[4] == 124000)
        local n = 0
        for c in s3.chunks(e, 'big') do n = n + #c end
        assert(n == 1024000)
        local small = {}
        for c in s3.chunks(e, 'small', 4) do small[#small + 1] = c end
        assert(table.concat(small, '|') == '0123|4567|89')
        assert(s3.chunks(e, 'empty')() == nil)
        local none, err = s3.chunks(e, 'none')
        assert(none == nil and err.code == 'NoSuchKey')
        none, err = s3.lines('no-such-bucket', 'none')
        assert(none == nil and err.code == 'NoSuchBucket')
        for _, bad in ipairs { 0, 1.5, 7000000 } do assert(not pcall(s3.chunks, e, 'big', bad)) end
        return crypto.sha256_hex(table.concat(parts))""", bucket, Timeout=10) == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("text", ["", "\n", "one", "one\n", "one\ntwo", "one\n\n\ntwo\n", "\r\n\r\n", "x" * 700_000 + "\nend", "a\n" * 400_000,
                                  "y" * 262_144 + "\n" + "z" * 262_143 + "\n"], ids=lambda t: repr(t[:12]))
def test_lines(server, lua, bucket, text):
    server.client("s3").put_object(Bucket=bucket, Key="text", Body=text.encode())
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    got = lua("local n, last, bytes = 0, nil, 0 for l in s3.lines(e, 'text') do n, last, bytes = n + 1, l, bytes + #l end return { n = n, last = last, bytes = bytes }",
              bucket, Timeout=20)
    assert got == {"n": len(lines), "bytes": sum(map(len, lines)), **({"last": lines[-1]} if lines else {})}


def test_lines_of_at_most_so_many_bytes(lua, bucket):
    assert lua("""
        local long = ('x'):rep(700000)
        s3.put(e, 'wide', 'abc\\nabcd\\n' .. long .. '\\n\\nabc\\n' .. long)
        local seen = {}
        for line, cut in s3.lines(e, 'wide', { max = 3 }) do seen[#seen + 1] = line .. (cut and '!' or '') end
        assert(table.concat(seen, ' ') == 'abc abc! xxx!  abc xxx!', table.concat(seen, ' '))
        local next_line = s3.lines(e, 'wide', { max = 300000 })
        assert(select('#', next_line()) == 1 and next_line() == 'abcd')
        local line, cut = next_line()
        assert(#line == 300000 and cut == true)
        for _, bad in ipairs { 0, -1, 1.5, '3' } do assert(not pcall(s3.lines, e, 'wide', { max = bad }), bad) end
        assert(not pcall(s3.lines, e, 'wide', { least = 1 }))
        return true""", bucket) is True


def test_64_mb_by_line_under_16_mb(server, lua, bucket):
    line = b"The quick brown fox jumps over the lazy dog, again and again and again.\n"
    n = 64 * 1024 * 1024 // len(line)
    server.client("s3").put_object(Bucket=bucket, Key="huge", Body=line * n)
    name = server.make_function("return { main = function(e) local n, b = 0, 0 for l in s3.lines(e, 'huge') do n, b = n + 1, b + #l end return { n, b } end }",
                                role=server.make_role(ALL), Timeout=60)
    # AWS's least is 128 MB; the report says what was held
    value, error, r = server.invoke(name, bucket, LogType="Tail")
    assert error is None and value == [n, n * (len(line) - 1)], value
    import base64
    import re
    used = int(re.search(r"Max Memory Used: (\d+) MB", base64.b64decode(r["LogResult"]).decode())[1])
    assert used <= 16, used


def test_a_reader_holds_what_it_opened(lua, bucket):
    assert lua("""
        s3.put(e, 'changing', ('a'):rep(600000))
        local more = s3.chunks(e, 'changing', 200000)
        assert(more() == ('a'):rep(200000))
        s3.put(e, 'changing', ('b'):rep(600000))
        assert(more() == ('a'):rep(200000))
        s3.delete(e, 'changing')
        assert(more() == ('a'):rep(200000) and more() == nil and more() == nil)
        return true""", bucket) is True


def test_writer(server, lua, bucket):
    got = lua("""
        local w = assert(s3.writer(e, 'written', { content_type = 'text/csv', metadata = { a = 'b' } }))
        for i = 1, 30000 do assert(w:write(('%d,%d\\n'):format(i, i * i)) == w) end
        assert(w:write(('x'):rep(3000000)):write '' == w)
        assert(s3.head(e, 'written') == nil)
        local r = w:close()
        assert(not pcall(w.write, w, 'x') and not pcall(w.close, w))
        assert(not pcall(w.write, 'x') and not pcall(w.write, w, {}))
        local none, err = s3.writer('no-such-bucket', 'k')
        assert(none == nil and err.code == 'NoSuchBucket')
        local empty = s3.writer(e, 'empty-written'):close()
        assert(empty.size == 0)
        s3.put(e, 'there', 'x')
        local second = s3.writer(e, 'there', { if_none_match = true })
        second:write 'y'
        none, err = second:close()
        assert(none == nil and err.code == 'PreconditionFailed')
        return r""", bucket, Timeout=20)
    body = b"".join(b"%d,%d\n" % (i, i * i) for i in range(1, 30001)) + b"x" * 3_000_000
    r = server.client("s3").get_object(Bucket=bucket, Key="written")
    import hashlib
    assert r["Body"].read() == body and r["ContentType"] == "text/csv" and r["Metadata"] == {"a": "b"}
    assert got == {"etag": hashlib.md5(body).hexdigest(), "size": len(body)}


def blobs(server):
    return {p.name for p in (server.data / "blobs").rglob("*") if p.is_file()}


def test_an_unclosed_writer_leaves_nothing(server, role, bucket):
    before = blobs(server)
    name = server.make_function("""
        local kept
        return { main = function(e)
          if kept then
            local ok, err = kept:write(('x'):rep(300000))
            return { ok = ok, code = err.code }
          end
          kept = s3.writer(e, 'never')
          for i = 1, 20 do kept:write(('x'):rep(100000)) end
          kept2 = s3.chunks(e, 'big')
          if e.fail then error 'x' end
          return true
        end }""", role=role)
    server.client("s3").put_object(Bucket=bucket, Key="big", Body=b"x" * 1_000_000)
    before = blobs(server)
    assert server.invoke(name, bucket)[0] is True
    assert server.invoke(name, bucket)[0] == {"code": "InvalidArgument"}
    eventually(lambda: not blobs(server) - before, 20)
    assert "never" not in [o["Key"] for o in server.client("s3").list_objects_v2(Bucket=bucket)["Contents"]]
    # a run that times out in the middle of writing
    slow = server.make_function("return { main = function(e) local w = s3.writer(e, 'never') while true do w:write(('x'):rep(500000)) end end }", role=role, Timeout=1)
    assert server.invoke(slow, bucket)[1]
    eventually(lambda: not blobs(server) - before, 20)


def test_open_streams_are_bounded_and_lost_ones_closed(lua, bucket):
    assert lua("""
        s3.put(e, 'big', ('x'):rep(100000))
        for i = 1, 200 do for c in s3.chunks(e, 'big', 10) do break end end -- nobody holds them
        local held = {}
        for i = 1, 100 do
          local it, err = s3.chunks(e, 'big', 10)
          if not it then assert(err.code == 'Throttled', err.code) break end
          held[i] = it
        end
        return #held""", bucket, Timeout=20) in (62, 63, 64)


def test_streams_in_tasks(lua, bucket):
    assert lua("""
        local list = {}
        for t = 1, 8 do
          list[t] = function()
            local w = s3.writer(e, 't' .. t)
            for i = 1, 20 do w:write(string.char(64 + t):rep(50000)) end
            w:close()
            local n = 0
            for c in s3.chunks(e, 't' .. t) do assert(c == string.char(64 + t):rep(#c)) n = n + #c end
            return n
          end
        end
        local r = task.all(list)
        for t = 1, 8 do assert(r[t] == 1000000) end
        -- one stream does one thing at a time
        local it = s3.chunks(e, 't1', 500000)
        local r2 = task.all { function() return pcall(it) end, function() return select(2, pcall(it)) end }
        return true""", bucket, Timeout=20) is True


# --- copies and links -----------------------------------------------------------------------------


def test_copy(server, lua, bucket):
    s3, other = server.client("s3"), unique("bucket")
    s3.create_bucket(Bucket=other)
    s3.put_object(Bucket=bucket, Key="source ü", Body=b"x" * 100_000, ContentType="text/x", Metadata={"a": "b"})
    assert lua("""
        local r = assert(s3.copy(e[1], 'source ü', e[2], 'target/k'))
        assert(r.size == 100000 and #r.etag == 32)
        local none, err = s3.copy(e[1], 'none', e[2], 'k')
        assert(none == nil and err.code == 'NoSuchKey')
        none, err = s3.copy(e[1], 'source ü', 'no-such-bucket', 'k')
        assert(none == nil and err.code == 'NoSuchBucket')
        assert(not pcall(s3.copy, e[1], 'k', e[2]))
        return true""", [bucket, other]) is True
    r = s3.get_object(Bucket=other, Key="target/k")
    assert r["Body"].read() == b"x" * 100_000 and r["ContentType"] == "text/x" and r["Metadata"] == {"a": "b"}
    role = server.make_role({"Effect": "Allow", "Action": "s3:PutObject", "Resource": "*"})
    got = lua("local r, err = s3.copy(e[1], 'source ü', e[2], 'k') return err.message", [bucket, other], role=role)
    assert "s3:GetObject" in got and f"{bucket}/source" in got


def fetch(url, method="GET", body=None):
    import urllib.error
    import urllib.request
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=body, method=method), timeout=10) as r:
            return r.status, r.read()
    except urllib.error.HTTPError as e:
        return e.code, e.read()


def test_presign(server, lua, bucket):
    s3 = server.client("s3")
    s3.put_object(Bucket=bucket, Key="shared/a b+ü.txt", Body=b"hello")
    s3.put_object(Bucket=bucket, Key="private", Body=b"no")
    role = server.make_role({"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": f"arn:aws:s3:::{bucket}/shared/*"})
    urls = lua("""
        local key = 'shared/a b+ü.txt'
        local none, err = s3.presign(e, 'private')
        assert(none == nil and err.code == 'AccessDenied' and err.message:find('s3:GetObject', 1, true))
        none, err = s3.presign(e, key, { method = 'DELETE' })
        assert(none == nil and err.code == 'AccessDenied' and err.message:find('s3:DeleteObject', 1, true))
        for _, bad in ipairs { { method = 'POST' }, { expires = 0 }, { expires = 604801 } } do
          none, err = s3.presign(e, key, bad)
          assert(none == nil and err.code == 'InvalidArgument')
        end
        assert(not pcall(s3.presign, e, key, { expires = 1.5 }))
        return { get = s3.presign(e, key), head = s3.presign(e, key, { method = 'HEAD', expires = 60 }),
          put = s3.presign(e, 'shared/new', { method = 'PUT' }), short = s3.presign(e, key, { expires = 1 }) }""", bucket, role=role)
    assert urls["get"].startswith(server.url)
    got = fetch(urls["get"])
    assert got == (200, b"hello"), (urls, got)
    assert fetch(urls["head"], "HEAD")[0] == 200
    assert fetch(urls["put"], "PUT", b"by link")[0] == 200
    assert s3.get_object(Bucket=bucket, Key="shared/new")["Body"].read() == b"by link"
    assert fetch(urls["get"], "PUT", b"x")[0] == 403 and fetch(urls["get"].replace("shared", "private"))[0] == 403
    assert fetch(urls["put"])[0] == 403
    time.sleep(1.2)
    status, body = fetch(urls["short"])
    assert status == 403, body
    iam = server.client("iam")
    iam.delete_role_policy(RoleName=role.rsplit("/", 1)[1], PolicyName="inline")
    status, body = fetch(urls["get"])
    assert status == 403 and b"AccessDenied" in body, body
