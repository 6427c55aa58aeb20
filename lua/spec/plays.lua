-- plays: what each host call does to the world of fakes.lua. Codes and limits are the core's.
local core, env = ...

local fakes = core.fakes
local plays, refuse, copy, now = fakes.plays, fakes.refuse, fakes.copy, fakes.now
local crypto, encode, decode = env.crypto, env.json.encode, env.json.decode
local type, tostring, tonumber, select = type, core.tostring, tonumber, select
local next, pcall, unpack = next, pcall, unpack
local find, sub, match, format, lower = string.find, string.sub, string.match, string.format, string.lower
local sort, floor, min, max = table.sort, math.floor, math.min, math.max

-- --- kv ---------------------------------------------------------------------------------------------

local function space(name)
  if not match(name, "^[%w_.%-]+$") or #name > 64 then
    return nil
  end
  local s = fakes.world().spaces[name]
  if not s then
    s = {}
    fakes.world().spaces[name] = s
  end
  return s
end

local function live(item)
  return item and (not item.expires or item.expires > now()) and item or nil
end
fakes.live = live

local function version()
  local world = fakes.world()
  world.version = world.version + 1
  return world.version
end
fakes.version = version

-- The namespace and the item under the key, or nil and the refusal.
local function kv_item(args)
  local s = space(args.namespace)
  if not s then
    return nil, select(2, refuse("InvalidArgument", "An argument is not valid."))
  elseif #args.key > 400 then
    return nil, select(2, refuse("InvalidArgument", "A kv key has 1 to 400 bytes"))
  end
  return s, live(s[args.key])
end

plays["kv.get"] = function(args)
  local s, item = kv_item(args)
  if not s then
    return nil, item
  elseif not item then
    return { exists = false }
  end
  return { exists = true, value = item.value, version = item.version }
end

plays["kv.set"] = function(args)
  local s, item = kv_item(args)
  if not s then
    return nil, item
  end
  local value = tostring(args.value)
  if #value > 262144 then
    return refuse("TooLarge", "A kv value has at most 262144 bytes")
  elseif (args.if_absent and item) or (args.if_version and (not item or item.version ~= args.if_version)) then
    return refuse("PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
  end
  local new = { value = value, version = version(), expires = args.ttl_ms and now() + args.ttl_ms / 1000 }
  s[args.key] = new
  return { version = new.version }
end

plays["kv.incr"] = function(args)
  local s, item = kv_item(args)
  if not s then
    return nil, item
  end
  local old = item and match(item.value, "^%-?%d+$") and tonumber(item.value)
  if item and not old then
    return refuse("InvalidArgument", "The value is no integer, or the sum does not fit 64 bits")
  end
  local n = (old or args.init or 0) + (args.n or 1)
  s[args.key] = { value = format("%d", n), version = version(), expires = item and item.expires }
  return { n = n }
end

plays["kv.delete"] = function(args)
  local s, item = kv_item(args)
  if not s then
    return nil, item
  elseif args.if_version and (not item or item.version ~= args.if_version) then
    return refuse("PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
  end
  s[args.key] = nil
  return { exists = item ~= nil }
end

local function sorted(t)
  local keys = {}
  for k in next, t do
    keys[#keys + 1] = k
  end
  sort(keys)
  return keys
end
fakes.sorted = sorted

plays["kv.list"] = function(args)
  local s = space(args.namespace)
  if not s then
    return refuse("InvalidArgument", "An argument is not valid.")
  end
  local prefix, limit, entries = args.prefix or "", args.limit or 100, {}
  for _, key in next, sorted(s) do
    local item = live(s[key])
    if item and sub(key, 1, #prefix) == prefix and (not args.cursor or key > args.cursor) then
      if #entries == limit then
        return { entries = entries, cursor = entries[limit].key }
      end
      entries[#entries + 1] = { key = key, value = item.value, version = item.version }
    end
  end
  return { entries = entries }
end

-- All of a transaction, or nothing: first every version it saw is compared.
plays["kv.commit"] = function(args)
  local CHECK, SET, DELETE = 1, 2, 3
  local ops = {}
  for i = 1, #(args.op or {}) do
    ops[i] = fakes.arguments(unpack(args.op[i]))
    local op = ops[i]
    local item = op.namespace and live((space(op.namespace) or {})[op.key])
    if op.kind == CHECK and (item and item.version or 0) ~= op.version then
      return refuse("Conflict", "The operation conflicts with the resource's state.")
    end
  end
  for i = 1, #ops do
    local op = ops[i]
    local s = op.namespace and space(op.namespace)
    if op.kind == SET then
      local item = live(s[op.key])
      local expires = op.ttl_ms and now() + op.ttl_ms / 1000 or nil
      if op.keep_ttl then
        expires = item and item.expires
      end
      s[op.key] = { value = op.value, version = version(), expires = expires }
    elseif op.kind == DELETE then
      s[op.key] = nil
    elseif op.kind ~= CHECK then
      plays["lambda.invoke_async"](op)
    end
  end
  return {}
end

-- --- cache and secrets ------------------------------------------------------------------------------

plays["cache.get"] = function(args)
  local item = live(fakes.world().cache[args.key])
  return item and { exists = true, value = item.value } or { exists = false }
end

plays["cache.set"] = function(args)
  fakes.world().cache[args.key] = args.value and
    { value = args.value, expires = args.ttl_ms and now() + args.ttl_ms / 1000 } or nil
  return {}
end

plays["secrets.get"] = function(args)
  local value = fakes.world().secrets[args.name]
  if value == nil then
    return refuse("NotFound", "There is no secret '" .. args.name .. "' (test.secret(name, value) plays one)")
  end
  return { value = tostring(value) }
end

-- --- s3 ---------------------------------------------------------------------------------------------

function fakes.bucket(name)
  local b = fakes.world().buckets[name]
  if not b then
    b = {}
    fakes.world().buckets[name] = b
  end
  return b
end

-- The object, or nil and the refusal.
local function object(args)
  local b = fakes.world().buckets[args.bucket]
  if not b then
    return nil, select(2, refuse("NoSuchBucket", "The specified bucket does not exist"))
  end
  local o = b[args.key]
  if not o then
    return nil, select(2, refuse("NoSuchKey", "The specified key does not exist."))
  end
  return o
end
fakes.object = object

local function describe(o)
  return {
    etag = o.etag, content_type = o.content_type, metadata = copy(o.metadata, {}), size = #o.body,
    last_modified = o.last_modified,
  }
end
fakes.describe = describe

-- First and last byte (from 1) of a range like "bytes=0-99"; nothing when it asks for all; false when
-- it lies behind the end.
local function range_of(text, size)
  local first, last = match(text or "", "^bytes=(%d*)%-(%d*)$")
  if not first or (first == "" and last == "") then
    return nil
  elseif first == "" then
    local n = tonumber(last)
    return n > 0 and size > 0 and max(size - n, 0) + 1, size
  end
  first, last = tonumber(first), tonumber(last) or size - 1
  return first < size and first + 1, min(last, size - 1) + 1
end

plays["s3.get"] = function(args)
  local o, err = object(args)
  if not o then
    return nil, err
  end
  local first, last = range_of(args.range, #o.body)
  if first == false then
    return refuse("InvalidArgument", "The requested range is not satisfiable")
  end
  local answer = describe(o)
  answer.body = first and sub(o.body, first, last) or o.body
  return answer
end

plays["s3.head"] = function(args)
  local o, err = object(args)
  if not o then
    return nil, err
  end
  return describe(o)
end

-- Puts an object; a bucket that nobody named before comes into being.
function fakes.put(bucket, key, body, content_type, metadata)
  local o = {
    body = body, etag = crypto.md5_hex(body), content_type = content_type or "binary/octet-stream",
    metadata = metadata or {}, last_modified = floor(now() * 1000) / 1000,
  }
  fakes.bucket(bucket)[key] = o
  return o
end

local function put_metadata(given)
  local metadata = {}
  for k, v in next, given or {} do
    metadata[lower(k)] = tostring(v)
  end
  return metadata
end

plays["s3.put"] = function(args)
  if args.if_none_match and (fakes.world().buckets[args.bucket] or {})[args.key] then
    return refuse("PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
  end
  local o = fakes.put(args.bucket, args.key, tostring(args.body), args.content_type, put_metadata(args.metadata))
  return { etag = o.etag }
end

plays["s3.copy"] = function(args)
  local o, err = object { bucket = args.from_bucket, key = args.from_key }
  if not o then
    return nil, err
  elseif not fakes.world().buckets[args.bucket] then
    return refuse("NoSuchBucket", "The specified bucket does not exist")
  end
  fakes.put(args.bucket, args.key, o.body, o.content_type, copy(o.metadata, {}))
  return { etag = o.etag, size = #o.body }
end

plays["s3.presign"] = function(args)
  return {
    url = format("http://spec.perilune/%s/%s?X-Amz-Expires=%d&X-Amz-Method=%s", args.bucket, args.key,
      args.expires_s or 3600, args.method or "GET"),
  }
end

-- All of it at once, as a small object comes.
plays["s3.open"] = function(args)
  local o, err = object(args)
  if not o then
    return nil, err
  end
  return { body = o.body, left = 0 }
end

plays["s3.create"] = function(args)
  local world = fakes.world()
  if args.if_none_match and (world.buckets[args.bucket] or {})[args.key] then
    return refuse("PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
  end
  local handle = version()
  world.writers[handle] = { bucket = args.bucket, key = args.key, content_type = args.content_type,
    metadata = put_metadata(args.metadata), parts = {} }
  return { handle = handle }
end

plays["s3.write"] = function(args)
  local parts = fakes.world().writers[args.handle].parts
  parts[#parts + 1] = args.body
  return {}
end

plays["s3.finish"] = function(args)
  local writers = fakes.world().writers
  local w = writers[args.handle]
  writers[args.handle] = nil
  local o = fakes.put(w.bucket, w.key, table.concat(w.parts), w.content_type, w.metadata)
  return { etag = o.etag, size = #o.body }
end

plays["s3.close"] = function(args)
  fakes.world().writers[args.handle] = nil
  return {}
end

plays["s3.delete"] = function(args)
  local b = fakes.world().buckets[args.bucket]
  if not b then
    return refuse("NoSuchBucket", "The specified bucket does not exist")
  end
  b[args.key] = nil
  return {}
end

plays["s3.list"] = function(args)
  local b = fakes.world().buckets[args.bucket]
  if not b then
    return refuse("NoSuchBucket", "The specified bucket does not exist")
  end
  local prefix, delimiter = args.prefix or "", args.delimiter
  local page, seen = { entries = {}, common_prefixes = {} }, {}
  for _, key in next, sorted(b) do
    if sub(key, 1, #prefix) == prefix then
      local cut = delimiter and find(key, delimiter, #prefix + 1, true)
      local common = cut and sub(key, 1, cut + #delimiter - 1)
      if not common then
        local o = b[key]
        page.entries[#page.entries + 1] = { key = key, size = #o.body, etag = o.etag, last_modified = o.last_modified }
      elseif not seen[common] then
        seen[common] = true
        page.common_prefixes[#page.common_prefixes + 1] = common
      end
    end
  end
  return page
end

-- --- lambda -----------------------------------------------------------------------------------------

local function noted(args, async)
  local entry = {
    name = args["function"], payload = decode(args.payload), qualifier = args.qualifier,
    async = async, delay = args.delay_ms and args.delay_ms / 1000,
  }
  fakes.world().invoked[#fakes.world().invoked + 1] = entry
  return entry, fakes.world().functions[entry.name]
end

plays["lambda.invoke"] = function(args)
  local entry, answer = noted(args, false)
  if answer == nil then
    return refuse("NotFound", "Function not found: " .. entry.name .. " (test.lambda(name, answer) plays one)")
  elseif type(answer) == "function" then
    local ok, value, err = pcall(answer, entry.payload)
    if not ok or (value == nil and err ~= nil) then
      local e = ok and err or value
      local text, kind = tostring(e), "Runtime.LuaError"
      if type(e) == "table" then
        text, kind = e.message or e.errorMessage or text, e.code or e.errorType or kind
      end
      return { payload = encode { errorMessage = text, errorType = kind }, function_error = true }
    end
    answer = value
  end
  return { payload = encode(answer) }
end

plays["lambda.invoke_async"] = function(args)
  noted(args, true)
  return { request_id = crypto.uuid() }
end

-- --- http -------------------------------------------------------------------------------------------

-- Plain text matches as a beginning of the URL; what holds marks of a pattern is one.
local function url_matches(url, pattern)
  return sub(url, 1, #pattern) == pattern or (find(pattern, "[%^%$%%%*]") and find(url, pattern) ~= nil)
end

local function reply_to(request)
  for _, row in next, fakes.world().replies do
    if url_matches(request.url, row.pattern) then
      if type(row.reply) == "function" then
        return row.reply(copy(request, {}))
      end
      return row.reply
    end
  end
  local text = "nothing answers " .. request.url .. " (test.http(url, reply) plays it)"
  return nil, { code = "Unavailable", message = text }
end

plays["http.request"] = function(args)
  local request = { url = args.url, method = args.method or "GET", headers = {}, body = args.body }
  for name, value in next, args.headers or {} do
    request.headers[lower(name)] = value
  end
  local requests = fakes.world().requests
  requests[#requests + 1] = request
  local reply, err = reply_to(request)
  if not reply then
    return refuse(err and err.code or "Unavailable", err and err.message or "no answer")
  end
  local answer = { status = reply.status or 200, headers = {}, body = reply.body }
  for name, value in next, reply.headers or {} do
    answer.headers[lower(name)] = tostring(value)
  end
  if reply.json ~= nil then
    answer.body = encode(reply.json)
    answer.headers["content-type"] = answer.headers["content-type"] or "application/json"
  end
  if #(answer.body or "") > (args.max_bytes or 10485760) then
    return refuse("TooLarge", "The answer is larger than max_bytes")
  end
  return answer
end

-- Nobody reads while it is written: the handler's answer is the whole.
plays["response.begin"] = function()
  return { exists = false }
end
