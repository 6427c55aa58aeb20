-- check: arguments of our modules. A wrong type is the program's mistake and raises an error at the
-- line of the function that called us, however deep in our own code it is found.
local core = ...

local type, tostring, next = type, core.tostring, next
local format, encode, misuse = string.format, core.cjson.encode, core.misuse

local check = {}
core.check = check

local kinds = { string = "a string", number = "a number", table = "a table", boolean = "a boolean" }

local function fail(fn, n, text)
  misuse(format("bad argument #%d to '%s' (%s)", n, fn, text))
end
check.fail = fail

local function is(value, kind)
  if kind == "string" and type(value) == "number" then
    return true -- as the standard library takes them
  end
  return type(value) == kind
end

local function name_of(value)
  return value == nil and "no value" or type(value)
end

-- The value, which must be of that kind; strings may not be empty.
function check.need(fn, n, value, kind)
  if not is(value, kind) then
    fail(fn, n, kinds[kind] .. " expected, got " .. name_of(value))
  end
  if kind == "string" then
    value = tostring(value)
    if value == "" then
      fail(fn, n, "it is empty")
    end
  end
  return value
end

-- Bytes: a string that may be empty, or a number as JSON has it.
function check.bytes(fn, n, value)
  if type(value) == "number" then
    return encode(value)
  elseif type(value) ~= "string" then
    fail(fn, n, "a string expected, got " .. name_of(value))
  end
  return value
end

-- A whole number, or dflt when nil.
function check.whole(fn, n, value, dflt)
  if value == nil then
    return dflt
  elseif type(value) ~= "number" or not (value >= -2 ^ 53 and value <= 2 ^ 53) or value % 1 ~= 0 then
    fail(fn, n, "a whole number expected")
  end
  return value
end

-- The table of options (nil: none), whose members are all in `known`: name -> kind.
function check.options(fn, n, opts, known)
  if opts == nil then
    return {}
  elseif type(opts) ~= "table" then
    fail(fn, n, "a table of options expected, got " .. type(opts))
  end
  for name, value in next, opts do
    local kind = known[name]
    if not kind then
      fail(fn, n, "unknown option '" .. tostring(name) .. "'")
    elseif kind ~= "any" and not is(value, kind) then
      fail(fn, n, "option '" .. name .. "' must be " .. kinds[kind])
    end
  end
  return opts
end
