-- s3_stream: objects of any size in bounded memory: s3.chunks, s3.lines and s3.writer.
--
-- A stream belongs to the invocation that opened it. What a loop leaves open when it breaks off is
-- closed when places run out and the collector finds that nobody holds its iterator any more, and at
-- the end of the invocation.
local core, env = ...

local call, check, n = core.call, core.check, core.numbers
local OPEN, READ, CLOSE = n["s3.open"], n["s3.read"], n["s3.close"]
local CREATE, WRITE, FINISH = n["s3.create"], n["s3.write"], n["s3.finish"]
local BUCKET, KEY, BODY, HANDLE, LIMIT = n.bucket, n.key, n.body, n.handle, n.limit
local CONTENT_TYPE, METADATA, IF_NONE_MATCH = n.content_type, n.metadata, n.if_none_match
local CHUNK, CHUNK_MAX = 256 * 1024, 6 * 1024 * 1024
local PIECE, BUFFERED = 1024 * 1024, 256 * 1024 -- of a write: bytes of one call, bytes kept back

local error, next, setmetatable, collect = error, next, setmetatable, collectgarbage
local find, sub, concat, huge = string.find, string.sub, table.concat, math.huge

local holders = setmetatable({}, { __mode = "v" }) -- handle -> who reads or writes
local open = {} -- handle -> true

-- Closes what nobody can use any more; true when there was something.
local function close_lost()
  local found = false
  collect()
  for handle in next, open do
    if not holders[handle] then
      open[handle] = nil
      call(CLOSE, HANDLE, handle)
      found = true
    end
  end
  return found
end

-- Calls s3.open or s3.create.
local function begin(...)
  local result, err = call(...)
  if not result and err.code == "Throttled" and close_lost() then
    result, err = call(...)
  end
  return result, err
end

local function hold(handle, holder)
  open[handle] = true
  holders[handle] = holder
end

local function place(fn, bucket, key)
  return check.need(fn, 1, bucket, "string"), check.need(fn, 2, key, "string")
end

-- An iterator over the object's bytes in strings of `size`; the last may be shorter. nil, err when
-- the object cannot be opened; what goes wrong later raises its error.
local function chunks(bucket, key, size)
  local result, err = begin(OPEN, BUCKET, bucket, KEY, key)
  if not result then
    return nil, err
  end
  local handle, left = result.handle, result.left
  local body, at = result.body, 1 -- a small object is here already
  local function iterator()
    if body then
      local part = sub(body, at, at + size - 1)
      at = at + size
      return part ~= "" and part or nil
    elseif left == 0 then
      return nil
    end
    local r, e = call(READ, HANDLE, handle, LIMIT, size)
    if not r then
      left = 0
      open[handle] = nil
      error(e, 0)
    end
    left = r.left
    if left == 0 then
      open[handle] = nil
    end
    return r.body
  end
  if handle then
    hold(handle, iterator)
  end
  return iterator
end

function env.s3.chunks(bucket, key, size)
  bucket, key = place("s3.chunks", bucket, key)
  size = check.whole("s3.chunks", 3, size, CHUNK)
  if size < 1 or size > CHUNK_MAX then
    check.fail("s3.chunks", 3, "1 to " .. CHUNK_MAX .. " bytes")
  end
  return chunks(bucket, key, size)
end

-- An iterator over the object's lines, without their newlines; the last one needs none.
-- opts.max: of a longer line its first `max` bytes come, and true behind them.
function env.s3.lines(bucket, key, opts)
  bucket, key = place("s3.lines", bucket, key)
  opts = check.options("s3.lines", 3, opts, { max = "number" })
  local max = check.whole("s3.lines", 3, opts.max, huge)
  if max < 1 then
    check.fail("s3.lines", 3, "a max of 1 byte or more")
  end
  local more, err = chunks(bucket, key, CHUNK)
  if not more then
    return nil, err
  end
  local text, at = "", 1 -- what has been read, and where the next line begins
  local parts, count = {}, 0 -- of a line that is longer than a chunk
  local held, cut = 0, false -- its bytes so far; has it more than max?
  return function()
    while text do
      local stop = find(text, "\n", at, true)
      local part = sub(text, at, (stop or 0) - 1)
      if stop then
        at = stop + 1
      else
        text, at = more(), 1
      end
      if held + #part > max then
        part, cut = sub(part, 1, max - held), true
      end
      held = held + #part
      if stop or not text then
        if count > 0 then
          parts[count + 1] = part
          part = concat(parts, "", 1, count + 1)
          parts, count = {}, 0
        end
        held = 0
        if cut then
          cut = false
          return part, true
        end
        return (stop or part ~= "") and part or nil
      elseif part ~= "" then
        count = count + 1
        parts[count] = part
      end
    end
  end
end

local writer = {}
local metatable = { __index = writer, __metatable = "writer" }
local states = setmetatable({}, { __mode = "k" }) -- writer -> state

local function state_of(fn, self)
  local state = states[self]
  if not state then
    core.misuse("call it with a colon: writer:" .. fn .. "(…)")
  end
  return state
end

local function fail(state, err)
  if not state.err then
    state.err = err
    state.closed = true
    open[state.handle] = nil
    call(CLOSE, HANDLE, state.handle)
  end
  return nil, err
end

local function send(state, s)
  for from = 1, #s, PIECE do
    local piece = #s <= PIECE and s or sub(s, from, from + PIECE - 1)
    local result, err = call(WRITE, HANDLE, state.handle, BODY, piece)
    if not result then
      return fail(state, err)
    end
  end
  return true
end

local function flush(state)
  local s = concat(state.parts, "", 1, state.count)
  state.parts, state.count, state.bytes = {}, 0, 0
  return send(state, s)
end

local function check_open(state)
  if state.err then
    return nil, state.err
  elseif state.closed then
    core.misuse "the writer is closed"
  end
  return true
end

-- The writer itself, so that writes can be chained; nil, err: nothing of the object will be there.
function writer:write(s)
  local state = state_of("write", self)
  s = check.bytes("write", 1, s)
  local ok, err = check_open(state)
  if not ok then
    return nil, err
  end
  state.count = state.count + 1
  state.parts[state.count] = s
  state.bytes = state.bytes + #s
  if state.bytes >= BUFFERED then
    ok, err = flush(state)
    if not ok then
      return nil, err
    end
  end
  return self
end

-- {etag, size}: the object is there, as a whole.
function writer:close()
  local state = state_of("close", self)
  local ok, err = check_open(state)
  if ok and state.bytes > 0 then
    ok, err = flush(state)
  end
  if not ok then
    return nil, err
  end
  local result
  state.closed = true
  open[state.handle] = nil
  result, err = call(FINISH, HANDLE, state.handle)
  if not result then
    state.err = err
    return nil, err
  end
  return { etag = result.etag, size = result.size }
end

-- A writer with :write(s) and :close(). Without close there is no object.
function env.s3.writer(bucket, key, opts)
  bucket, key = place("s3.writer", bucket, key)
  opts = check.options("s3.writer", 3, opts, core.put_options)
  core.check_metadata("s3.writer", 3, opts.metadata)
  local result, err = begin(CREATE, BUCKET, bucket, KEY, key, CONTENT_TYPE, opts.content_type,
    METADATA, opts.metadata, IF_NONE_MATCH, opts.if_none_match)
  if not result then
    return nil, err
  end
  local self = setmetatable({}, metatable)
  states[self] = { handle = result.handle, parts = {}, count = 0, bytes = 0 }
  hold(result.handle, self)
  return self
end
