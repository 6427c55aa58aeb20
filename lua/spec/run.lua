-- run: busted's blocks, and the two things the command asks of a runner of specs: load a file, run one
-- of its tests. Each is an invocation of its own, so that a test that never ends or eats all memory
-- costs itself, and the command goes on with the next in a new runner.
--
-- describe bodies run when the file is loaded; setups run when the first test of their block does.
local core, env = ...

local fakes, traceback, misuse, snapshots = core.fakes, core.traceback, core.misuse, core.snapshots
local load_handler, take_count, make_event = core.load_handler, core.take_count, core.make_event
local tostring, encode, decode, crypto = core.tostring, env.json.encode, env.json.decode, env.crypto
local type, next, pcall, xpcall, error = type, next, pcall, xpcall, error
local setmetatable, getmetatable = setmetatable, getmetatable
local find, match, gmatch, gsub, format, concat = string.find, string.match, string.gmatch, string.gsub, string.format,
  table.concat
local require, loaded = env.require, env.package.loaded

local LOG_LINES, LOG_BYTES = 200, 64 * 1024

-- --- errors -----------------------------------------------------------------------------------------

local waiting = { __metatable = "pending" }

-- "spec/x_spec.lua:12" of the user's innermost line.
local function where(trace)
  return match(trace or traceback(), "\n%s*([^\n]-:%d+):")
end

local function on_error(err)
  return { err = err, trace = traceback() }
end

-- Bytes that are no text are written out, since the answer is JSON.
local function clean(s)
  s = tostring(s)
  if pcall(encode, s) then
    return s
  end
  return (gsub(s, "[\128-\255]", function(c)
    return format("\\%03d", string.byte(c))
  end))
end

local function lines_of(trace)
  local lines = env.json.array {}
  for line in gmatch(trace, "\n%s*([^\n]+)") do
    if not find(line, "^%[C%]: in function <") then -- pcall and the like
      lines[#lines + 1] = clean(line)
    end
  end
  return lines
end

-- What went wrong, as the command prints it.
local function problem(caught, what)
  local err, kind = caught.err, getmetatable(caught.err)
  local p = { status = "error", where = where(caught.trace), what = what }
  if type(err) == "table" and kind == "failure" then
    p.status, p.message = "failure", clean(err.message)
  elseif type(err) == "table" and kind == "pending" then
    p.status, p.message = "pending", err.message and clean(err.message)
  else
    if type(err) == "table" and kind == nil then
      err = err.message or err.errorMessage or core.text.show(err)
    end
    p.message = clean(err)
    p.trace = lines_of(caught.trace)
  end
  return p
end

-- Calls f; nil, or the problem.
local function try(f, what)
  local ok, caught = xpcall(f, on_error)
  if not ok then
    return problem(caught, what)
  end
end

-- --- blocks -----------------------------------------------------------------------------------------

local function new_block(kind, name, parent)
  return { kind = kind, name = name, parent = parent, before = {}, after = {}, setups = {}, teardowns = {} }
end

local root = new_block("file", nil, nil)
local current = root
local tests = {}
local running -- the test that runs

local function full_name(block, name)
  local parts = { name }
  while block do
    if block.name then
      table.insert(parts, 1, block.name)
    end
    block = block.parent
  end
  return concat(parts, " ")
end

local function add_test(name, body, more)
  local t = { id = #tests + 1, block = current, body = body, where = where() }
  t.name = full_name(current, tostring(name))
  for k, v in next, more or {} do
    t[k] = v
  end
  tests[t.id] = t
end

local function keep(t)
  local kept = {}
  for k, v in next, t do
    kept[k] = v
  end
  return kept
end

local function bring_back(t, kept)
  for k in next, keep(t) do
    if kept[k] == nil then
      t[k] = nil
    end
  end
  for k, v in next, kept do
    t[k] = v
  end
end

-- Globals and loaded modules of an insulated block are its own.
local function surroundings()
  return { env = keep(env), loaded = keep(loaded) }
end
local function surround(kept)
  bring_back(env, kept.env)
  bring_back(loaded, kept.loaded)
end

local function outside_tests(what)
  if running then
    misuse("'" .. what .. "' cannot stand inside a test")
  end
end

local function describe_as(kind)
  return function(name, body)
    outside_tests(kind)
    if type(name) == "function" and body == nil then
      name, body = nil, name
    elseif type(body) ~= "function" then
      misuse(kind .. " takes a name and a function")
    end
    local block = new_block(kind, name, current)
    local outer, kept = current, kind == "insulate" and surroundings()
    current = block
    local p = try(body, "describe")
    if p then
      add_test("(its describe block)", nil, { problem = p })
    end
    if kept then
      block.inside_env = surroundings()
      surround(kept)
    end
    current = outer
  end
end

local function hook(what)
  return function(f)
    outside_tests(what)
    if type(f) ~= "function" then
      misuse(what .. " takes a function")
    end
    local list = current[what]
    list[#list + 1] = f
  end
end

local function it(name, body)
  outside_tests("it")
  if name == nil or (body ~= nil and type(body) ~= "function") then
    misuse("it takes a name and a function")
  end
  add_test(name, body, { pending = body == nil })
end

local function pending(name)
  if running then
    error(setmetatable({ message = name and tostring(name) }, waiting), 0)
  end
  add_test(name or "(pending)", nil, { pending = true })
end

local function finally(f)
  if not running then
    misuse("'finally' stands inside a test")
  end
  running.finally = f
end

env.describe, env.context = describe_as "describe", describe_as "describe"
env.insulate, env.expose = describe_as "insulate", describe_as "expose"
env.it, env.spec, env.pending, env.finally = it, it, pending, finally
env.before_each, env.after_each = hook "before", hook "after"
env.setup, env.strict_setup, env.lazy_setup = hook "setups", hook "setups", hook "setups"
env.teardown, env.strict_teardown, env.lazy_teardown = hook "teardowns", hook "teardowns", hook "teardowns"
env.randomize = function() end

-- --- running one test -------------------------------------------------------------------------------

local entered = {} -- blocks whose setups have run, the file first

local function leave(p)
  local block = entered[#entered]
  entered[#entered] = nil
  for i = #block.teardowns, 1, -1 do
    local more = try(block.teardowns[i], "teardown")
    p = p or more
  end
  fakes.restore(block.outside)
  return p
end

local function enter(block)
  block.outside = fakes.save()
  entered[#entered + 1] = block
  block.problem = nil
  for _, f in next, block.setups do
    block.problem = block.problem or try(f, "setup")
  end
  block.inside = fakes.save()
end

local function chain_of(block)
  local chain = {}
  while block do
    table.insert(chain, 1, block)
    block = block.parent
  end
  return chain
end

-- Enters and leaves blocks until those of the chain, and no others, are entered. The first problem of a
-- setup, and of a teardown on the way.
local function move_to(chain)
  local common, p, behind = 0, nil, nil
  while entered[common + 1] and entered[common + 1] == chain[common + 1] do
    common = common + 1
  end
  while #entered > common do
    behind = leave(behind)
  end
  for i = 1, #chain do
    if i > common then
      fakes.restore(i > 1 and chain[i - 1].inside or fakes.save())
      enter(chain[i])
    end
    p = p or chain[i].problem
    if chain[i].problem then
      break
    end
  end
  return p, behind
end

local function run_body(t, chain)
  local p
  for _, block in next, chain do
    for _, f in next, block.before do
      p = p or try(f, "before_each")
    end
  end
  p = p or try(t.body, nil)
  if t.finally then
    p = p or try(t.finally, "finally")
  end
  for i = #chain, 1, -1 do
    for k = #chain[i].after, 1, -1 do
      local more = try(chain[i].after[k], "after_each")
      p = p or more
    end
  end
  return p
end

local function logs_of()
  local lines, size = env.json.array {}, 0
  for _, entry in next, fakes.world().logs do
    local line = entry.level .. ": " .. clean(fakes.line(entry))
    size = size + #line
    if #lines == LOG_LINES or size > LOG_BYTES then
      lines[#lines + 1] = "…"
      break
    end
    lines[#lines + 1] = line
  end
  return lines
end

local function insulated(block)
  while block and block.kind ~= "insulate" do
    block = block.parent
  end
  return block
end

local function run_test(t)
  local chain, p = chain_of(t.block), t.problem
  local result = { id = t.id, name = clean(t.name), where = t.where, status = "success" }
  take_count()
  local insulation, kept = insulated(t.block), nil
  if insulation then
    kept = surroundings()
    surround(insulation.inside_env)
  end
  if not p and not t.pending then
    p, result.behind = move_to(chain)
    if not p then
      fakes.restore(t.block.inside)
      local mark = #snapshots
      running = t
      p = run_body(t, chain)
      running = nil
      for i = #snapshots, mark + 1, -1 do
        snapshots[i]()
        snapshots[i] = nil
      end
    end
    result.logs = logs_of()
  elseif t.pending then
    result.status = "pending"
  end
  if insulation then
    insulation.inside_env = surroundings()
    surround(kept)
  end
  if p then
    result.status, result.message, result.trace, result.what = p.status, p.message, p.trace, p.what
    result.failed_at = p.where
  end
  result.asserts = take_count()
  return result
end

-- --- the project ------------------------------------------------------------------------------------

local project = { name = "function", handler = "handler.main", memory_mb = 128 }
local handle

-- function.lua says what environment and buckets there are; without one the handler is handler.main.
local function open_project(given)
  if given.manifest then
    local ok, t = pcall(require, "function")
    if not ok then
      error(t, 0)
    elseif type(t) ~= "table" then
      error("function.lua must return a table", 0)
    end
    project = { name = t.name or given.name, handler = t.handler or "handler.main", memory_mb = t.memory_mb or 128 }
    for name, value in next, type(t.environment) == "table" and t.environment or {} do
      fakes.world().variables[name] = tostring(value)
    end
    for _, trigger in next, type(t.triggers) == "table" and t.triggers or {} do
      if type(trigger) == "table" and type(trigger.s3) == "string" then
        fakes.bucket(trigger.s3)
      end
    end
  elseif given.name then
    project.name = given.name
  end
  fakes.world().variables.AWS_LAMBDA_FUNCTION_NAME = project.name
end

-- --- the module `test` ------------------------------------------------------------------------------

local test = {}
env.test = setmetatable(test, {
  __call = function(_, name, body)
    return it(name, body)
  end,
})
loaded.test, loaded["perilune.test"] = test, test

test.event = make_event

-- What a handler gets beside the event; fields given here win.
function test.context(fields)
  local id, started, timeout = crypto.uuid(), fakes.now(), 3
  local c = {
    aws_request_id = id, request_id = id, attempt = 1,
    function_name = project.name, function_version = "$LATEST", memory_limit_in_mb = project.memory_mb,
    invoked_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:" .. project.name,
    log_group_name = "/aws/lambda/" .. project.name, log_stream_name = "spec",
    remaining_s = function()
      return started + timeout - fakes.now()
    end,
    get_remaining_time_in_millis = function()
      return (started + timeout - fakes.now()) * 1000
    end,
  }
  for name, value in next, fields or {} do
    c[name] = value
  end
  return c
end

-- The function that the project's handler names (or another: "file.function").
function test.handler(name)
  if name then
    return load_handler(name)
  end
  handle = handle or load_handler(project.handler)
  return handle
end

local function error_object(caught)
  local err = caught.err
  if type(err) == "table" then
    return { errorType = err.errorType or err.code or "Runtime.LuaError", errorMessage = err.errorMessage or err.message
      or tostring(err), stackTrace = lines_of(caught.trace) }
  end
  return { errorType = "Runtime.LuaError", errorMessage = tostring(err), stackTrace = lines_of(caught.trace) }
end

-- Calls the handler as an invocation does: event and answer pass through JSON. The answer, or nil and
-- the error object.
function test.invoke(event, context)
  local f = test.handler()
  local given = decode(encode(event == nil and {} or event))
  local answer
  local ok, caught = xpcall(function()
    answer = f(given, context or test.context())
  end, on_error)
  if not ok then
    if getmetatable(caught.err) == "failure" or getmetatable(caught.err) == "pending" then
      error(caught.err, 0)
    end
    return nil, error_object(caught)
  end
  local encoded, text = pcall(encode, answer)
  if not encoded then
    return nil, { errorType = "Runtime.MarshalError", errorMessage = tostring(text) }
  end
  return decode(text)
end

-- Log lines since the test began: { level, message, fields }.
function test.logs()
  local logs = {}
  for i, entry in next, fakes.world().logs do
    logs[i] = { level = entry.level, message = entry.message, fields = entry.fields }
  end
  return logs
end

-- True when one of them, fields included, holds the text.
function test.logged(text)
  for _, entry in next, fakes.world().logs do
    if find(entry.level .. ": " .. fakes.line(entry), text, 1, true) then
      return true
    end
  end
  return false
end

-- The next call (or the next n) of "kv.get", "s3.put", … fails with that code.
function test.fail(call, code, message, n)
  if type(message) == "number" then
    message, n = nil, message
  end
  if type(call) ~= "string" or not fakes.known(call) then
    misuse("test.fail: there is no host call '" .. tostring(call) .. "'")
  end
  code = code or "Unavailable"
  fakes.world().failures[call] = { code = code, text = message or ("test.fail: " .. code), left = n or 1 }
end

-- What a variable holds (false: it is not set).
function test.env(name, value)
  fakes.world().variables[name] = value ~= nil and value or false
end

-- Stops the clock at t (seconds, or a time as time.parse reads it); nil lets it go on.
function test.time(t)
  local at = t
  if type(t) == "string" then
    at = env.time.parse(t)
    if not at then
      misuse("test.time: '" .. t .. "' is no time like 2026-11-23T11:32:04Z")
    end
  end
  fakes.world().frozen = at or false
end
test.advance = fakes.advance

-- What lambda.invoke of that function answers: a value, or a function of the payload.
function test.lambda(name, answer)
  fakes.world().functions[name] = answer == nil and function() end or answer
end
-- Calls of other functions: { name, payload, async, delay, qualifier }.
function test.invoked()
  return fakes.world().invoked
end

function test.secret(name, value)
  fakes.world().secrets[name] = value
end

-- What http answers for URLs that match the pattern (plain text matches as a beginning): a table
-- { status, headers, body or json }, or a function of the request.
function test.http(pattern, reply)
  table.insert(fakes.world().replies, 1, { pattern = pattern, reply = reply })
end
-- Requests made: { method, url, headers, body }.
function test.requests()
  return fakes.world().requests
end

function test.bucket(name)
  fakes.bucket(name)
end

test.reset = fakes.reset

-- --- what the command asks --------------------------------------------------------------------------

local ops = {}

local function matches(name, filter, plain)
  return filter == nil or find(name, filter, 1, plain) ~= nil
end

-- Loads a file: its tests whose name matches, or what is wrong with it.
function ops.load(given)
  local p = try(function()
    open_project(given)
    local module = gsub(gsub(given.file, "%.lua$", ""), "/", ".")
    local source, err = core.read(given.file)
    if not source then
      error(err or "no file " .. given.file, 0)
    end
    local chunk, message = core.compile(source, given.file)
    if not chunk then
      error(message, 0)
    end
    chunk(module)
  end, "load")
  current = root
  root.outside = fakes.save()
  local plain = given.filter and not pcall(find, "", given.filter) or false
  local list = env.json.array {}
  for _, t in next, tests do
    if matches(t.name, given.filter, plain) then
      list[#list + 1] = { id = t.id, name = clean(t.name), where = t.where }
    end
  end
  return { tests = list, problem = p }
end

function ops.run(given)
  return run_test(tests[given.id])
end

-- The teardowns that are left.
function ops.finish()
  local p
  while #entered > 0 do
    p = leave(p)
  end
  return { problem = p }
end

-- Does the project's handler load? Host calls before the trouble mean that it may be theirs.
function ops.try_handler(given)
  local p = try(function()
    open_project(given)
    test.handler()
  end, "load")
  return { problem = p, calls = fakes.world().calls }
end

function core.load_handler()
  return function(given)
    return ops[given.op](given)
  end
end
