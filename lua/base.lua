-- base: the standard functions that need a guard before functions may have them.
--
-- Our own code runs in the original globals, which nothing outside can reach; what functions get are
-- the tables in `env`. Methods of strings come from env, though, and may have been broken by the
-- function: our code never calls one.
local core, env = ...

local type, select, unpack = type, select, unpack
local misuse = core.misuse
local raw_tostring, raw_load = tostring, load
local raw_format, find, gsub, concat = string.format, string.find, string.gsub, table.concat
local null = env.json.null

-- Values that Lua prints as an address get a number of their own instead: unique, and the same for
-- the same value as long as it lives.
local numbers = setmetatable({}, { __mode = "k" })
local last = 0
local opaque = { table = true, ["function"] = true, thread = true, userdata = true }

local function tostring(...)
  if select("#", ...) == 0 then
    misuse "bad argument #1 to 'tostring' (value expected)"
  end
  local v = ...
  if not opaque[type(v)] then
    return raw_tostring(v)
  elseif v == null then
    return "null"
  end
  local s = raw_tostring(v)
  if type(s) == "string" and find(s, "^%a+: 0x%x+$") then
    local n = numbers[v]
    if not n then
      last = last + 1
      n = last
      numbers[v] = n
    end
    return raw_format("%s: 0x%08x", type(v), n)
  end
  return s
end
core.tostring = tostring
env.tostring = tostring

-- %p would print an address; so would %s of a table.
local safe, safe_count = {}, 0

local function is_safe(fmt)
  if type(fmt) == "string" and find(gsub(fmt, "%%%%", ""), "%%[-+ #0-9.]*p") then
    misuse "bad argument #1 to 'format' ('%p' is not available)"
  end
  if safe_count == 256 then
    safe, safe_count = {}, 0
  end
  if fmt ~= nil then
    safe[fmt] = true
    safe_count = safe_count + 1
  end
end

local function printable(raw, fmt, ...)
  local args, n = { ... }, select("#", ...)
  for i = 1, n do
    if opaque[type(args[i])] then
      args[i] = tostring(args[i])
    end
  end
  return raw(fmt, unpack(args, 1, n))
end

function env.string.format(fmt, ...)
  if not safe[fmt] then
    is_safe(fmt)
  end
  if select("#", ...) <= 4 then -- the common case: no table is made, and traces stay whole
    local a, b, c, d = ...
    if not (opaque[type(a)] or opaque[type(b)] or opaque[type(c)] or opaque[type(d)]) then
      return raw_format(fmt, ...)
    end
  end
  return printable(raw_format, fmt, ...)
end

-- Text only, under one name: a trace never shows a file that is none.
local function load_text(chunk, mode, ...)
  if type(chunk) == "function" then
    local parts, n = {}, 0
    while true do
      local part = chunk()
      if part == nil or part == "" then
        break
      elseif type(part) ~= "string" then
        return nil, "reader function must return a string"
      end
      n = n + 1
      parts[n] = part
    end
    chunk = concat(parts)
  end
  if mode ~= nil and not (type(mode) == "string" and find(mode, "t", 1, true)) then
    return nil, "attempt to load chunk with wrong mode"
  end
  return raw_load(chunk, "=(load)", "t", ...)
end

function env.load(chunk, _, mode, ...)
  if type(chunk) ~= "string" and type(chunk) ~= "function" then
    misuse "bad argument #1 to 'load' (string or function expected)"
  end
  return load_text(chunk, mode, ...)
end

function env.loadstring(chunk)
  if type(chunk) ~= "string" then
    misuse "bad argument #1 to 'loadstring' (string expected)"
  end
  return load_text(chunk)
end

-- The collector is the runtime's; asking it to collect is harmless and does nothing.
local raw_collect = collectgarbage
function env.collectgarbage(option)
  if option == "count" then
    return raw_collect("count")
  elseif option == nil or option == "collect" or option == "step" then
    return 0
  end
  misuse "bad argument #1 to 'collectgarbage' (only 'count' is available)"
end

env.table.unpack = unpack
env.table.new = core["table.new"]
env.table.clear = core["table.clear"]
function env.table.pack(...)
  return { n = select("#", ...), ... }
end

local emit, write = core.emit, core.write
local INFO = 2

function env.print(...)
  local n = select("#", ...)
  if n == 1 then
    emit(INFO, tostring((...)))
    return
  end
  local parts = { ... }
  for i = 1, n do
    parts[i] = tostring(parts[i])
  end
  emit(INFO, concat(parts, "\t", 1, n))
end

local function writer(stream)
  local file = {}
  function file:write(...)
    for i = 1, select("#", ...) do
      local s = select(i, ...)
      if type(s) == "number" then
        s = raw_tostring(s)
      elseif type(s) ~= "string" then
        misuse("bad argument #" .. i .. " to 'write' (string expected, got " .. type(s) .. ")")
      end
      write(stream, s)
    end
    return self
  end
  function file.flush()
    return true
  end
  return file
end

env.io = { stdout = writer(0), stderr = writer(1) }
env.debug = { traceback = core.traceback }

core.printable, core.is_safe = printable, is_safe
