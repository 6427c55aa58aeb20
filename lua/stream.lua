-- stream: http.respond_stream, an answer that leaves while it is made. A caller that wants it whole
-- (an Invoke, a URL with InvokeMode BUFFERED) gets it whole.
local core, env = ...

local call, check, misuse, n = core.call, core.check, core.misuse, core.numbers
local BEGIN, WRITE = n["response.begin"], n["response.write"]
local STATUS, HEADERS, COOKIES, BODY = n.n, n.metadata, n.value, n.body
local type, tostring, next = type, core.tostring, next
local find, sub, concat = string.find, string.sub, table.concat

local PIECE = 256 * 1024

local http = env.http

local head_fields = { statusCode = "number", headers = "table", cookies = "table" }

-- Names and values as strings, true and false as a buffered answer has them. What characters they may
-- have is the core's to say.
local function header_strings(headers)
  if headers == nil then
    return nil
  end
  local strings = {}
  for name, value in next, headers do
    if type(name) ~= "string" then
      misuse "a header's name is no string"
    elseif type(value) == "boolean" then
      value = tostring(value)
    elseif type(value) ~= "string" and type(value) ~= "number" then
      misuse("the value of header '" .. name .. "' is no string")
    end
    strings[name] = value
  end
  return strings
end

-- They travel as lines.
local function cookie_lines(cookies)
  if cookies == nil then
    return nil
  end
  for i = 1, #cookies do
    if type(cookies[i]) ~= "string" then
      misuse "a cookie is no string"
    elseif find(cookies[i], "\n", 1, true) then
      misuse "a cookie has control characters"
    end
  end
  return concat(cookies, "\n")
end

local function whole(body, head)
  local parts, count = {}, 0
  body(function(text)
    count = count + 1
    parts[count] = check.bytes("write", 1, text)
    return true
  end)
  return {
    statusCode = head.statusCode or 200,
    headers = head.headers,
    cookies = head.cookies,
    body = concat(parts, "", 1, count),
  }
end

-- body(write) makes the answer; write(text) waits while the client reads more slowly, and gives
-- true, or nil and an error. What respond_stream gives is for the handler to return. A head that HTTP
-- does not allow raises an error before anything of the answer has left.
function http.respond_stream(body, head)
  if type(body) ~= "function" then
    misuse "bad argument #1 to 'respond_stream' (function expected)"
  end
  head = check.options("respond_stream", 2, head, head_fields)
  local status = check.whole("respond_stream", 2, head.statusCode)
  local headers, cookies = header_strings(head.headers), cookie_lines(head.cookies)
  local begun, err = call(BEGIN, STATUS, status, HEADERS, headers, COOKIES, cookies)
  if not begun then
    return misuse(err.message)
  elseif not begun.exists then
    return whole(body, head)
  end
  body(function(text)
    text = check.bytes("write", 1, text)
    for from = 1, #text, PIECE do
      local done, failed = call(WRITE, BODY, #text <= PIECE and text or sub(text, from, from + PIECE - 1))
      if not done then
        return nil, failed
      end
    end
    return true
  end)
  return nil
end
