-- fakes: host calls played in memory, for 'perilune test'.
--
-- This runs before every other module and takes core.call's place, so that what specs run is the
-- modules' real code (argument checks, shapes, iterators) down to the line that would ask the core.
-- What each call does is in plays.lua. All that they remember lies in one table, `world`, which can be
-- saved and brought back: each test begins with what its describe blocks have set up.
local core, env = ...

local numbers, real_call, new_error = core.numbers, core.call, core.new_error
local encode = env.json.encode
local type, tostring, select, next, pcall = type, tostring, select, next, pcall
local find, sub, floor = string.find, string.sub, math.floor
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
    writers = {},    -- handle -> what s3.writer has taken so far
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
fakes.refuse, fakes.copy = refuse, copy

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

-- {TAG, value, …} as a table of fields.
local function arguments(...)
  local args = {}
  for i = 1, select("#", ...), 2 do
    local tag, value = select(i, ...)
    if value ~= nil then
      args[fields[tag]] = value
    end
  end
  return args
end
fakes.arguments = arguments

local function call(number, ...)
  local name = call_names[number]
  if name == "package.read" then
    return real_call(number, ...)
  end
  local args = arguments(...)
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

core.call = call

-- The two halves of a call, for tasks: it is played when it is begun.
local begun, last = {}, 0
function core.begin(...)
  last = last + 1
  begun[#begun + 1] = { last, call(...) }
  return last
end
function core.take()
  local answer = table.remove(begun, 1)
  return answer[1], answer[2], answer[3]
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

local lines = { [0] = "", "" }
function core.write(stream, text)
  text = lines[stream] .. text
  local from = 1
  while true do
    local cut = find(text, "\n", from, true)
    if not cut then
      break
    end
    core.emit(2, sub(text, from, cut - 1))
    from = cut + 1
  end
  lines[stream] = sub(text, from)
end
