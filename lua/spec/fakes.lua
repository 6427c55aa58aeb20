-- fakes: host calls played in memory, for 'perilune test'.
--
-- This runs before every other module and takes core.call's place, so that what specs run is the
-- modules' real code (argument checks, shapes, iterators) down to the line that would ask the core.
-- All that the plays remember lies in one table, `world`, which can be saved and brought back: each
-- test begins with what its describe blocks have set up.
local core, env = ...

local numbers, real_call, new_error = core.numbers, core.call, core.new_error
local crypto, encode = env.crypto, env.json.encode
local type, tostring, tonumber, select, next = type, tostring, tonumber, select, next
local find, sub, match, format, lower = string.find, string.sub, string.match, string.format, string.lower
local sort, floor, min, max = table.sort, math.floor, math.min, math.max
local wall, getenv = env.time.now, env.os.getenv
local raw_time, raw_date = env.os.time, env.os.date

local call_names, fields = {}, {}
for name, number in next, numbers do
  if find(name, ".", 1, true) then
    call_names[number] = name
  else
    fields[number] = name
  end
end

-- --- the world ------------------------------------------------------------------------------------

local world

local function fresh()
  return {
    buckets = {},    -- name -> key -> object
    spaces = {},     -- kv namespace -> key -> { value, version, expires }
    cache = {},      -- key -> { value, expires }
    secrets = {},    -- name -> value
    functions = {},  -- name -> function(payload) or value: what lambda.invoke answers
    replies = {},    -- { pattern, reply }: what http answers, the newest first
    failures = {},   -- call -> { code, text, left }
    variables = {},  -- environment
    logs = {},       -- { level, message, fields }
    invoked = {},    -- { name, payload, async, delay, qualifier }
    requests = {},   -- http requests as they were made
    version = 0,     -- of kv
    ahead = 0,       -- seconds that the clock is ahead of the real one
    frozen = false,  -- the time that the clock shows until it is moved
    calls = 0,       -- host calls so far
  }
end
world = fresh()

local function copy(value, seen)
  if type(value) ~= "table" then
    return value
  elseif seen[value] then
    return seen[value]
  end
  local new = {}
  seen[value] = new
  for k, v in next, value do
    new[k] = copy(v, seen)
  end
  return new
end

local fakes = { plays = {} }
core.fakes = fakes

-- Is there a host call of that name?
function fakes.known(name)
  for _, known in next, call_names do
    if known == name then
      return true
    end
  end
  return false
end

function fakes.world()
  return world
end
function fakes.reset()
  world = fresh()
end
-- A copy of the whole, which restore makes the world again (any number of times).
function fakes.save()
  return copy(world, {})
end
function fakes.restore(saved)
  world = copy(saved, {})
end

-- --- time -------------------------------------------------------------------------------------------

local function now()
  return world.frozen or wall() + world.ahead
end
fakes.now = now

function fakes.advance(seconds)
  if world.frozen then
    world.frozen = world.frozen + seconds
  else
    world.ahead = world.ahead + seconds
  end
end

env.time.now = now
local raw_iso = env.time.iso8601
function env.time.iso8601(t)
  return raw_iso(t == nil and now() or t)
end
function env.os.time(t)
  return t and raw_time(t) or floor(now())
end
function env.os.date(fmt, t)
  return raw_date(fmt or "%c", t or floor(now()))
end
function env.os.getenv(name)
  local value = world.variables[name]
  if value == nil then
    return getenv(name)
  end
  return value or nil
end

-- --- the call ---------------------------------------------------------------------------------------

local plays = fakes.plays

-- An expected failure, as the core's answer would be.
local function refuse(code, text)
  return nil, new_error(code, text or code)
end
fakes.refuse = refuse

local function failure(name)
  local f = world.failures[name]
  if f then
    f.left = f.left - 1
    if f.left <= 0 then
      world.failures[name] = nil
    end
    return f
  end
end

function core.call(number, ...)
  local name = call_names[number]
  if name == "package.read" then
    return real_call(number, ...)
  end
  local args = {}
  for i = 1, select("#", ...), 2 do
    local tag, value = select(i, ...)
    if value ~= nil then
      args[fields[tag]] = value
    end
  end
  world.calls = world.calls + 1
  local f = failure(name)
  if f then
    return refuse(f.code, f.text)
  end
  local play = plays[name]
  if not play then
    core.misuse(tostring(name) .. " is not played in specs: give a stub for it")
  end
  return play(args)
end

plays["time.sleep"] = function(args)
  fakes.advance(args.ms / 1000)
  return {}
end

-- --- logs -------------------------------------------------------------------------------------------

local levels = { [0] = "trace", "debug", "info", "warn", "error", "fatal" }

local function text_of(value)
  local ok, text = pcall(encode, value)
  return ok and text or "(a table)"
end

function core.emit(level, message, more)
  local logs = world.logs
  logs[#logs + 1] = {
    level = levels[level],
    message = type(message) == "table" and text_of(message) or message,
    fields = type(more) == "table" and more or nil,
  }
end

-- The line as the log would have it.
function fakes.line(entry)
  return entry.fields and entry.message .. " " .. text_of(entry.fields) or entry.message
end

local begun = { [0] = "", "" }
function core.write(stream, text)
  text = begun[stream] .. text
  local from = 1
  while true do
    local cut = find(text, "\n", from, true)
    if not cut then
      break
    end
    core.emit(2, sub(text, from, cut - 1))
    from = cut + 1
  end
  begun[stream] = sub(text, from)
end

-- --- kv ---------------------------------------------------------------------------------------------

local function space(name)
  if not match(name, "^[%w_.%-]+$") or #name > 64 then
    return nil
  end
  local s = world.spaces[name]
  if not s then
    s = {}
    world.spaces[name] = s
  end
  return s
end

local function live(item)
  return item and (not item.expires or item.expires > now()) and item or nil
end
fakes.live = live

local function version()
  world.version = world.version + 1
  return world.version
end
fakes.version = version

-- The namespace and the item under the key, or nil and the refusal.
local function kv_item(args)
  local s = space(args.namespace)
  if not s then
    return nil, select(2, refuse("InvalidArgument", "An argument is not valid."))
  elseif #args.key > 400 then
    return nil, select(2, refuse("InvalidArgument", "A kv key has 1 to 400 bytes"))
  end
  return s, live(s[args.key])
end

plays["kv.get"] = function(args)
  local s, item = kv_item(args)
  if not s then
    return nil, item
  elseif not item then
    return { exists = false }
  end
  return { exists = true, value = item.value, version = item.version }
end

plays["kv.set"] = function(args)
  local s, item = kv_item(args)
  if not s then
    return nil, item
  end
  local value = tostring(args.value)
  if #value > 262144 then
    return refuse("TooLarge", "A kv value has at most 262144 bytes")
  elseif (args.if_absent and item) or (args.if_version and (not item or item.version ~= args.if_version)) then
    return refuse("PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
  end
  s[args.key] = { value = value, version = version(), expires = args.ttl_ms and now() + args.ttl_ms / 1000 }
  return { version = world.version }
end

plays["kv.incr"] = function(args)
  local s, item = kv_item(args)
  if not s then
    return nil, item
  end
  local old = item and match(item.value, "^%-?%d+$") and tonumber(item.value)
  if item and not old then
    return refuse("InvalidArgument", "The value is no integer, or the sum does not fit 64 bits")
  end
  local n = (old or args.init or 0) + (args.n or 1)
  s[args.key] = { value = format("%d", n), version = version(), expires = item and item.expires }
  return { n = n }
end

plays["kv.delete"] = function(args)
  local s, item = kv_item(args)
  if not s then
    return nil, item
  elseif args.if_version and (not item or item.version ~= args.if_version) then
    return refuse("PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
  end
  s[args.key] = nil
  return { exists = item ~= nil }
end

-- --- s3 ---------------------------------------------------------------------------------------------

function fakes.bucket(name)
  local b = world.buckets[name]
  if not b then
    b = {}
    world.buckets[name] = b
  end
  return b
end

-- The object, or nil and the refusal.
local function object(args)
  local b = world.buckets[args.bucket]
  if not b then
    return nil, select(2, refuse("NoSuchBucket", "The specified bucket does not exist"))
  end
  local o = b[args.key]
  if not o then
    return nil, select(2, refuse("NoSuchKey", "The specified key does not exist."))
  end
  return o
end
fakes.object = object

local function describe(o)
  return {
    etag = o.etag, content_type = o.content_type, metadata = copy(o.metadata, {}), size = #o.body,
    last_modified = o.last_modified,
  }
end
fakes.describe = describe

-- First and last byte (from 1) of a range like "bytes=0-99"; nothing when it asks for all; false when
-- it lies behind the end.
local function range_of(text, size)
  local first, last = match(text or "", "^bytes=(%d*)%-(%d*)$")
  if not first or (first == "" and last == "") then
    return nil
  elseif first == "" then
    local n = tonumber(last)
    return n > 0 and size > 0 and max(size - n, 0) + 1, size
  end
  first, last = tonumber(first), tonumber(last) or size - 1
  return first < size and first + 1, min(last, size - 1) + 1
end

plays["s3.get"] = function(args)
  local o, err = object(args)
  if not o then
    return nil, err
  end
  local first, last = range_of(args.range, #o.body)
  if first == false then
    return refuse("InvalidArgument", "The requested range is not satisfiable")
  end
  local answer = describe(o)
  answer.body = first and sub(o.body, first, last) or o.body
  return answer
end

plays["s3.head"] = function(args)
  local o, err = object(args)
  if not o then
    return nil, err
  end
  return describe(o)
end

-- Puts an object; a bucket that nobody named before comes into being.
function fakes.put(bucket, key, body, content_type, metadata)
  local o = {
    body = body, etag = crypto.md5_hex(body), content_type = content_type or "binary/octet-stream",
    metadata = metadata or {}, last_modified = floor(now() * 1000) / 1000,
  }
  fakes.bucket(bucket)[key] = o
  return o
end

plays["s3.put"] = function(args)
  if args.if_none_match and (world.buckets[args.bucket] or {})[args.key] then
    return refuse("PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
  end
  local metadata = {}
  for k, v in next, args.metadata or {} do
    metadata[lower(k)] = tostring(v)
  end
  local o = fakes.put(args.bucket, args.key, tostring(args.body), args.content_type, metadata)
  return { etag = o.etag }
end

plays["s3.delete"] = function(args)
  local b = world.buckets[args.bucket]
  if not b then
    return refuse("NoSuchBucket", "The specified bucket does not exist")
  end
  b[args.key] = nil
  return {}
end

local function sorted(t)
  local keys = {}
  for k in next, t do
    keys[#keys + 1] = k
  end
  sort(keys)
  return keys
end
fakes.sorted = sorted

plays["s3.list"] = function(args)
  local b = world.buckets[args.bucket]
  if not b then
    return refuse("NoSuchBucket", "The specified bucket does not exist")
  end
  local prefix, delimiter = args.prefix or "", args.delimiter
  local page, seen = { entries = {}, common_prefixes = {} }, {}
  for _, key in next, sorted(b) do
    if sub(key, 1, #prefix) == prefix then
      local cut = delimiter and find(key, delimiter, #prefix + 1, true)
      local common = cut and sub(key, 1, cut + #delimiter - 1)
      if not common then
        local o = b[key]
        page.entries[#page.entries + 1] = { key = key, size = #o.body, etag = o.etag, last_modified = o.last_modified }
      elseif not seen[common] then
        seen[common] = true
        page.common_prefixes[#page.common_prefixes + 1] = common
      end
    end
  end
  return page
end

-- --- lambda -----------------------------------------------------------------------------------------

local function noted(args, async)
  local decode = env.json.decode
  local entry = {
    name = args["function"], payload = decode(args.payload), qualifier = args.qualifier,
    async = async, delay = args.delay_ms and args.delay_ms / 1000,
  }
  world.invoked[#world.invoked + 1] = entry
  return entry, world.functions[entry.name]
end

plays["lambda.invoke"] = function(args)
  local entry, answer = noted(args, false)
  if answer == nil then
    return refuse("NotFound", "Function not found: " .. entry.name .. " (test.lambda(name, answer) plays one)")
  elseif type(answer) == "function" then
    local ok, value, err = pcall(answer, entry.payload)
    if not ok or (value == nil and err ~= nil) then
      local e = ok and err or value
      local text, kind = tostring(e), "Runtime.LuaError"
      if type(e) == "table" then
        text, kind = e.message or e.errorMessage or text, e.code or e.errorType or kind
      end
      return { payload = encode { errorMessage = text, errorType = kind }, function_error = true }
    end
    answer = value
  end
  return { payload = encode(answer) }
end

plays["lambda.invoke_async"] = function(args)
  noted(args, true)
  return { request_id = crypto.uuid() }
end
