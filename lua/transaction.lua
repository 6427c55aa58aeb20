-- transaction: kv.transaction(fn) runs fn(tx) and then writes all that it wrote, or nothing.
--
-- Reads note the version they saw (0: absent), writes stay here, and one host call compares and
-- applies. Who reads after writing sees what was written. When a version has changed, fn runs again
-- on what is there now. Inside fn only tx is to be used: another host call could not be taken back.
local core, env = ...

local call, check, n, args = core.call, core.check, core.numbers, core.kv_args
local GET, LIST, COMMIT = n["kv.get"], n["kv.list"], n["kv.commit"]
local NAMESPACE, KEY, VALUE, TTL_MS = n.namespace, n.key, n.value, n.ttl_ms
local VERSION, KEEP_TTL, PREFIX, LIMIT, CURSOR = n.version, n.keep_ttl, n.prefix, n.limit, n.cursor
local OP, KIND, FUNCTION, QUALIFIER = n.op, n.kind, n["function"], n.qualifier
local PAYLOAD, DELAY_MS = n.payload, n.delay_ms
local OP_CHECK, OP_SET, OP_DELETE, OP_INVOKE = 1, 2, 3, 4
local MAX_KEYS, MAX_BYTES, MAX_RUNS = 100, 1024 * 1024, 10

local new_error, misuse = core.new_error, core.misuse
local running, type, select, setmetatable, unpack = coroutine.running, type, select, setmetatable, unpack
local next, error, pcall, tonumber, format, find = next, error, pcall, tonumber, string.format, string.find
local sort = table.sort

local inside = core.inside -- coroutine -> its transaction; core.call refuses what is not the transaction's
local AGAIN = {}
local states = setmetatable({}, { __mode = "k" }) -- tx -> state
local stores = setmetatable({}, { __mode = "k" }) -- store of a tx -> {state, namespace}

local function call_inside(state, ...)
  state.calling = true
  local result, err = call(...)
  state.calling = false
  if not result then
    state.failed = state.failed or err
  end
  return result, err
end

-- A transaction that has failed in one place writes nothing at all, whatever fn makes of it.
local function fail(state, code, message)
  local err = new_error(code, message)
  state.failed = state.failed or err
  return nil, err
end

-- What is known of a key: {read, version, value} as it was read, {written, new, ttl_ms, keep_ttl}.
local function entry_of(state, namespace, key)
  local keys = state.keys[namespace]
  if not keys then
    keys = {}
    state.keys[namespace] = keys
  end
  local entry = keys[key]
  if not entry then
    if state.count == MAX_KEYS then
      return fail(state, "TooLarge", "a transaction touches at most 100 keys and events")
    end
    state.count = state.count + 1
    entry = {}
    keys[key] = entry
  end
  return entry
end

local function add_bytes(state, bytes)
  state.bytes = state.bytes + bytes
  if state.bytes > MAX_BYTES then
    return fail(state, "TooLarge", "a transaction holds at most 1 MiB of keys, values and payloads")
  end
  return true
end

local function place(fn, self)
  local at = stores[self]
  if not at then
    args.colon(fn)
  elseif at.state.over then
    misuse "the transaction is over"
  end
  return at.state, at.namespace
end

local function note(entry, version, value)
  if not entry.read then
    entry.read, entry.version, entry.value = true, version, value
  end
end

-- The entry, read; nil, err.
local function look(state, namespace, key)
  local entry, err = entry_of(state, namespace, key)
  if not entry then
    return nil, err
  elseif not entry.read then
    local result
    result, err = call_inside(state, GET, NAMESPACE, namespace, KEY, key)
    if not result then
      return nil, err
    end
    note(entry, result.exists and result.version or 0, result.exists and (result.value or "") or nil)
  end
  return entry
end

-- value, version as the transaction sees them; a value it has written has no version yet.
local function view(entry)
  if entry.written then
    return entry.new, nil
  end
  return entry.value, entry.version ~= 0 and entry.version or nil
end

local function write(state, entry, key, value, ttl_ms, keep_ttl)
  local ok, err = add_bytes(state, #key + (value and #value or 0))
  if not ok then
    return nil, err
  end
  entry.written, entry.new, entry.ttl_ms, entry.keep_ttl = true, value, ttl_ms, keep_ttl
  return true
end

local store = {}
local metatable = { __index = store, __metatable = "kv" }

function store:get(key)
  local state, namespace = place("get", self)
  key = check.need("get", 1, key, "string")
  local keys = state.keys[namespace]
  local entry = keys and keys[key]
  if not (entry and entry.written) then
    local err
    entry, err = look(state, namespace, key)
    if not entry then
      return nil, err
    end
  end
  return view(entry)
end

-- Whether the conditions hold; nil, err.
local function holds(state, namespace, key, opts)
  if not opts.if_absent and not opts.if_version then
    return entry_of(state, namespace, key)
  end
  local entry, err = look(state, namespace, key)
  if not entry then
    return nil, err
  end
  local value, version = view(entry)
  if (opts.if_absent and value ~= nil) or (opts.if_version and version ~= opts.if_version) then
    return nil, new_error("PreconditionFailed", "the key is not as the condition wants it")
  end
  return entry
end

-- true: there is no version before the transaction has ended.
function store:set(key, value, opts)
  local state, namespace = place("set", self)
  local ttl_ms
  key, value, opts, ttl_ms = args.set(key, value, opts)
  local entry, err = holds(state, namespace, key, opts)
  if not entry then
    return nil, err
  end
  return write(state, entry, key, value, ttl_ms)
end

function store:incr(key, by, opts)
  local state, namespace = place("incr", self)
  local init
  key, by, init = args.incr(key, by, opts)
  local entry, err = look(state, namespace, key)
  if not entry then
    return nil, err
  end
  local value = view(entry)
  local number = init or 0
  if value then
    number = find(value, "^%-?%d+$") and tonumber(value)
  end
  if not number or number + by > 2 ^ 53 or number + by < -2 ^ 53 then
    return nil, new_error("InvalidArgument", "The value is no integer, or the sum does not fit 53 bits")
  end
  number = number + by
  local keep = not entry.written or entry.keep_ttl
  local ok
  ok, err = write(state, entry, key, format("%d", number), entry.ttl_ms, value ~= nil and keep or nil)
  if not ok then
    return nil, err
  end
  return number
end

function store:delete(key, opts)
  local state, namespace = place("delete", self)
  local version
  key, version = args.delete(key, opts)
  local entry, err = holds(state, namespace, key, { if_version = version })
  if not entry then
    return nil, err
  end
  return write(state, entry, key, nil)
end

local function by_key(a, b)
  return a.key < b.key
end

-- What was written lies over what is stored. Keys that others add meanwhile are not noticed.
function store:list(opts)
  local state, namespace = place("list", self)
  local prefix, limit, cursor = args.list(opts)
  local result, err = call_inside(state, LIST, NAMESPACE, namespace, PREFIX, prefix, LIMIT, limit, CURSOR, cursor)
  if not result then
    return nil, err
  end
  local page, stored = {}, result.entries or {}
  local last = result.cursor
  for i = 1, #stored do
    local item = stored[i]
    local entry
    entry, err = entry_of(state, namespace, item.key)
    if not entry then
      return nil, err
    end
    note(entry, item.version, item.value or "")
    if not entry.written then
      page[#page + 1] = item
    end
  end
  for key, entry in next, state.keys[namespace] or {} do
    local here = (not prefix or (#key >= #prefix and find(key, prefix, 1, true) == 1))
      and (not cursor or key > cursor) and (not last or key <= last)
    if here and entry.written and entry.new then
      page[#page + 1] = { key = key, value = entry.new }
    end
  end
  sort(page, by_key)
  return page, last
end

local tx_methods = {}
local tx_metatable = { __index = tx_methods, __metatable = "transaction" }

local function state_of(fn, self)
  local state = states[self]
  if not state then
    misuse("call it with a colon: tx:" .. fn .. "(…)")
  elseif state.over then
    misuse "the transaction is over"
  end
  return state
end

function tx_methods:open(namespace)
  local state = state_of("open", self)
  local s = setmetatable({}, metatable)
  stores[s] = { state = state, namespace = check.need("tx:open", 1, namespace, "string") }
  return s
end

-- true. The event is queued when the transaction is written, and not otherwise.
function tx_methods:invoke_async(name, payload, opts)
  local state = state_of("invoke_async", self)
  local text, delay_ms
  name, text, opts, delay_ms = core.async_args("tx:invoke_async", name, payload, opts)
  if state.count == MAX_KEYS then
    return fail(state, "TooLarge", "a transaction touches at most 100 keys and events")
  end
  state.count = state.count + 1
  local ok, err = add_bytes(state, #text)
  if not ok then
    return nil, err
  end
  local op = { KIND, OP_INVOKE, FUNCTION, name, PAYLOAD, text }
  if opts.qualifier then
    op[#op + 1], op[#op + 2] = QUALIFIER, opts.qualifier
  end
  if delay_ms then
    op[#op + 1], op[#op + 2] = DELAY_MS, delay_ms
  end
  state.events[#state.events + 1] = op
  return true
end

local function write_op(namespace, key, entry)
  if not entry.new then
    return { KIND, OP_DELETE, NAMESPACE, namespace, KEY, key }
  end
  local op = { KIND, OP_SET, NAMESPACE, namespace, KEY, key, VALUE, entry.new }
  if entry.keep_ttl then
    op[9], op[10] = KEEP_TTL, true
  elseif entry.ttl_ms then
    op[9], op[10] = TTL_MS, entry.ttl_ms
  end
  return op
end

-- One list of parts; nil when one read at most is all there was.
local function parts_of(state)
  local ops, writes = {}, #state.events
  for namespace, keys in next, state.keys do
    for key, entry in next, keys do
      if entry.read then
        ops[#ops + 1] = { KIND, OP_CHECK, NAMESPACE, namespace, KEY, key, VERSION, entry.version }
      end
      if entry.written then
        ops[#ops + 1] = write_op(namespace, key, entry)
        writes = writes + 1
      end
    end
  end
  for i = 1, #state.events do
    ops[#ops + 1] = state.events[i]
  end
  return (writes > 0 or #ops > 1) and ops or nil
end

-- One run: AGAIN, or what kv.transaction returns.
local function attempt(co, fn)
  local state = { keys = {}, events = {}, count = 0, bytes = 0 }
  local tx = setmetatable({}, tx_metatable)
  states[tx] = state
  inside[co] = state
  local function finish(ok, ...)
    inside[co] = nil
    state.over = true
    if not ok then
      error((...), 0)
    end
    if select("#", ...) >= 2 and (...) == nil and select(2, ...) ~= nil then
      return ... -- fn gave up with nil, err: nothing is written
    elseif state.failed then
      return nil, state.failed
    end
    local ops = parts_of(state)
    if ops then
      local result, err = call(COMMIT, OP, ops)
      if not result and err.code == "Conflict" then
        return AGAIN, err
      elseif not result then
        return nil, err
      end
    end
    if select("#", ...) == 0 then
      return true
    end
    return ...
  end
  return finish(pcall(fn, tx))
end

-- What fn returns (true when it returns nothing), once everything is stored. nil, err: nothing is.
function env.kv.transaction(fn)
  if type(fn) ~= "function" then
    check.fail("kv.transaction", 1, "a function expected, got " .. type(fn))
  end
  local co = running()
  if inside[co] then
    misuse "a transaction cannot begin inside another one"
  end
  local results
  for _ = 1, MAX_RUNS do
    results = { n = 0 }
    local function keep(...)
      results = { n = select("#", ...), ... }
    end
    keep(attempt(co, fn))
    if results[1] ~= AGAIN then
      return unpack(results, 1, results.n)
    end
  end
  return nil, results[2]
end
