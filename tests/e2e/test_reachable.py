"""What a function can get into its hands from real host calls, compared with a list: the runner's own test walks what
needs no server (tests/unit/test_runner_sandbox.c)."""
import pytest

from perilune import Server, unique
from web import Web

pytestmark = pytest.mark.boto3

# From each instance along fields, metatables and every name that anything has, also those that are gone elsewhere. What
# is known from _G is not told again; strings, numbers and booleans are no news anywhere.
WALK = """
local names = { 'reserve', 'commit', 'ref', 'putcdata', 'dump', 'ffi', 'jit', 'cast', 'typeof', 'new', 'state', 'handle', 'call',
  'upvalue', 'close', 'write', 'read', 'json', 'lines', 'chunks', 'flush', 'abort', 'ptr', 'len', 'raw', 'incr', '__index', '__gc', '__call',
  '__metatable', '__newindex', '__close', '__mode', '__tostring', '__len', '__name' }
local known = {}
local function learn(v)
  if known[v] then return end
  if type(v) == 'function' or type(v) == 'userdata' then known[v] = true end
  if type(v) ~= 'table' then return end
  known[v] = true
  for k, x in next, v do
    if type(k) == 'string' then names[#names + 1] = k end
    learn(x)
  end
end
learn(_G)
for _, m in ipairs { 'string.buffer', 'cjson', 'cjson.safe' } do learn(require(m)) end

local function walker()
  local seen, lines = {}, {}
  local function walk(v, path)
    local t = type(v)
    if t == 'nil' or t == 'string' or t == 'number' or t == 'boolean' or known[v] or seen[v] then return end
    local m = getmetatable(v)
    if t ~= 'cdata' then seen[v] = true end
    if t ~= 'table' or m ~= nil then lines[#lines + 1] = path .. ' ' .. t .. (type(m) == 'string' and ' ' .. m or '') end
    if type(m) == 'table' then walk(m, path .. '<meta>') end
    if t == 'table' then
      for k, x in next, v do walk(k, path .. '<key>') walk(x, path .. '.' .. (type(k) == 'string' and k or '#')) end
    end
    if t ~= 'function' and t ~= 'thread' then
      for _, n in ipairs(names) do
        local ok, x = pcall(function() return v[n] end)
        if ok and (t ~= 'table' or rawget(v, n) == nil) then walk(x, path .. ':' .. n) end
      end
    end
  end
  return walk, lines
end

return { main = function(e, context)
  local found = {}
  local function look(name, ...)
    local walk, lines = walker()
    for i = 1, select('#', ...) do walk((select(i, ...)), name) end
    table.sort(lines)
    found[name] = json.array(lines)
    return ...
  end
  look('event', e) look('context', context)
  assert(s3.put(e.bucket, 'k', 'one\\ntwo\\n', { metadata = { a = 'b' } }))
  look('put', s3.put(e.bucket, 'k2', 'x'))
  look('get', s3.get(e.bucket, 'k')) look('head', s3.head(e.bucket, 'k')) 
  local of = look('list', s3.list(e.bucket)) look('entry', of())
  look('copy', s3.copy(e.bucket, 'k', e.bucket, 'k3')) look('presign', s3.presign(e.bucket, 'k')) look('gone', s3.get(e.bucket, 'none'))
  local each = look('chunks', s3.chunks(e.bucket, 'k')) look('chunk', each())
  each = look('lines', s3.lines(e.bucket, 'k')) look('line', each())
  local w = look('writer', s3.writer(e.bucket, 'w'))
  look('written', w:write 'x') look('closed', w:close()) look('delete', s3.delete(e.bucket, 'k2'))
  local store = look('store', kv.open 'n')
  look('set', store:set('k', 'v')) look('value', store:get 'k') look('incr', store:incr 'n') look('page', store:list())
  local tx
  look('committed', kv.transaction(function(t)
    tx = look('tx', t) look('tx store', t:open 'n') look('tx value', t:open 'n':get 'k') return {}
  end))
  look('tx after', tx)
  look('invoke', lambda.invoke(e.other, { 1 })) look('failed', lambda.invoke(e.other, { fail = true }))
  look('response', http.get(e.url .. '/echo'))
  look('refused', http.get 'http://127.0.0.1:1/')
  look('cache', cache.set('k', 'v'), cache.get 'k') look('secret', secrets.get 'none')
  look('all', task.all { function() return coroutine.running() end, function() return time.now() end })
  look('misuse', select(2, pcall(s3.get))) look('overflow', select(2, pcall(function() local function f() return 1 + f() end return f() end)))
  look('stream', http.respond_stream(function(send) look('send', send) end))
  look('wrong', pcall(error, setmetatable({}, {})))
  found.names = #names
  return found
end }
"""
INSTANCES = {
    "context": ["context table context"],
    "list": ["list function"],
    "gone": ["gone table error"],
    "chunks": ["chunks function"],
    "lines": ["lines function"],
    "writer": ["writer table writer", "writer:close function", "writer:write function"],
    "written": ["written table writer", "written:close function", "written:write function"],
    "store": ["store table kv", *(f"store:{m} function" for m in ("delete", "get", "incr", "list", "set"))],
    "tx": ["tx table transaction", "tx:invoke_async function", "tx:open function"],
    "tx store": ["tx store table kv", *(f"tx store:{m} function" for m in ("delete", "get", "incr", "list", "set"))],
    "tx after": ["tx after table transaction", "tx after:invoke_async function", "tx after:open function"],
    "invoke": ["invoke table"],  # an array, as json.decode marks it
    "failed": ["failed table error", "failed.error.stackTrace table"],
    "response": ["response table response", "response.headers table headers", "response:json function"],
    "refused": ["refused table error"],
    "secret": ["secret table error"],
    "all": ["all.# thread"],
    "send": ["send function"],
    "wrong": ["wrong table"],  # its own
}


def test_instances_of_host_calls():
    with Web() as web, Server() as server:
        bucket = unique("reach")
        server.client("s3").create_bucket(Bucket=bucket)
        role = server.make_role({"Effect": "Allow", "Action": "*", "Resource": ["*", f"{web.url}/*"]})
        other = server.make_function("return { main = function(e) if e.fail then error 'no' end return { 1, { a = 'b' } } end }", role=role)
        name = server.make_function(WALK, role=role, Timeout=30)
        found, error, _ = server.invoke(name, {"bucket": bucket, "other": other, "url": web.url})
        assert error is None, found
        assert found.pop("names") > 150
        assert {k: v for k, v in found.items() if v} == INSTANCES
