-- assert: luassert's grammar. assert.are.equal, assert.is_not_nil, assert.has_no.errors are one: the
-- words are cut at dots and underscores, words that only read well are left out, "not" and "no" turn
-- the meaning round, and what remains names the assertion.
--
-- A failure is raised as a table { message, where }; the runner tells it from other errors by its
-- metatable.
local core, env = ...

local text, misuse = core.text, core.misuse
local show, same = text.show, text.same
local type, tostring, select, next, pcall, error = type, core.tostring, select, next, pcall, error
local getmetatable, setmetatable, unpack = getmetatable, setmetatable, unpack
local find, gmatch, gsub, format, concat = string.find, string.gmatch, string.gsub, string.format, table.concat

local assertions, matchers = {}, {}
core.assertions = assertions

-- --- failures -----------------------------------------------------------------------------------

local failure = { __metatable = "failure" }
function failure.__tostring(f)
  return f.message
end
core.failure = failure

local count = 0 -- assertions made since it was taken
function core.take_count()
  local n = count
  count = 0
  return n
end

local function fail(message)
  error(setmetatable({ message = message }, failure), 0)
end
core.fail = fail

-- --- the assertions ---------------------------------------------------------------------------------
--
-- assertions[name] = { n, test, yes, no }: test(args, n) answers whether it holds; yes(args) is the
-- text when it should have and no(args) when it should not. n is how many arguments it needs; what
-- comes after them is the user's own message.

local function define(names, needed, test, yes, no)
  for name in gmatch(names, "[%w_]+") do
    assertions[name] = { needed = needed, test = test, yes = yes, no = no }
  end
end

local function two(title, passed, other)
  return function(args)
    return title .. "\n" .. passed .. "\n" .. show(args[2], args.marked) .. "\n" .. other .. "\n"
      .. show(args[1], args.marked) .. text.parting(args[1], args[2])
  end
end

local function one(title)
  return function(args)
    return title .. "\n" .. show(args[1])
  end
end

define("equal equals", 2, function(args)
  return args[1] == args[2]
end, two("Expected objects to be equal.", "Passed in:", "Expected:"),
  two("Expected objects to not be equal.", "Passed in:", "Did not expect:"))

define("same", 2, function(args)
  local ok, marked = same(args[1], args[2])
  args.marked = marked
  return ok
end, two("Expected objects to be the same.", "Passed in:", "Expected:"),
  two("Expected objects to not be the same.", "Passed in:", "Did not expect:"))

define("near", 3, function(args)
  local want, got, tolerance = args[1], args[2], args[3]
  return type(got) == "number" and got >= want - tolerance and got <= want + tolerance
end, function(args)
  return "Expected values to be near.\nPassed in:\n" .. show(args[2]) .. "\nExpected:\n" .. show(args[1])
    .. " +/- " .. show(args[3])
end, function(args)
  return "Expected values to not be near.\nPassed in:\n" .. show(args[2]) .. "\nDid not expect:\n" .. show(args[1])
    .. " +/- " .. show(args[3])
end)

-- matches(pattern, value[, init[, plain]])
define("matches match", 2, function(args)
  local value = args[2]
  if type(value) == "number" or (type(value) == "table" and getmetatable(value)) then
    value = tostring(value)
  end
  local init = type(args[3]) == "number" and args[3]
  args.extra = init and 2 or 0
  return type(value) == "string" and find(value, args[1], init or 1, args[4]) ~= nil
end, two("Expected strings to match.", "Passed in:", "Expected:"),
  two("Expected strings not to match.", "Passed in:", "Did not expect:"))

define("True", 1, function(args)
  return args[1] == true
end, one("Expected value to be true, but it was:"), one("Expected value not to be true, but it was:"))

define("False", 1, function(args)
  return args[1] == false
end, one("Expected value to be false, but it was:"), one("Expected value not to be false, but it was:"))

define("truthy", 1, function(args)
  return args[1] and true or false
end, one("Expected to be truthy, but value was:"), one("Expected to not be truthy, but value was:"))

define("falsy", 1, function(args)
  return not args[1]
end, one("Expected to be falsy, but value was:"), one("Expected to not be falsy, but value was:"))

for _, kind in next, { "boolean", "number", "string", "table", "nil", "userdata", "function", "thread" } do
  define(kind, 0, function(args)
    return type(args[1]) == kind
  end, one("Expected to be " .. kind .. ", but value was:"), one("Expected to not be " .. kind .. ", but value was:"))
  assertions[kind].takes = 1
end

define("nan", 1, function(args)
  return args[1] ~= args[1]
end, one("Expected to be NaN, but value was:"), one("Expected to not be NaN, but value was:"))

local function empty(value)
  return value == "" or (type(value) == "table" and next(value) == nil)
end
define("empty", 1, function(args)
  return empty(args[1])
end, one("Expected to be empty, but value was:"), one("Expected to not be empty, but value was:"))

define("callable", 1, function(args)
  local m = type(args[1]) == "table" and getmetatable(args[1])
  return type(args[1]) == "function" or (type(m) == "table" and m.__call ~= nil)
end, one("Expected to be callable, but value was:"), one("Expected to not be callable, but value was:"))

define("unique", 1, function(args)
  local list, deep = args[1], args[2]
  for k, v in next, list do
    for l, w in next, list do
      if k ~= l and (deep and same(v, w) or v == w) then
        return false
      end
    end
  end
  return true
end, one("Expected object to be unique:"), one("Expected object to not be unique:"))

-- Errors. error(f[, expected]): expected is a text, a table, or a matcher; a text is compared without
-- the position that error() puts before it.
local function bare(err)
  return type(err) == "string" and gsub(err, "^[^\n:]+:%d+: ", "") or err
end

local function run(args)
  local f = args[1]
  if type(f) ~= "function" and not (type(f) == "table" and type(getmetatable(f)) == "table") then
    misuse("has_error takes a function that is called, not its result (got " .. type(f) .. ")")
  end
  local ok, err = pcall(f)
  if not ok and getmetatable(err) == "failure" then
    error(err, 0) -- an assertion inside it
  end
  args.ok, args.err = ok, err
  return not ok
end

local function caught(args)
  return args.ok and "(no error)" or show(args.err)
end

define("error errors", 1, function(args)
  if not run(args) then
    return false
  end
  local want = args[2]
  if args.n < 2 then
    return true
  elseif core.is_matcher(want) then
    return want.holds(args.err)
  elseif type(want) == "string" and type(args.err) == "string" then
    return args.err == want or bare(args.err) == want
  elseif type(want) == "string" and type(args.err) == "table" then
    return tostring(args.err) == want
  end
  return (same(want, args.err))
end, function(args)
  if args.n < 2 then
    return "Expected an error, but there was none."
  end
  return "Expected a different error.\nCaught:\n" .. caught(args) .. "\nExpected:\n" .. show(args[2])
end, function(args)
  return "Expected no error, but caught:\n" .. caught(args)
end)
assertions.error.takes, assertions.errors.takes = 2, 2

local function error_text(err)
  if type(err) == "table" and type(err.message) == "string" and getmetatable(err) == nil then
    return err.message
  end
  return tostring(err)
end

define("error_match error_matches", 2, function(args)
  return run(args) and find(error_text(args.err), args[2], args[3] or 1, args[4]) ~= nil
end, function(args)
  return "Expected a different error.\nCaught:\n" .. caught(args) .. "\nExpected an error that matches:\n"
    .. show(args[2])
end, function(args)
  return "Expected no error matching:\n" .. show(args[2]) .. "\nCaught:\n" .. caught(args)
end)

define("returned_arguments", 1, function(args)
  return args.n - 1 == args[1]
end, function(args)
  return format("Expected to be called with %s argument(s), but was called with %d", tostring(args[1]), args.n - 1)
end, function(args)
  return format("Expected not to be called with %s argument(s), but was", tostring(args[1]))
end)

-- --- the grammar ------------------------------------------------------------------------------------

local filling = {
  is = true, are = true, was = true, were = true, has = true, have = true, does = true, be = true, been = true,
  to = true, a = true, an = true, array = true, holes = true, the = true,
}
local turning = { ["not"] = true, no = true, Not = true }
local aliases = { ["true"] = "True", ["false"] = "False", Nil = "nil", falsey = "falsy" }

-- The assertion that the words name, and whether the meaning is turned; nil when they name none.
local function resolve(words)
  local from, turned = 1, false
  while from <= #words do
    local rest = concat(words, "_", from)
    rest = aliases[rest] or rest
    if assertions[rest] then
      return assertions[rest], turned, rest
    elseif turning[words[from]] then
      turned = not turned
    elseif not filling[words[from]] and words[from] ~= "spy" and words[from] ~= "stub" then
      return nil
    end
    from = from + 1
  end
  return nil
end

local function split(words, key)
  local new = { unpack(words) }
  for word in gmatch(tostring(key), "[^_]+") do
    new[#new + 1] = word
  end
  return new
end

local states = setmetatable({}, { __mode = "k" }) -- chain -> { words, subject, message }
local chain = { __metatable = "assert" }

local function make(words, subject, message)
  local c = setmetatable({}, chain)
  states[c] = { words = words, subject = subject, message = message }
  return c
end

function chain.__index(self, key)
  local state = states[self]
  return make(split(state.words, key), state.subject, state.message)
end

-- Runs one assertion; what it was given is answered, as assert() does.
local function check(state, ...)
  local found, turned, name = resolve(state.words)
  if not found then
    misuse("luassert: there is no assertion '" .. concat(state.words, ".") .. "'")
  end
  local args = { n = select("#", ...), ... }
  if state.subject and found.subject then
    args.subject = state.subject
  elseif args.n < found.needed then
    misuse(format("the '%s' assertion needs %d argument(s), it was given %d", name, found.needed, args.n))
  end
  count = count + 1
  local holds = found.test(args, args.n)
  if (holds and not turned) or (not holds and turned) then
    return ...
  end
  local own = state.message
  local last = (found.takes or found.needed) + (args.extra or 0)
  if own == nil and not found.subject and args.n > last and type(args[args.n]) == "string" then
    own = args[args.n]
  end
  local words = (turned and found.no or found.yes)(args)
  fail(own and tostring(own) .. "\n" .. words or words)
end

function chain.__call(self, ...)
  local state = states[self]
  local last = state.words[#state.words]
  if last == "spy" or last == "stub" then -- assert.spy(s).was.called()
    return make(state.words, (...), state.message)
  elseif last == "message" then -- assert.message("…").is_true(…)
    local words = { unpack(state.words, 1, #state.words - 1) }
    return make(words, state.subject, (...))
  end
  return check(state, ...)
end

-- assert(v, message): the plain one, for handlers and specs alike.
local function plain(_, value, ...)
  if value then
    count = count + 1
    return value, ...
  end
  local message = ...
  if select("#", ...) == 0 then
    message = "assertion failed!"
  end
  error(message, 0)
end

local snapshots = {} -- reverts of doubles, newest last
core.snapshots = snapshots

local own = {}

-- assert:register("assertion", "name", function(state, arguments) … end, positive, negative)
function own.register(_, kind, name, f, positive, negative)
  if kind == "matcher" then
    matchers[name] = f
    return
  elseif kind ~= "assertion" then
    misuse("assert:register takes \"assertion\" or \"matcher\"")
  end
  local function text_of(key, fallback)
    return function(args)
      local shown = {}
      for i = 1, args.n do
        shown[i] = show(args[i])
      end
      local fmt = core.say(key) or key or fallback
      local ok, message = pcall(format, fmt, unpack(shown))
      return ok and message or fmt
    end
  end
  assertions[name] = {
    needed = 0, takes = 1 / 0,
    test = function(args)
      return f({ mod = true }, args) and true or false
    end,
    yes = text_of(positive, "'" .. name .. "' does not hold"),
    no = text_of(negative or positive, "'" .. name .. "' holds"),
  }
end

function own.unregister(_, kind, name)
  (kind == "matcher" and matchers or assertions)[name] = nil
end

function own.snapshot()
  local mark = #snapshots
  return {
    revert = function()
      for i = #snapshots, mark + 1, -1 do
        snapshots[i]()
        snapshots[i] = nil
      end
    end,
  }
end

function own.set_parameter() end
function own.get_parameter() end
function own.add_formatter() end
function own.remove_formatter() end
own.level = function(_, n)
  return n
end

env.assert = setmetatable({}, {
  __index = function(_, key)
    return own[key] or make(split({}, key))
  end,
  __call = plain,
  __metatable = "assert",
})

-- say: the texts of assertions that specs register.
local said = {}
function core.say(key)
  return said[key]
end
env.say = setmetatable({
  set = function(self, key, value)
    if value == nil then
      key, value = self, key -- say.set too
    end
    said[key] = value
  end,
  set_namespace = function() end,
}, {
  __call = function(_, key, args)
    local fmt = said[key]
    return fmt and format(fmt, unpack(args or {}))
  end,
})

-- --- matchers -----------------------------------------------------------------------------------
--
-- match._ and match.is_string(): stand for arguments in called_with and has_error.

local is_matcher = { __metatable = "matcher" }
function is_matcher.__tostring(m)
  return m.name
end

function core.is_matcher(value)
  return type(value) == "table" and getmetatable(value) == "matcher"
end

local function matcher(name, holds)
  return setmetatable({ name = name, holds = holds }, is_matcher)
end

matchers.any = function()
  return function()
    return true
  end
end

local function matcher_of(key)
  local words = split({}, key)
  return function(...)
    local args, turned, from = { n = select("#", ...), ... }, false, 1
    while from < #words and not matchers[concat(words, "_", from)] and (filling[words[from]] or turning[words[from]]) do
      turned = turned ~= (turning[words[from]] or false)
      from = from + 1
    end
    local name = concat(words, "_", from)
    local holds
    if matchers[name] then
      holds = matchers[name]({}, args)
    else
      name = aliases[name] or name
      local found = assertions[name]
      if not found then
        misuse("there is no matcher '" .. key .. "'")
      end
      holds = function(value)
        local given = { unpack(args, 1, args.n) }
        given.n = args.n + 1
        given[given.n] = value
        if name == "matches" or name == "match" then
          given = { args[1], value, args[2], args[3], n = 2 }
        elseif name == "near" then
          given = { args[1], value, args[2], n = 3 }
        end
        return found.test(given, given.n)
      end
    end
    return matcher("match." .. key, function(value)
      return (holds(value) and true or false) ~= turned
    end)
  end
end

env.match = setmetatable({ _ = matcher("match._", function()
  return true
end) }, {
  __index = function(_, key)
    return matcher_of(key)
  end,
})

-- True when the values match what was expected of them, matchers included.
function core.match_all(wanted, values)
  if wanted.n ~= values.n then
    return false
  end
  for i = 1, wanted.n do
    local want = wanted[i]
    if core.is_matcher(want) then
      if not want.holds(values[i]) then
        return false
      end
    elseif not same(want, values[i]) then
      return false
    end
  end
  return true
end
