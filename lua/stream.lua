-- stream: http.respond_stream, an answer that leaves while it is made. A caller that wants it whole
-- (an Invoke, a URL with InvokeMode BUFFERED) gets it whole.
local core, env = ...

local call, check, misuse, n = core.call, core.check, core.misuse, core.numbers
local BEGIN, WRITE = n["response.begin"], n["response.write"]
local STATUS, HEADERS, COOKIES, BODY = n.n, n.metadata, n.value, n.body
local type, sub, concat = type, string.sub, table.concat

local PIECE = 256 * 1024

local http = env.http

local head_fields = { statusCode = "number", headers = "table", cookies = "table" }

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
-- true, or nil and an error. What respond_stream gives is for the handler to return.
function http.respond_stream(body, head)
  if type(body) ~= "function" then
    misuse "bad argument #1 to 'respond_stream' (function expected)"
  end
  head = check.options("respond_stream", 2, head, head_fields)
  local cookies = head.cookies and concat(head.cookies, "\n")
  local begun, err = call(BEGIN, STATUS, head.statusCode, HEADERS, head.headers, COOKIES, cookies)
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
