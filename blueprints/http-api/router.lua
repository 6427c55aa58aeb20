-- Routes of method and path, and answers as function URLs want them.
local M = {}

function M.answer(status, value, headers)
  headers = headers or {}
  if value == nil then
    return { statusCode = status, headers = headers }
  end
  headers["content-type"] = "application/json"
  return { statusCode = status, headers = headers, body = json.encode(value) }
end

-- What a route raises to end the request: error(M.failure(404, "there is no such item")).
function M.failure(status, message, more)
  return { status = status, message = message, errors = more and more.errors, headers = more and more.headers }
end

local function unescape(part)
  return (part:gsub("%%(%x%x)", function(hex)
    return string.char(tonumber(hex, 16))
  end))
end

local function split(path)
  local parts = {}
  for part in path:gmatch "[^/]+" do
    parts[#parts + 1] = unescape(part)
  end
  return parts
end

-- The values of {NAME} parts when the path is of that form, else nil.
local function match(form, parts)
  if #form ~= #parts then
    return nil
  end
  local values = {}
  for i, part in ipairs(form) do
    local name = part:match "^{(.+)}$"
    if name then
      values[name] = parts[i]
    elseif part ~= parts[i] then
      return nil
    end
  end
  return values
end

-- M.new { { "GET", "/items/{id}", function(request) … end }, … }: a function of the event.
function M.new(routes)
  for _, route in ipairs(routes) do
    route.form = split(route[2])
  end

  local function find(method, parts)
    local allowed = {}
    for _, route in ipairs(routes) do
      local values = match(route.form, parts)
      if values and route[1] == method then
        return route[3], values
      elseif values then
        allowed[#allowed + 1] = route[1]
      end
    end
    if #allowed == 0 then
      error(M.failure(404, "there is nothing at this path"))
    end
    error(M.failure(405, "this path takes " .. table.concat(allowed, ", "),
      { headers = { allow = table.concat(allowed, ", ") } }))
  end

  local function run(event)
    local method = event.requestContext.http.method
    local path = event.rawPath
    if path:find("//", 1, true) or path:find "./$" then -- another address than the same without
      error(M.failure(404, "there is nothing at this path"))
    end
    local handle, values = find(method == "HEAD" and "GET" or method, split(path))
    return handle {
      method = method,
      path = values,
      query = event.queryStringParameters or {},
      headers = event.headers or {},
      body = event.isBase64Encoded and base64.decode(event.body) or event.body,
    }
  end

  return function(event)
    local ok, result = pcall(run, event)
    if ok then
      return result
    elseif type(result) == "table" and result.status then
      return M.answer(result.status, { message = result.message, errors = result.errors }, result.headers)
    end
    error(result, 0) -- ours: the log says where, the caller is told 502
  end
end

return M
