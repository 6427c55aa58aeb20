-- Items over HTTP:
--
--   GET    /items?limit=&cursor=   a page of them, in the order in which they were made
--   POST   /items                  a new one
--   GET    /items/{id}
--   PUT    /items/{id}             replaces it
--   PATCH  /items/{id}             changes the fields that are given; null takes one away
--   DELETE /items/{id}
--
-- An item's ETag is its version in the store: with If-Match a change happens only to the version that
-- the client has seen, else it is 412.
local item = require "item"
local router = require "router"

local M = {}
local answer, failure = router.answer, router.failure

local PAGE, PAGE_MAX = 20, 100
local collection = os.getenv "COLLECTION" or "items"
local store -- opened with the first request: it bears the function's name

-- What the store answers, or the request's end.
local function need(value, err)
  if value ~= nil then
    return value
  elseif err.code == "Throttled" or err.code == "Unavailable" then
    error(failure(503, "try again", { headers = { ["retry-after"] = "1" } }))
  end
  error(err, 0)
end

-- --- requests -------------------------------------------------------------------------------------

local function authorise(headers)
  local name = os.getenv "TOKEN"
  if not name or name == "" then
    return
  end
  local token = need(secrets.get(name))
  local given = (headers.authorization or ""):match "^[Bb]earer +(%S+)$"
  if not given or not crypto.equals(given, token) then
    error(failure(401, "a bearer token is needed", { headers = { ["www-authenticate"] = "Bearer" } }))
  end
end

-- The body's JSON object, without what is not the client's to say: so what was read can be sent back.
local function object_of(request)
  local kind = (request.headers["content-type"] or ""):lower()
  if not kind:find "^application/json" and not kind:find "^application/merge%-patch%+json" then
    error(failure(415, "the body must be application/json"))
  end
  local value, err = json.decode(request.body or "")
  if value == nil then
    error(failure(400, "the body is no JSON: " .. tostring(err)))
  elseif not request.body:find "^%s*{" then
    error(failure(400, "the body must be a JSON object"))
  end
  value.id, value.created = nil, nil
  return value
end

local function check(value)
  local errors = item.check(value)
  if errors then
    error(failure(422, "the item is not valid", { errors = errors }))
  end
end

local function key_of(request)
  local id = request.path.id
  if #id > 64 or not id:find "^[%w_-]+$" then
    error(failure(404, "there is no such item"))
  end
  return "item:" .. id, id
end

-- The item as it is stored, and its version.
local function find(key)
  local text, version = store:get(key)
  if not text then
    if version then
      need(nil, version) -- the store has failed
    end
    error(failure(404, "there is no such item"))
  end
  return json.decode(text), version
end

-- The version that the client wants to change, when it says one.
local function wanted(request)
  local tag = request.headers["if-match"]
  if not tag or tag == "*" then
    return nil
  end
  return tonumber(tag:match '^"(%d+)"$') or -1
end

local function matches(request, version)
  local tag = wanted(request)
  if tag and tag ~= version then
    error(failure(412, "the item has changed meanwhile"))
  end
end

-- Stores the item if nobody has changed it since `version`.
local function save(key, value, version)
  local new, err = store:set(key, json.encode(value), { if_version = version })
  if not new and err.code == "PreconditionFailed" then
    error(failure(412, "the item has changed meanwhile"))
  end
  return need(new, err)
end

local function show(status, value, version, headers)
  headers = headers or {}
  headers.etag = '"' .. version .. '"'
  return answer(status, value, headers)
end

-- --- routes ---------------------------------------------------------------------------------------

local function list(request)
  local limit = tonumber(request.query.limit or PAGE)
  if not limit or limit < 1 or limit > PAGE_MAX or limit % 1 ~= 0 then
    error(failure(400, "limit must be 1 to " .. PAGE_MAX))
  end
  local cursor = request.query.cursor
  if cursor and not cursor:find "^[%w_-]+$" then
    error(failure(400, "cursor must be one that a page has ended with"))
  end
  local found, after = store:list { prefix = "item:", limit = limit, cursor = cursor and base64.url_decode(cursor) }
  if not found and after.code == "InvalidArgument" then
    error(failure(400, "cursor must be one that a page has ended with"))
  end
  local items = json.array {}
  for i, entry in ipairs(need(found, after)) do
    items[i] = json.decode(entry.value)
  end
  return answer(200, { [collection] = items, cursor = after and base64.url_encode(after) })
end

local function create(request)
  local value = object_of(request)
  check(value)
  -- the time in front, so that a list comes in the order in which items were made
  local id = ("%012x-%s"):format(math.floor(time.now() * 1000), crypto.random(4):gsub(".", function(c)
    return ("%02x"):format(c:byte())
  end))
  value.id, value.created = id, time.iso8601()
  local version = need(store:set("item:" .. id, json.encode(value), { if_absent = true }))
  log.info("created", { id = id })
  return show(201, value, version, { location = collection .. "/" .. id })
end

local function get(request)
  local value, version = find(key_of(request))
  if request.headers["if-none-match"] == '"' .. version .. '"' then
    return { statusCode = 304, headers = { etag = '"' .. version .. '"' } }
  end
  return show(200, value, version)
end

local function replace(request)
  local value = object_of(request)
  check(value)
  local key, id = key_of(request)
  local old, version = find(key)
  matches(request, version)
  value.id, value.created = id, old.created
  return show(200, value, save(key, value, version))
end

local function change(request)
  local fields = object_of(request)
  local key, id = key_of(request)
  local value, version = find(key)
  matches(request, version)
  local created = value.created
  value.id, value.created = nil, nil
  for name, field in pairs(fields) do
    if field == json.null then
      field = nil
    end
    value[name] = field
  end
  check(value)
  value.id, value.created = id, created
  return show(200, value, save(key, value, version))
end

local function remove(request)
  local key, id = key_of(request)
  local _, version = find(key)
  matches(request, version)
  local done, err = store:delete(key, { if_version = version })
  if not done and err.code == "PreconditionFailed" then
    error(failure(412, "the item has changed meanwhile"))
  end
  need(done, err)
  log.info("deleted", { id = id })
  return answer(204)
end

local function guarded(route)
  return function(request)
    authorise(request.headers)
    return route(request)
  end
end

local all, one = "/" .. collection, "/" .. collection .. "/{id}"
local route = router.new {
  { "GET", all, guarded(list) },
  { "POST", all, guarded(create) },
  { "GET", one, guarded(get) },
  { "PUT", one, guarded(replace) },
  { "PATCH", one, guarded(change) },
  { "DELETE", one, guarded(remove) },
}

function M.main(event, context)
  if events.source(event) ~= "url" then
    error("this function is called by its URL", 0)
  end
  store = store or kv.open(context.function_name)
  return route(event)
end

return M
