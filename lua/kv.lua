-- kv: kv.open(namespace) gives a store whose keys and values are strings; values may be written as
-- numbers. Nothing is opened: each method is one host call. kv.transaction is in transaction.lua.
local core, env = ...

local call, check, n = core.call, core.check, core.numbers
local GET, SET, INCR, DELETE = n["kv.get"], n["kv.set"], n["kv.incr"], n["kv.delete"]
local LIST = n["kv.list"]
local NAMESPACE, KEY, VALUE, TTL_MS = n.namespace, n.key, n.value, n.ttl_ms
local IF_ABSENT, IF_VERSION, N, INIT = n.if_absent, n.if_version, n.n, n.init
local PREFIX, LIMIT, CURSOR = n.prefix, n.limit, n.cursor
local ceil = math.ceil

local store = {}
local metatable = { __index = store, __metatable = "kv" }
local names = setmetatable({}, { __mode = "k" }) -- store -> namespace, out of the function's reach

-- Arguments are checked here, for transactions too.
local args = {}
core.kv_args = args

function args.colon(fn)
  core.misuse("call it with a colon: store:" .. fn .. "(…)")
end

local set_options = { ttl = "number", if_absent = "boolean", if_version = "number" }

function args.set(key, value, opts)
  key = check.need("set", 1, key, "string")
  value = check.bytes("set", 2, value)
  opts = check.options("set", 3, opts, set_options)
  if opts.ttl and not (opts.ttl > 0 and opts.ttl <= 3e9) then
    check.fail("set", 3, "ttl must be a number of seconds above 0")
  end
  check.whole("set", 3, opts.if_version)
  return key, value, opts, opts.ttl and ceil(opts.ttl * 1000)
end

function args.incr(key, by, opts)
  key = check.need("incr", 1, key, "string")
  by = check.whole("incr", 2, by, 1)
  opts = check.options("incr", 3, opts, { init = "number" })
  return key, by, check.whole("incr", 3, opts.init)
end

function args.delete(key, opts)
  key = check.need("delete", 1, key, "string")
  opts = check.options("delete", 2, opts, { if_version = "number" })
  return key, check.whole("delete", 2, opts.if_version)
end

local list_options = { prefix = "any", limit = "number", cursor = "string" }

function args.list(opts)
  opts = check.options("list", 1, opts, list_options)
  if opts.limit and not (opts.limit >= 1 and opts.limit <= 1000 and opts.limit % 1 == 0) then
    check.fail("list", 1, "limit must be a whole number from 1 to 1000")
  end
  return opts.prefix ~= nil and check.bytes("list", 1, opts.prefix) or nil, opts.limit, opts.cursor
end

local function place(fn, self)
  return names[self] or args.colon(fn)
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
  local namespace = place("get", self)
  local result, err = call(GET, NAMESPACE, namespace, KEY, check.need("get", 1, key, "string"))
  if not result then
    return nil, err
  elseif not result.exists then
    return nil
  end
  return result.value or "", result.version
end

-- The new version.
function store:set(key, value, opts)
  local namespace = place("set", self)
  local ttl_ms
  key, value, opts, ttl_ms = args.set(key, value, opts)
  local result, err = call(SET, NAMESPACE, namespace, KEY, key, VALUE, value,
    TTL_MS, ttl_ms, IF_ABSENT, opts.if_absent, IF_VERSION, opts.if_version)
  if not result then
    return nil, err
  end
  return result.version or true
end

-- (stored or init or 0) + by, stored and answered.
function store:incr(key, by, opts)
  local namespace = place("incr", self)
  local init
  key, by, init = args.incr(key, by, opts)
  local result, err = call(INCR, NAMESPACE, namespace, KEY, key, N, by, INIT, init)
  if not result then
    return nil, err
  end
  return result.n
end

-- true, whether there was such a key or not; with if_version only when it has that version.
function store:delete(key, opts)
  local namespace = place("delete", self)
  local version
  key, version = args.delete(key, opts)
  local result, err = call(DELETE, NAMESPACE, namespace, KEY, key, IF_VERSION, version)
  if not result then
    return nil, err
  end
  return true
end

-- An array of {key, value, version} in the order of keys, and a cursor when there may be more. A
-- page ends at limit (1000) or with half a MiB.
function store:list(opts)
  local namespace = place("list", self)
  local prefix, limit, cursor = args.list(opts)
  local result, err = call(LIST, NAMESPACE, namespace, PREFIX, prefix, LIMIT, limit, CURSOR, cursor)
  if not result then
    return nil, err
  end
  return result.entries or {}, result.cursor
end
