-- cache: values in this node's memory, for this function's own use. A string travels as it is, any
-- other value as JSON.
local core, env = ...

local call, check, n = core.call, core.check, core.numbers
local GET, SET, KEY, VALUE, TTL_MS = n["cache.get"], n["cache.set"], n.key, n.value, n.ttl_ms
local encode, decode = env.json.encode, env.json.decode
local type, sub, ceil = type, string.sub, math.ceil

env.cache = {
  -- The value; nil when there is none (any more).
  get = function(key)
    local result, err = call(GET, KEY, check.need("cache.get", 1, key, "string"))
    if not result then
      return nil, err
    elseif not result.exists then
      return nil
    end
    local value = result.value
    if sub(value, 1, 1) == "j" then
      return decode(sub(value, 2))
    end
    return sub(value, 2)
  end,

  -- true. For ttl seconds at most; without one until it is pushed out. nil deletes.
  set = function(key, value, ttl)
    key = check.need("cache.set", 1, key, "string")
    if ttl ~= nil and not (type(ttl) == "number" and ttl > 0 and ttl <= 31536000) then
      check.fail("cache.set", 3, "ttl must be a number of seconds above 0, at most a year")
    end
    if value ~= nil then
      value = type(value) == "string" and "s" .. value or "j" .. encode(value)
    end
    local result, err = call(SET, KEY, key, VALUE, value, TTL_MS, ttl and ceil(ttl * 1000))
    if not result then
      return nil, err
    end
    return true
  end,
}
