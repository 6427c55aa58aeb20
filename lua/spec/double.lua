-- double: spies, stubs and mocks. A double is a table that can be called; it keeps what it was called
-- with (copied at that moment) and what it gave.
local core, env = ...

local assertions, match_all, show, misuse = core.assertions, core.match_all, core.text.show, core.misuse
local snapshots, tostring = core.snapshots, core.tostring
local format, concat = string.format, table.concat
local type, select, next, pcall, error, unpack = type, select, next, pcall, error, unpack
local setmetatable, getmetatable, rawget = setmetatable, getmetatable, rawget

local function copy(value, seen)
  if type(value) ~= "table" or getmetatable(value) == "double" then
    return value
  elseif not seen[value] then
    local new = {}
    seen[value] = new
    for k, v in next, value do
      new[k] = copy(v, seen)
    end
  end
  return seen[value]
end

local function pack(...)
  return { n = select("#", ...), ... }
end

local function copies(args)
  local new = { n = args.n }
  for i = 1, args.n do
    new[i] = copy(args[i], {})
  end
  return new
end

local methods = {}
local double = { __index = methods, __metatable = "double" }

local function is_double(value)
  return type(value) == "table" and getmetatable(value) == "double"
end

function double.__call(self, ...)
  local args = pack(...)
  self.calls[#self.calls + 1] = { vals = copies(args), refs = args, n = args.n }
  local call = self.calls[#self.calls]
  local results = pack(pcall(self.callback, ...))
  if not results[1] then
    error(results[2], 0)
  end
  local given = { n = results.n - 1 }
  for i = 2, results.n do
    given[i - 1] = results[i]
  end
  self.returnvals[#self.returnvals + 1] = { vals = copies(given), refs = given, n = given.n }
  call.returned = given
  return unpack(given, 1, given.n)
end

local function make(callback)
  return setmetatable({ calls = {}, returnvals = {}, callback = callback }, double)
end

-- --- what a double answers about itself -------------------------------------------------------------

function methods:clear()
  self.calls, self.returnvals = {}, {}
  return self
end

function methods:revert()
  if self.target then
    self.target[self.key] = self.before
    self.target = nil
  end
  return self.before
end

-- whether it was called (n times), and how often it was
function methods:called(n)
  if n then
    return #self.calls == n, #self.calls
  end
  return #self.calls > 0, #self.calls
end

local function any_call(self, wanted, kind)
  for _, call in next, self[kind] do
    if match_all(wanted, call.vals) or match_all(wanted, call.refs) then
      return true
    end
  end
  return false
end

function methods:called_with(...)
  return any_call(self, pack(...), "calls")
end

function methods:returned_with(...)
  return any_call(self, pack(...), "returnvals")
end

-- --- stubs ------------------------------------------------------------------------------------------

local function answers(self, args)
  for i = #self.cases, 1, -1 do
    if match_all(self.cases[i].args, args) then
      return self.cases[i].answer
    end
  end
  return self.default
end

local function returning(values)
  return function()
    return unpack(values, 1, values.n)
  end
end

-- returns(…), invokes(f): what it does by default, or in one case of arguments
local function setters(set)
  return {
    returns = function(...)
      return set(returning(pack(...)))
    end,
    invokes = function(f)
      return set(f)
    end,
  }
end

local function make_stub(...)
  local self
  self = make(function(...)
    return answers(self, pack(...))(...)
  end)
  self.cases = {}
  self.default = returning(pack(...))
  local function set_default(f)
    self.default = f
    return self
  end
  self.by_default = setters(set_default)
  self.returns, self.invokes = self.by_default.returns, self.by_default.invokes
  self.on_call_with = function(...)
    local args = pack(...)
    return setters(function(f)
      self.cases[#self.cases + 1] = { args = args, answer = f }
      return self
    end)
  end
  return self
end

local function replace(target, key, new)
  if type(target) ~= "table" then
    misuse("a table and the name of its function are needed, got " .. type(target))
  end
  new.target, new.key, new.before = target, key, rawget(target, key)
  target[key] = new
  snapshots[#snapshots + 1] = function()
    new:revert()
  end
  return new
end

-- --- the modules ------------------------------------------------------------------------------------

env.spy = setmetatable({
  new = function(f)
    return make(f or function() end)
  end,
  on = function(target, key)
    local f = target[key]
    if type(f) ~= "function" and not is_double(f) then
      misuse("spy.on: there is no function '" .. tostring(key) .. "'")
    end
    return replace(target, key, make(f))
  end,
  is_spy = is_double,
}, {
  __call = function(_, f)
    return make(f or function() end)
  end,
})

env.stub = setmetatable({
  new = function(target, key, ...)
    if target == nil then
      return make_stub()
    end
    return replace(target, key, make_stub(...))
  end,
}, {
  __call = function(self, ...)
    return self.new(...)
  end,
})

-- Every function of the table (and of the tables in it) becomes a spy, or a stub.
local function mock(target, stubbed, seen)
  if type(target) ~= "table" or seen[target] or is_double(target) then
    return target
  end
  seen[target] = true
  local keys = {}
  for k in next, target do
    keys[#keys + 1] = k
  end
  for i = 1, #keys do
    local k, v = keys[i], target[keys[i]]
    if type(v) == "function" then
      replace(target, k, stubbed and make_stub() or make(v))
    elseif type(v) == "table" then
      mock(v, stubbed, seen)
    end
  end
  return target
end

env.mock = setmetatable({
  new = function(target, stubbed)
    return mock(target, stubbed, {})
  end,
  clear = function(target)
    for _, v in next, target do
      if is_double(v) then
        v:clear()
      end
    end
    return target
  end,
  revert = function(target)
    for _, v in next, target do
      if is_double(v) then
        v:revert()
      end
    end
    return target
  end,
}, {
  __call = function(self, ...)
    return self.new(...)
  end,
})

-- --- assertions about them --------------------------------------------------------------------------

-- assert.spy(s).was.called(n), or assert.called(s, n): the double and the other arguments
local function subject(args)
  local s, first = args.subject, 1
  if s == nil then
    s, first = args[1], 2
  end
  if not is_double(s) then
    misuse("a spy or stub is needed here, got " .. type(s))
  end
  local rest = { n = args.n - first + 1 }
  for i = first, args.n do
    rest[i - first + 1] = args[i]
  end
  args.double, args.rest = s, rest
  return s, rest
end

local function define(name, test, yes, no)
  assertions[name] = { needed = 0, subject = true, test = test, yes = yes, no = no }
end

local function times(words)
  return function(args)
    local n = args.rest[1]
    return format("Expected to be called %s time(s), but was called %d time(s)",
      words .. (n and tostring(n) or ">0"), #args.double.calls)
  end
end

local function counted(compare)
  return function(args)
    local s, rest = subject(args)
    return compare(#s.calls, rest[1])
  end
end

define("called", counted(function(n, want)
  return (want and n == want) or (not want and n > 0)
end), times(""), function(args)
  local n = args.rest[1]
  return "Expected not to be called" .. (n and " exactly " .. tostring(n) .. " time(s), but it was." or
    (", but was called " .. #args.double.calls .. " time(s)"))
end)
define("called_at_least", counted(function(n, want)
  return n >= want
end), times("at least "), times("less than "))
define("called_at_most", counted(function(n, want)
  return n <= want
end), times("at most "), times("more than "))
define("called_more_than", counted(function(n, want)
  return n > want
end), times("more than "), times("at most "))
define("called_less_than", counted(function(n, want)
  return n < want
end), times("less than "), times("at least "))

local function shown(values)
  if not values then
    return "(never called)"
  end
  local parts = {}
  for i = 1, values.n do
    parts[i] = "(values list) " .. show(values[i])
  end
  return #parts > 0 and concat(parts, "\n") or "(no arguments)"
end

local function with(kind, verb)
  return function(args)
    local calls = args.double[kind]
    return "Function was never " .. verb .. " matching arguments.\n"
      .. (kind == "calls" and "Called" or "Returned") .. " with (last call if any):\n"
      .. shown(calls[#calls] and calls[#calls].vals) .. "\nExpected:\n" .. shown(args.rest)
  end, function(args)
    return "Function was " .. verb .. " matching arguments at least once.\nDid not expect:\n" .. shown(args.rest)
  end
end

define("called_with", function(args)
  local s, rest = subject(args)
  return any_call(s, rest, "calls")
end, with("calls", "called with"))
define("returned_with", function(args)
  local s, rest = subject(args)
  return any_call(s, rest, "returnvals")
end, with("returnvals", "returned with"))
