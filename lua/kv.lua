-- kv: kv.open(namespace) gives a store whose keys and values are strings; values may be written as
-- numbers. Nothing is opened: each method is one host call.
local core, env = ...

local call, check, n = core.call, core.check, core.numbers
local GET, SET, INCR, DELETE = n["kv.get"], n["kv.set"], n["kv.incr"], n["kv.delete"]
local NAMESPACE, KEY, VALUE, TTL_MS = n.namespace, n.key, n.value, n.ttl_ms
local IF_ABSENT, IF_VERSION, N, INIT = n.if_absent, n.if_version, n.n, n.init
local ceil = math.ceil

local store = {}
local metatable = { __index = store, __metatable = "kv" }
local names = setmetatable({}, { __mode = "k" }) -- store -> namespace, out of the function's reach

local function place(fn, self, key)
  local namespace = names[self]
  if not namespace then
    core.misuse("call it with a colon: store:" .. fn .. "(…)")
  end
  return namespace, check.need(fn, 1, key, "string")
end

env.kv = {
  open = function(namespace)
    local self = setmetatable({}, metatable)
    names[self] = check.need("kv.open", 1, namespace, "string")
    return self
  end,
}

-- value, version; nil when there is none (err is nil then too).
function store:get(key)
  local namespace, k = place("get", self, key)
  local result, err = call(GET, NAMESPACE, namespace, KEY, k)
  if not result then
    return nil, err
  elseif not result.exists then
    return nil
  end
  return result.value or "", result.version
end

local set_options = { ttl = "number", if_absent = "boolean", if_version = "number" }

-- The new version.
function store:set(key, value, opts)
  local namespace, k = place("set", self, key)
  value = check.bytes("set", 2, value)
  opts = check.options("set", 3, opts, set_options)
  if opts.ttl and not (opts.ttl > 0 and opts.ttl <= 1e10) then
    check.fail("set", 3, "ttl must be a number of seconds above 0")
  end
  local version = check.whole("set", 3, opts.if_version)
  local result, err = call(SET, NAMESPACE, namespace, KEY, k, VALUE, value,
    TTL_MS, opts.ttl and ceil(opts.ttl * 1000), IF_ABSENT, opts.if_absent, IF_VERSION, version)
  if not result then
    return nil, err
  end
  return result.version or true
end

-- (stored or init or 0) + by, stored and answered.
function store:incr(key, by, opts)
  local namespace, k = place("incr", self, key)
  by = check.whole("incr", 2, by, 1)
  opts = check.options("incr", 3, opts, { init = "number" })
  local init = check.whole("incr", 3, opts.init)
  local result, err = call(INCR, NAMESPACE, namespace, KEY, k, N, by, INIT, init)
  if not result then
    return nil, err
  end
  return result.n
end

-- true, whether there was such a key or not; with if_version only when it has that version.
function store:delete(key, opts)
  local namespace, k = place("delete", self, key)
  opts = check.options("delete", 2, opts, { if_version = "number" })
  local version = check.whole("delete", 2, opts.if_version)
  local result, err = call(DELETE, NAMESPACE, namespace, KEY, k, IF_VERSION, version)
  if not result then
    return nil, err
  end
  return true
end
