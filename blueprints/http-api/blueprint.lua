-- A small JSON API over the key-value store.
return {
  title = "Serve a JSON API",
  summary = "Items made, read, listed, changed and deleted over HTTP: validation that names every mistake, "
    .. "ETags against lost updates, pages, a bearer token when one is set. Kept in the key-value store.",

  params = {
    { name = "collection", type = "string", prompt = "What the path is called: /NAME", default = "items",
      pattern = "^[%l%d][%l%d%-]*$" },
    { name = "token", type = "string", prompt = "Name of the secret that holds the bearer token (empty: open to all)",
      default = "", pattern = "^[%w_.%-]*$" },
    { name = "name", type = "name", prompt = "Name of the function", default = "http-api" },
  },

  files = { "handler.lua", "router.lua", "item.lua" },
  test_event = "event.json",

  build = function(p)
    local permissions = {
      { { "perilune:KvRead", "perilune:KvWrite" }, p.name },
    }
    if p.token ~= "" then
      permissions[2] = { "perilune:SecretRead", p.token }
    end
    return {
      name = p.name,
      description = "A JSON API of " .. p.collection,
      handler = "handler.main",
      memory_mb = 64,
      timeout_s = 10,
      environment = { COLLECTION = p.collection, TOKEN = p.token },
      permissions = permissions,
      triggers = { { url = true, auth = "none" } },
    }
  end,

  try = function(p)
    local token = p.token ~= "" and "-H 'Authorization: Bearer TOKEN' " or ""
    local body = "-H 'Content-Type: application/json' -d '{\"name\": \"Moon lamp\", \"price\": 19.5}'"
    return "curl " .. token .. body .. " @URL@" .. p.collection
  end,
}
