-- http: requests to other machines, under the function's execution role (perilune:HttpRequest on the
-- URL). The core checks and performs them; nothing here can reach a socket.
local core, env = ...

local call, check, n, misuse = core.call, core.check, core.numbers, core.misuse
local REQUEST, URL, METHOD, HEADERS, BODY = n["http.request"], n.url, n.method, n.headers, n.body
local MS, MAX_BYTES = n.ms, n.max_bytes
local encode, decode = env.json.encode, env.json.decode
local type, next, tostring, setmetatable, rawget = type, next, core.tostring, setmetatable, rawget
local lower, gsub, byte, find, format = string.lower, string.gsub, string.byte, string.find, string.format
local ceil, concat, sort, sub = math.ceil, table.concat, table.sort, string.sub

local http = {}
env.http = http

local options = {
  method = "string", headers = "table", query = "table", body = "string", json = "any",
  timeout = "number", max_bytes = "number",
}
local request_options = { url = "string" }
for name, kind in next, options do
  request_options[name] = kind
end

-- Names of headers are asked for in any letter case; the table itself holds them in lower case.
local header_names = {
  __index = function(headers, name)
    return type(name) == "string" and rawget(headers, lower(name)) or nil
  end,
  __metatable = "headers",
}

local methods = {}
local response = { __index = methods, __metatable = "response" }

-- The body's value, or nil, err when it is no JSON text.
function methods:json()
  return decode(self.body)
end

local function escape(text)
  return (gsub(tostring(text), "[^%w%-%._~]", function(c)
    return format("%%%02X", byte(c))
  end))
end

local function scalar(value)
  local kind = type(value)
  return kind == "string" or kind == "number" or kind == "boolean"
end

-- {a = 1, b = {"x", "y"}} behind the URL, by name.
local function with_query(fn, arg, url, query)
  local names, parts = {}, {}
  for name in next, query do
    if type(name) ~= "string" then
      check.fail(fn, arg, "query must be a table of names and values")
    end
    names[#names + 1] = name
  end
  sort(names)
  for i = 1, #names do
    local value = query[names[i]]
    if scalar(value) then
      value = { value }
    elseif type(value) ~= "table" then
      check.fail(fn, arg, "query '" .. names[i] .. "' must be a string, a number or a list of them")
    end
    for k = 1, #value do
      if not scalar(value[k]) then
        check.fail(fn, arg, "query '" .. names[i] .. "' must be a string, a number or a list of them")
      end
      parts[#parts + 1] = escape(names[i]) .. "=" .. escape(value[k])
    end
  end
  if #parts == 0 then
    return url
  end
  local fragment = find(url, "#", 1, true)
  url = fragment and sub(url, 1, fragment - 1) or url
  return url .. (find(url, "?", 1, true) and "&" or "?") .. concat(parts, "&")
end

-- A copy: what is sent is what was checked. json makes the body, and its type unless one is given.
local function with_headers(fn, arg, opts)
  local headers, typed = {}, false
  for name, value in next, opts.headers or headers do
    if type(name) ~= "string" or not scalar(value) then
      check.fail(fn, arg, "headers must be a table of strings")
    end
    headers[name] = tostring(value)
    typed = typed or lower(name) == "content-type"
  end
  if opts.json == nil then
    return headers, opts.body
  elseif opts.body ~= nil then
    check.fail(fn, arg, "body and json exclude each other")
  end
  if not typed then
    headers["content-type"] = "application/json"
  end
  return headers, encode(opts.json)
end

local function send(fn, arg, method, url, opts)
  if opts.timeout and not (opts.timeout > 0 and opts.timeout <= 900) then
    check.fail(fn, arg, "timeout must be more than 0 and at most 900 seconds")
  end
  check.whole(fn, arg, opts.max_bytes)
  if opts.max_bytes and opts.max_bytes < 0 then
    check.fail(fn, arg, "max_bytes must not be negative")
  end
  if opts.query then
    url = with_query(fn, arg, url, opts.query)
  end
  local headers, body = with_headers(fn, arg, opts)
  local result, err = call(REQUEST, URL, url, METHOD, method, HEADERS, headers, BODY, body,
    MS, opts.timeout and ceil(opts.timeout * 1000), MAX_BYTES, opts.max_bytes)
  if not result then
    return nil, err
  end
  result.headers = setmetatable(result.headers or {}, header_names)
  result.body = result.body or ""
  return setmetatable(result, response)
end

-- {status, headers, body}; any status is an answer. nil, err when there is none.
function http.request(opts)
  if type(opts) ~= "table" then
    misuse("bad argument #1 to 'http.request' (a table expected, got " .. type(opts) .. ")")
  end
  opts = check.options("http.request", 1, opts, request_options)
  local url = check.need("http.request", 1, opts.url, "string")
  return send("http.request", 1, opts.method or "GET", url, opts)
end

function http.get(url, opts)
  url = check.need("http.get", 1, url, "string")
  opts = check.options("http.get", 2, opts, options)
  return send("http.get", 2, opts.method or "GET", url, opts)
end

-- body may be nil when opts has json.
function http.post(url, body, opts)
  url = check.need("http.post", 1, url, "string")
  if body ~= nil then
    body = check.bytes("http.post", 2, body)
  end
  local given = check.options("http.post", 3, opts, options)
  opts = {}
  for name, value in next, given do
    opts[name] = value
  end
  if body ~= nil then
    opts.body = body
  end
  return send("http.post", 3, opts.method or "POST", url, opts)
end
