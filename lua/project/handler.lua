-- Greets, and counts how often it greeted whom.
local M = {}

local greeted = kv.open("@NAME@")

local function greet(name)
  local count, err = greeted:incr(name)
  if not count then
    error(err, 0) -- the caller reads it; an event would be tried again
  end
  log.info("greeted", { name = name, count = count })
  return { greeting = os.getenv("GREETING") .. ", " .. name, count = count }
end

-- event: what the function was called with: the JSON of a direct call, or the request to its URL.
function M.main(event)
  local query = event.queryStringParameters or {}
  return greet(event.name or query.name or "world")
end

return M
