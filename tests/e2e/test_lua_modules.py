"""What functions can call, from inside the real runtime: kv and its transactions, cache, task, secrets."""
import concurrent.futures
import json
import time

import pytest

from lua_run import ALL, bucket, lua, role  # noqa: F401  fixtures
from perilune import ACCOUNT, REGION, eventually, unique

pytestmark = pytest.mark.boto3

def secret(server, value, name=None):
    name = name or unique("secret")
    assert server.signed("PUT", f"/perilune/v1/secrets/{name}", value, service="perilune")[0] == 200
    return name


# --- kv -------------------------------------------------------------------------------------------


def test_kv_list(lua):
    assert lua("""
        local s = kv.open(e)
        for i = 1, 25 do s:set(('k/%02d'):format(i), i) end
        s:set('other', 'x')
        local page, cursor = s:list { prefix = 'k/', limit = 10 }
        assert(#page == 10 and page[1].key == 'k/01' and page[1].value == '1' and page[10].version > 0)
        local all = {}
        cursor = nil
        repeat
          page, cursor = s:list { prefix = 'k/', limit = 7, cursor = cursor }
          for _, item in ipairs(page) do all[#all + 1] = item.key end
        until not cursor
        assert(#all == 25 and all[25] == 'k/25')
        local none, c = kv.open(e .. 'x'):list()
        assert(#none == 0 and c == nil)
        for _, bad in ipairs { 0, 1001, 1.5 } do assert(not pcall(s.list, s, { limit = bad })) end
        assert(not pcall(s.list, s, { wrong = 1 }))
        return true""", unique("ns")) is True


def test_kv_expiry_is_seen_at_once_and_rows_leave(server, lua):
    ns = unique("ns")
    assert lua("""
        local s = kv.open(e)
        s:set('stays', 'v', { ttl = 1000 })
        local t = time.now()
        s:set('gone', 'v', { ttl = 0.2 })
        assert(s:get('gone') == 'v' or time.now() - t > 0.19) -- a commit may have to wait for the disk
        time.sleep(0.25)
        assert(s:get('gone') == nil and #s:list() == 1)
        assert(s:set('gone', 'again', { if_absent = true }))
        s:set('gone', 'v', { ttl = 0.1 })
        assert(s:incr('gone2', 2, { init = 40 }) == 42)
        return true""", ns) is True


def test_kv_conditions(lua):
    assert lua("""
        local s = kv.open(e)
        local v1 = s:set('k', 'a', { if_absent = true })
        local ok, err = s:set('k', 'b', { if_absent = true })
        assert(ok == nil and err.code == 'PreconditionFailed')
        local v2 = s:set('k', 'b', { if_version = v1 })
        assert(v2 > v1)
        ok, err = s:delete('k', { if_version = v1 })
        assert(ok == nil and err.code == 'PreconditionFailed')
        assert(s:delete('k', { if_version = v2 }) and s:get('k') == nil)
        return true""", unique("ns")) is True


# --- transactions ---------------------------------------------------------------------------------


def test_a_transaction(lua):
    assert lua("""
        local s = kv.open(e)
        s:set('from', 100) s:set('to', 0)
        local result, more = kv.transaction(function(tx)
          local a = tx:open(e)
          assert(tx:open(e):get('from') == '100')
          local left = a:incr('from', -30)
          assert(left == 70 and a:get('from') == '70')
          a:incr('to', 30)
          assert(a:incr('to', 1) == 31)
          a:set('new', 'x', { if_absent = true })
          local ok, err = a:set('new', 'y', { if_absent = true })
          assert(ok == nil and err.code == 'PreconditionFailed')
          assert(a:delete('nothing'))
          assert(kv.open == kv.open)
          local l = a:list()
          assert(#l == 3 and l[1].key == 'from' and l[2].key == 'new' and l[2].value == 'x', json.encode(l))
          assert(#a:list { prefix = 't' } == 1)
          return 'done', 2
        end)
        assert(result == 'done' and more == 2)
        assert(s:get('from') == '70' and s:get('to') == '31' and s:get('new') == 'x')
        assert(kv.transaction(function(tx) tx:open(e):delete('new') end) == true)
        assert(s:get('new') == nil)
        return true""", unique("ns")) is True


def test_a_transaction_that_fails_writes_nothing(lua):
    ns = unique("ns")
    assert lua("""
        local s = kv.open(e)
        local ok, err = pcall(kv.transaction, function(tx) tx:open(e):set('k', 'v') error { code = 'Mine' } end)
        assert(not ok and err.code == 'Mine')
        ok, err = kv.transaction(function(tx) tx:open(e):set('k', 'v') return nil, 'no' end)
        assert(ok == nil and err == 'no')
        ok, err = kv.transaction(function(tx) tx:open(e):set('k', 'v') tx:invoke_async('no-such-function', 1) end)
        assert(ok == nil and err.code == 'NotFound', err)
        ok, err = kv.transaction(function(tx) for i = 1, 101 do tx:open(e):set('k' .. i, 'v') end end)
        assert(ok == nil and err.code == 'TooLarge')
        ok, err = kv.transaction(function(tx) for i = 1, 5 do tx:open(e):set('k' .. i, ('x'):rep(250000)) end end)
        assert(ok == nil and err.code == 'TooLarge')
        local kept
        kv.transaction(function(tx) kept = tx:open(e) end)
        assert(not pcall(kept.set, kept, 'k', 'v'))
        assert(#s:list() == 0)
        assert(not pcall(kv.transaction, 1))
        return true""", ns) is True


@pytest.mark.parametrize("inner", ["kv.open(e):get('k')", "time.sleep(0)", "s3.get('bucket', 'key')", "kv.transaction(print)", "cache.get('k')",
                                   "lambda.invoke('f')", "task.all { function() kv.open(e):set('k', 'v') end }"])
def test_only_tx_inside(lua, inner):
    lua(f"kv.transaction(function(tx) tx:open(e):set('k', 'v') {inner} end)", unique("ns"), error="inside")


def test_asset_and_require_are_harmless_inside(lua):
    assert lua(None, unique("ns"), code={"handler.lua": """return { main = function(e)
        return kv.transaction(function(tx) return require 'later' .. asset.read('later.lua') end) end }""", "later.lua": "return 'x'"}) == "xreturn 'x'"


def test_conflict_runs_it_again(lua):
    assert lua("""
        local s = kv.open(e)
        s:set('n', 0)
        local runs = 0
        local n = kv.transaction(function(tx)
          runs = runs + 1
          local a = tx:open(e)
          local seen = tonumber((a:get('n')))
          if runs <= 3 then coroutine.wrap(function() kv.open(e):incr('n', 10) end)() end -- somebody else
          a:set('n', seen + 1)
          return seen
        end)
        assert(runs == 4 and n == 30 and s:get('n') == '31')
        local tries = 0
        local ok, err = kv.transaction(function(tx)
          tries = tries + 1
          tx:open(e):incr('n')
          coroutine.wrap(function() kv.open(e):incr('n', 1) end)()
        end)
        assert(ok == nil and err.code == 'Conflict' and tries == 10)
        -- a key that was absent and came, and one that was there and went
        for _, case in ipairs { { 'absent', 'set' }, { 'n', 'delete' } } do
          local first = true
          assert(kv.transaction(function(tx)
            tx:open(e):get(case[1])
            if first then coroutine.wrap(function() kv.open(e)[case[2]](kv.open(e), case[1], case[2] == 'set' and '1' or nil) end)() end
            if not first then return 'second' end
            first = false
            tx:open(e):set('z', '1')
          end) == 'second')
        end
        return true""", unique("ns")) is True


def test_two_writers_lose_nothing(server, role):
    ns = unique("ns")
    name = server.make_function("""return { main = function(e)
        local done, lost = 0, 0
        for i = 1, 40 do
          local ok, err = kv.transaction(function(tx)
            local s = tx:open(e.ns)
            s:set('a', (tonumber((s:get('a'))) or 0) + 1)
            s:set('b', (tonumber((s:get('b'))) or 0) - 1)
          end)
          if ok then done = done + 1 else assert(err.code == 'Conflict') lost = lost + 1 end
        end
        return { done, lost }
        end }""", role=role, Timeout=30)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        results = [f.result()[0] for f in [pool.submit(server.invoke, name, {"ns": ns}) for _ in range(2)]]
    done = sum(r[0] for r in results)
    assert done > 40, results
    get = lambda key: int(server.signed("GET", f"/perilune/v1/kv/{ns}/{key}", service="perilune")[2])
    assert (get("a"), get("b")) == (done, -done)


def test_events_go_with_the_writes(server, lua, role):
    ns, target = unique("ns"), server.make_function("return { main = function(e) kv.open(e.ns):incr('ran', e.by) end }", role=role)
    event = {"ns": ns, "f": target}
    assert lua("""
        assert(kv.transaction(function(tx)
          tx:open(e.ns):set('order', '1')
          assert(tx:invoke_async(e.f, { ns = e.ns, by = 1 }))
          tx:invoke_async(e.f, { ns = e.ns, by = 10 }, { delay = 0.1 })
        end) == true)
        pcall(kv.transaction, function(tx) tx:invoke_async(e.f, { ns = e.ns, by = 1000 }) error 'no' end)
        local first = true
        kv.transaction(function(tx) -- the first run's event must not stay
          tx:open(e.ns):incr('order')
          tx:invoke_async(e.f, { ns = e.ns, by = 100 })
          if first then first = false coroutine.wrap(function() kv.open(e.ns):incr('order') end)() end
        end)
        for i = 1, 500 do
          if kv.open(e.ns):get('ran') == '111' then return true end
          time.sleep(0.05)
        end
        return kv.open(e.ns):get('ran')""", event, Timeout=60) is True
    time.sleep(0.3)
    assert server.signed("GET", f"/perilune/v1/kv/{ns}/ran", service="perilune")[2] == b"111"


def test_each_part_of_a_transaction_is_asked_for(server, lua):
    ns, f = unique("ns"), unique("fn")
    kv = f"arn:aws:perilune:{REGION}:{ACCOUNT}:kv/{ns}"
    event = {"ns": ns, "f": server.make_function("return { main = function() end }", name=f)}
    body = """
        local ok, err = kv.transaction(function(tx)
          local s = tx:open(e.ns)
          if e.read then s:get('k') end
          if e.write then s:set('k', 'v') end
          if e.invoke then tx:invoke_async(e.f, 1) end
        end)
        return { ok = ok, code = err and err.code, message = err and err.message }"""
    write = server.make_role({"Effect": "Allow", "Action": "perilune:KvWrite", "Resource": kv})
    got = lua(body, dict(event, write=True), role=write)
    assert got == {"ok": True}
    got = lua(body, dict(event, write=True, read=True), role=write)
    assert got["code"] == "AccessDenied" and "perilune:KvRead" in got["message"]
    got = lua(body, dict(event, write=True, invoke=True), role=write)
    assert got["code"] == "AccessDenied" and "lambda:InvokeFunction" in got["message"] and f in got["message"]
    read = server.make_role({"Effect": "Allow", "Action": "perilune:KvRead", "Resource": kv})
    got = lua(body, dict(event, write=True), role=read)
    assert got["code"] == "AccessDenied" and "perilune:KvWrite" in got["message"]


# --- cache ----------------------------------------------------------------------------------------


def test_cache(server, role):
    name = server.make_function("""return { main = function(e)
        if e == 'set' then
          assert(cache.set('s', 'text\\0') and cache.set('t', { a = { 1 }, b = {} }) and cache.set('n', 1.5) and cache.set('b', false))
          assert(cache.set('gone', 1, 0.05) and cache.set('deleted', 1) and cache.set('deleted', nil) and cache.set('e', ''))
          time.sleep(0.06)
          assert(cache.get('gone') == nil and cache.get('deleted') == nil and cache.get('never') == nil)
          local ok, err = cache.set('big', ('x'):rep(1024 * 1024 + 1))
          assert(ok == nil and err.code == 'TooLarge')
          assert(not pcall(cache.set, 'k', 1, 0) and not pcall(cache.set, 'k', print) and not pcall(cache.get, ''))
        end
        return { cache.get('s') == 'text\\0', cache.get('t'), cache.get('n'), cache.get('b'), cache.get('e') }
        end }""", role=role)
    expected = [True, {"a": [1], "b": {}}, 1.5, False, ""]
    assert server.invoke(name, "set")[0] == expected
    server.client("lambda").update_function_configuration(FunctionName=name, Description="a new runner, the same function")
    assert server.invoke(name, "get")[0] == expected
    other = server.make_function("return { main = function(e) return cache.get('s') == nil end }", role=role)
    assert server.invoke(other)[0] is True


def test_cache_is_bounded(lua):
    assert lua("""
        for i = 1, 20 do assert(cache.set('k' .. i, ('x'):rep(1000000))) end
        assert(cache.get('k1') == nil and #cache.get('k20') == 1000000)
        local n = 0
        for i = 1, 20 do if cache.get('k' .. i) then n = n + 1 end end
        return n""") == 8


# --- task -----------------------------------------------------------------------------------------


def test_tasks_wait_side_by_side(lua):
    assert lua("""
        local t = time.now()
        local list = {}
        for i = 1, 100 do list[i] = function() time.sleep(0.2) return i end end
        local r = task.all(list)
        for i = 1, 100 do assert(r[i] == i) end
        local took = time.now() - t
        assert(took > 0.38 and took < 10, took) -- 63 side by side: one after the other takes 20 s
        return true""", Timeout=30) is True


def test_tasks(lua):
    assert lua("""
        local s = kv.open(e)
        local order = {}
        local r = task.all {
          function() time.sleep(0.05) order[#order + 1] = 1 return 'a', 'dropped' end,
          function() s:set('k', ('x'):rep(200000)) order[#order + 1] = 2 return #s:get('k') end,
          function() order[#order + 1] = 3 end,
          function() -- a coroutine of its own blocks, and works
            return coroutine.wrap(function() time.sleep(0.01) return s:get('none') == nil end)()
          end,
          function() return ('abc'):gsub('.', function(c) time.sleep(0.001) return c:upper() end) end,
          function()
            local inner = task.all { function() time.sleep(0.01) return 1 end, function() return task.all { function() return 5 end }[1] end }
            return inner[1] + inner[2]
          end,
          function() coroutine.yield() return pcall(function() time.sleep(0.01) error 'x' end) end,
        }
        assert(r[1] == 'a' and r[2] == 200000 and r[3] == nil and r[4] == true and r[5] == 'ABC' and r[6] == 6 and r[7] == false)
        assert(order[1] == 3 and order[3] == 1)
        assert(#task.all {} == 0)
        -- all end before the first error is raised again
        local ended = 0
        local ok, err = pcall(task.all, {
          function() time.sleep(0.05) ended = ended + 1 error 'second' end,
          function() time.sleep(0.02) error { code = 'First' } end,
          function() time.sleep(0.1) ended = ended + 1 end,
        })
        assert(not ok and err.code == 'First' and ended == 2)
        for _, bad in ipairs { 1, { 1 }, { function() end, 'x' } } do assert(not pcall(task.all, bad)) end
        return true""", unique("ns"), Timeout=10) is True


def test_large_results_side_by_side(server, lua):
    s3, bucket = server.client("s3"), unique("bucket")
    s3.create_bucket(Bucket=bucket)
    for i in range(4):
        s3.put_object(Bucket=bucket, Key=f"k{i}", Body=bytes([65 + i]) * 6_000_000)
    assert lua("""
        local list = {}
        for i = 0, 15 do list[i + 1] = function() return #assert(s3.get(e, 'k' .. i % 4)).body end end
        local r = task.all(list) -- 96 MB, more than may wait for a runner at once
        for i = 1, 16 do assert(r[i] == 6000000) end
        return true""", bucket, MemorySize=256, Timeout=20) is True


def test_large_arguments_side_by_side(lua, bucket):
    """More than may be on their way at once: they wait for each other."""
    assert lua("""
        local list = {}
        for i = 1, 12 do list[i] = function() return assert(s3.put(e, 'p' .. i, string.char(64 + i):rep(3000000))).etag end end
        local r = task.all(list)
        for i = 1, 12 do assert(r[i] == crypto.md5_hex(string.char(64 + i):rep(3000000))) end
        return true""", bucket, MemorySize=256, Timeout=20) is True


def test_transactions_in_tasks(lua):
    assert lua("""
        local list = {}
        for i = 1, 5 do
          list[i] = function()
            return kv.transaction(function(tx) local s = tx:open(e) s:set('n', (tonumber((s:get('n'))) or 0) + 1) return true end)
          end
        end
        local ok = task.all(list)
        for i = 1, 5 do assert(ok[i]) end
        return kv.open(e):get('n')""", unique("ns"), Timeout=10) == "5"


# --- secrets --------------------------------------------------------------------------------------


def test_secrets_are_masked_in_the_log(server, lua):
    value = 'pa"ss\\word\u00e9'
    name = secret(server, value.encode())
    lines = secret(server, b"-----BEGIN KEY-----\nMIIEvQIBADANBgkq\r\nshort\n-----END KEY-----")
    assert lua("""
        local s = assert(secrets.get(e[1]))
        print('before ' .. s .. ' after ' .. s)
        log.info('fields', { token = s })
        log.warn { token = s }
        io.stdout:write(s, '\\n')
        local pem = secrets.get(e[2])
        io.stderr:write(pem, '\\n')
        print(pcall(error, 'with ' .. s))
        local none, err = secrets.get('no-such-secret')
        assert(none == nil and err.code == 'NotFound')
        assert(not pcall(secrets.get) and select(2, secrets.get('bad name')).code == 'InvalidArgument')
        return s""", [name, lines]) == value
    text = "\n".join(server.log_lines(lua.name))
    assert "before **** after ****" in text and '{"token":"****"}' in text, text
    for part in ("word", "MIIEvQ", "BEGIN KEY"):
        assert part not in text, text
    assert "short" in text


def test_an_error_with_a_secret_is_masked_too(server, role):
    name = secret(server, b"hunter2222")
    fn = server.make_function("return { main = function(e) error('bad ' .. secrets.get(e)) end }", role=role)
    server.invoke(fn, name)
    text = "\n".join(server.log_lines(fn))
    assert "bad ****" in text and "hunter2222" not in text


# --- crashes --------------------------------------------------------------------------------------


def test_a_crash_leaves_whole_transactions(own_server):
    """kill -9 of everything while two functions transfer and queue: what is there is there as a whole."""
    server = own_server()
    role = server.make_role(ALL)
    counter = server.make_function("return { main = function(e) kv.open('n'):incr('seen/' .. e) end }", role=role)
    name = server.make_function("""return { main = function(e)
        local i = 0
        while true do
          i = i + 1
          kv.transaction(function(tx)
            local s = tx:open 'n'
            local n = (tonumber((s:get 'a')) or 0) + 1
            s:set('a', n)
            s:set('b', -n)
            if n % 10 == 0 then tx:invoke_async(e, n) end
          end)
        end
        end }""", role=role, Timeout=90)

    def get(key):
        status, _, body = server.signed("GET", f"/perilune/v1/kv/n/{key}", service="perilune")
        return int(body) if status == 200 else 0

    before = 0
    for _ in range(2):
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for _ in range(2):
                pool.submit(lambda: pytest.raises(Exception, server.invoke, name, counter))
            eventually(lambda: get("a") >= before + 60, 60, 0.02)
            server.kill()
        server.start()
        a = get("a")
        assert a >= before + 60 and get("b") == -a
        before = a
    wanted = {f"seen/{n}" for n in range(10, before + 1, 10)}
    deadline = time.time() + 60
    seen = set()
    while seen != wanted and time.time() < deadline:
        seen, cursor = set(), ""
        while cursor is not None:
            page = json.loads(server.signed("GET", f"/perilune/v1/kv/n?cursor={cursor}&limit=1000&prefix=seen%2F", service="perilune")[2])
            seen |= {i["key"] for i in page["items"]}
            cursor = page["cursor"]
        time.sleep(0.05)
    assert seen == wanted, (len(seen), len(wanted), sorted(wanted - seen)[:5], sorted(seen - wanted)[:5])


# --- pure modules ---------------------------------------------------------------------------------


def test_crypto_and_codecs(lua):
    import hashlib
    import hmac
    text = "The quick brown fox \u00e9"
    got = lua("""
        local t, r = e, {}
        for _, alg in ipairs { 'sha256', 'sha1', 'md5' } do
          r[alg] = crypto[alg .. '_hex'](t)
          assert(hex.encode(crypto[alg](t)) == r[alg])
        end
        for _, alg in ipairs { 'sha256', 'sha1', 'md5', 'sha512' } do
          r['hmac_' .. alg] = crypto.hmac_hex(alg, 'key', t)
          assert(hex.encode(crypto.hmac(alg, 'key', t)) == r['hmac_' .. alg])
        end
        assert(not pcall(crypto.hmac, 'sha3', 'k', 't') and not pcall(crypto.sha256))
        assert(#crypto.random(32) == 32 and crypto.random(16) ~= crypto.random(16) and crypto.random(0) == '')
        assert(not pcall(crypto.random, -1) and not pcall(crypto.random, 1048577))
        assert(crypto.uuid():match '^%x%x%x%x%x%x%x%x%-%x%x%x%x%-4%x%x%x%-[89ab]%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$' and crypto.uuid() ~= crypto.uuid())
        assert(crypto.equals('a', 'a') and not crypto.equals('a', 'b') and not crypto.equals('a', 'aa') and crypto.equals('', ''))
        for n = 0, 20 do
          local b = crypto.random(n)
          assert(base64.decode(base64.encode(b)) == b and base64.url_decode(base64.url_encode(b)) == b and hex.decode(hex.encode(b)) == b)
        end
        assert(base64.encode '\\255\\254' == '//4=' and base64.url_encode '\\255\\254' == '__4')
        for _, bad in ipairs { '//4', 'a b=', '*' } do local v, err = base64.decode(bad) assert(v == nil and err.code == 'InvalidArgument', bad) end
        local v, err = hex.decode '0'
        assert(v == nil and err.code == 'InvalidArgument' and hex.decode 'AbFf' == '\\171\\255')
        return r""", text)
    for alg in ("sha256", "sha1", "md5"):
        assert got[alg] == hashlib.new(alg, text.encode()).hexdigest()
    for alg in ("sha256", "sha1", "md5", "sha512"):
        assert got["hmac_" + alg] == hmac.new(b"key", text.encode(), alg).hexdigest()


def test_time(lua):
    assert lua("""
        local now = time.now()
        assert(math.abs(now - os.time()) < 2 and now % 1 ~= 0 or true)
        assert(time.iso8601(0) == '1970-01-01T00:00:00.000Z' and time.iso8601(1795779124.123) == '2026-11-27T11:32:04.123Z')
        assert(time.parse '2026-11-27T11:32:04.123Z' == 1795779124.123 and time.parse '2026-11-27T11:32:04Z' == 1795779124)
        assert(time.parse 'Fri, 27 Nov 2026 11:32:04 GMT' == 1795779124)
        assert(math.abs(time.parse(time.iso8601()) - time.now()) < 1)
        for _, same in ipairs { '2026-11-27T13:32:04+02:00', '2026-11-27T08:02:04.000-0330', '2026-11-27T11:32:04+00:00' } do
          assert(time.parse(same) == 1795779124, same)
        end
        assert(time.parse '2026-11-27' == 1795737600)
        for _, bad in ipairs { 'yesterday', '', '2026-13-01', '2026-11-27T11:32:04', '2026-11-27T11:32:04+2', '2026-11-27T11:32:04+24:00',
            '2026-11-27T11:32:04+02:60', '+02:00', '2026-11-27+02:00', '2026-11-27T11:32:04.1230+02:000' } do
          local v, err = time.parse(bad)
          assert(v == nil and err.code == 'InvalidArgument', bad)
        end
        assert(not pcall(time.iso8601, 1e15) and not pcall(time.sleep, -1) and not pcall(time.sleep, 901) and time.sleep(0) == true)
        local t = time.now()
        time.sleep(0.05)
        assert(time.now() - t >= 0.0485) -- both in whole milliseconds
        return true""") is True


def test_json_inside_the_runtime(lua):
    event = {"a": [], "b": {}, "c": [[], {}, [{}]], "d": None, "e": [1, None], "f": 1.5, "g": "\u00e9\u20ac\U0001f600"}
    assert lua("return e", event) == event
    assert lua("""
        assert(json.encode(e.a) == '[]' and json.encode(e.b) == '{}' and e.d == json.null and e.e[2] == json.null)
        assert(json.encode {} == '{}' and json.encode(json.array {}) == '[]' and json.encode { x = json.empty_array } == '{"x":[]}')
        for _, bad in ipairs { '', '[1,]', '{"a":1,}', '01', '1.', '.5', 'nul', '"\\\\x"', '[1] 2', "'a'", '\\239\\187\\191[]', 'NaN', '[1', '"\\1"' } do
          local v, err = json.decode(bad)
          assert(v == nil and err.code == 'InvalidArgument' and err.message:find 'byte', bad)
        end
        assert(require 'cjson'.decode '[1,2]'[2] == 2 and require 'cjson.safe'.decode '[' == nil)
        return json.decode(json.encode(e, { indent = 2 }))""", event) == event


def test_events(lua):
    assert lua("""
        assert(events.decode_key 'a+b%2Bc%C3%BC/d' == 'a b+cü/d')
        local n = 0
        for r in events.records(e.s3) do n = n + 1 assert(r.s3.object.key) end
        assert(n == 2 and events.records {}() == nil and events.records(5)() == nil and events.records(nil)() == nil)
        assert(events.source(e.s3) == 's3' and events.source { source = 'aws.events', ['detail-type'] = 'x' } == 'schedule')
        assert(events.source { requestContext = { http = {} } } == 'url' and events.source 'x' == 'invoke' and events.source(nil) == 'invoke')
        return true""", {"s3": {"Records": [{"eventSource": "aws:s3", "s3": {"object": {"key": k}}} for k in "ab"]}}) is True
