-- s3: objects of buckets, under the function's execution role; streams are in s3_stream.lua.
local core, env = ...

local call, check, n = core.call, core.check, core.numbers
local GET, HEAD, PUT = n["s3.get"], n["s3.head"], n["s3.put"]
local DELETE, LIST = n["s3.delete"], n["s3.list"]
local BUCKET, KEY, BODY, RANGE = n.bucket, n.key, n.body, n.range
local CONTENT_TYPE, METADATA, IF_NONE_MATCH = n.content_type, n.metadata, n.if_none_match
local PREFIX, DELIMITER, CURSOR = n.prefix, n.delimiter, n.cursor
local COPY, FROM_BUCKET, FROM_KEY = n["s3.copy"], n.from_bucket, n.from_key
local PRESIGN, METHOD, EXPIRES_S = n["s3.presign"], n.method, n.expires_s
local type, format = type, string.format

local s3 = {}
env.s3 = s3

local function place(fn, bucket, key)
  return check.need(fn, 1, bucket, "string"), check.need(fn, 2, key, "string")
end

-- {first, last}, from 0 and inclusive, or "bytes=0-99" as it stands.
local function range_text(range)
  if range == nil or type(range) == "string" then
    return range
  end
  local first, last = range[1], range[2]
  if type(first) ~= "number" or first < 0 or first % 1 ~= 0 then
    check.fail("s3.get", 3, "range must be {first, last} or a string")
  elseif last == nil then
    return format("bytes=%d-", first)
  elseif type(last) ~= "number" or last < first or last % 1 ~= 0 then
    check.fail("s3.get", 3, "range must be {first, last} or a string")
  end
  return format("bytes=%d-%d", first, last)
end

local function object(result, err)
  if result and not result.metadata then
    result.metadata = {}
  end
  return result, err
end

-- {body, etag, content_type, metadata, size, last_modified}; size is the whole object's.
function s3.get(bucket, key, opts)
  bucket, key = place("s3.get", bucket, key)
  opts = check.options("s3.get", 3, opts, { range = "any" })
  local range = range_text(opts.range)
  local result, err = call(GET, BUCKET, bucket, KEY, key, RANGE, range)
  if result and not result.body then
    result.body = ""
  end
  return object(result, err)
end

-- The same without body.
function s3.head(bucket, key)
  bucket, key = place("s3.head", bucket, key)
  return object(call(HEAD, BUCKET, bucket, KEY, key))
end

-- Names and values of metadata are strings.
function core.check_metadata(fn, n_arg, metadata)
  for name, value in next, metadata or {} do
    if type(name) ~= "string" or (type(value) ~= "string" and type(value) ~= "number") then
      check.fail(fn, n_arg, "metadata must be a table of strings")
    end
  end
end

local put_options = { content_type = "string", metadata = "table", if_none_match = "any" }
core.put_options = put_options

-- {etag}. if_none_match = true (or "*"): only when there is no such object yet.
function s3.put(bucket, key, body, opts)
  bucket, key = place("s3.put", bucket, key)
  body = check.bytes("s3.put", 3, body)
  opts = check.options("s3.put", 4, opts, put_options)
  core.check_metadata("s3.put", 4, opts.metadata)
  return call(PUT, BUCKET, bucket, KEY, key, BODY, body, CONTENT_TYPE, opts.content_type,
    METADATA, opts.metadata, IF_NONE_MATCH, opts.if_none_match)
end

-- true, whether there was such an object or not.
function s3.delete(bucket, key)
  bucket, key = place("s3.delete", bucket, key)
  local result, err = call(DELETE, BUCKET, bucket, KEY, key)
  if not result then
    return nil, err
  end
  return true
end

-- {etag, size}. Bytes, metadata and content type are the source's; nothing passes through here.
function s3.copy(from_bucket, from_key, to_bucket, to_key)
  from_bucket, from_key = place("s3.copy", from_bucket, from_key)
  to_bucket = check.need("s3.copy", 3, to_bucket, "string")
  to_key = check.need("s3.copy", 4, to_key, "string")
  return call(COPY, FROM_BUCKET, from_bucket, FROM_KEY, from_key, BUCKET, to_bucket, KEY, to_key)
end

-- A link with which anybody may do this one thing for `expires` seconds (3600), as long as the
-- function's role may.
function s3.presign(bucket, key, opts)
  bucket, key = place("s3.presign", bucket, key)
  opts = check.options("s3.presign", 3, opts, { expires = "number", method = "string" })
  local result, err = call(PRESIGN, BUCKET, bucket, KEY, key, METHOD, opts.method,
    EXPIRES_S, check.whole("s3.presign", 3, opts.expires))
  if not result then
    return nil, err
  end
  return result.url
end

-- Entries and common prefixes of one page as one sequence in the order of their names.
local function merge(page)
  local entries, prefixes = page.entries or {}, page.common_prefixes or {}
  local merged, i, j = {}, 1, 1
  while entries[i] or prefixes[j] do
    if not prefixes[j] or (entries[i] and entries[i].key < prefixes[j]) then
      merged[#merged + 1] = entries[i]
      i = i + 1
    else
      merged[#merged + 1] = { prefix = prefixes[j] }
      j = j + 1
    end
  end
  return merged
end

-- An iterator over {key, size, etag, last_modified} and, with a delimiter, {prefix}. The first page
-- is fetched here, so that a refusal is nil, err; one later on raises its error.
function s3.list(bucket, opts)
  bucket = check.need("s3.list", 1, bucket, "string")
  opts = check.options("s3.list", 2, opts, { prefix = "string", delimiter = "string" })
  local prefix, delimiter = opts.prefix, opts.delimiter
  local page, err = call(LIST, BUCKET, bucket, PREFIX, prefix, DELIMITER, delimiter)
  if not page then
    return nil, err
  end
  local items, i = merge(page), 0
  return function()
    i = i + 1
    while not items[i] and page.cursor do
      page, err = call(LIST, BUCKET, bucket, PREFIX, prefix, DELIMITER, delimiter,
        CURSOR, page.cursor)
      if not page then
        page = {}
        error(err, 0)
      end
      items, i = merge(page), 1
    end
    return items[i]
  end
end
