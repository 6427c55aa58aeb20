-- Receives signed webhooks. A delivery comes twice through main: first as the request to the URL, which
-- is checked, noted and answered at once; then as an event of its own, in the background, with the
-- platform's retries. Noting and queueing are one transaction: what was answered 202 will be handled,
-- and a delivery that is sent again is not queued again.
local M = {}

local SIGNATURES_MAX = 8 -- looked at in one header

local function answer(status, value, headers)
  headers = headers or {}
  headers["content-type"] = "application/json"
  return { statusCode = status, headers = headers, body = json.encode(value) }
end

local function refuse(status, message, headers)
  log.warn("refused", { status = status, reason = message })
  return answer(status, { message = message }, headers)
end

-- --- signatures -----------------------------------------------------------------------------------

local function signed(secret, text, signature)
  return crypto.equals(crypto.hmac_hex("sha256", secret, text), signature)
end

-- Each: true, or nil and why not. The body is the bytes that were sent: nobody has parsed them yet.
local verify = {}

-- X-Hub-Signature-256: sha256=HEX over the body.
function verify.github(secret, headers, body)
  local signature = (headers["x-hub-signature-256"] or ""):match "^sha256=(%x+)$"
  if not signature then
    return nil, "X-Hub-Signature-256 is missing or malformed"
  elseif not signed(secret, body, signature) then
    return nil, "the signature does not match"
  end
  return true
end

-- Stripe-Signature: t=SECONDS,v1=HEX[,v1=HEX…] over "SECONDS.BODY"; while a secret is rolled over
-- there are several v1, and any of them will do. Other schemes (v0) count for nothing.
function verify.stripe(secret, headers, body)
  local at, found, ok = nil, 0, false
  for name, value in (headers["stripe-signature"] or ""):gmatch "([%w]+)=([^,]*)" do
    if name == "t" then
      at = at or value:match "^%d+$"
    elseif name == "v1" and at and found < SIGNATURES_MAX then
      found = found + 1
      ok = signed(secret, at .. "." .. body, value) or ok
    end
  end
  if not at or found == 0 then
    return nil, "Stripe-Signature is missing or malformed"
  elseif not ok then
    return nil, "the signature does not match"
  elseif math.abs(time.now() - tonumber(at)) > tonumber(os.getenv "TOLERANCE_S") then
    return nil, "the signed time is too far from now"
  end
  return true
end

-- --- what was delivered ---------------------------------------------------------------------------

-- Each: id and kind of a delivery that is genuine, or nil and what is missing.
local identify = {}

function identify.github(headers)
  local id = headers["x-github-delivery"]
  if not id or id == "" then
    return nil, "X-GitHub-Delivery is missing"
  end
  return id, headers["x-github-event"] or "unknown"
end

function identify.stripe(_, body)
  local value = json.decode(body)
  if type(value) ~= "table" or type(value.id) ~= "string" or value.id == "" then
    return nil, "the body is no event with an id"
  end
  return value.id, type(value.type) == "string" and value.type or "unknown"
end

-- --- the two ways in ------------------------------------------------------------------------------

-- Notes the delivery and queues it, both or neither; "accepted", or "duplicate" when it was noted before.
local function note(delivery, own_name)
  return kv.transaction(function(tx)
    local own, key = tx:open(own_name), "delivery:" .. delivery.id
    local state, err = own:get(key)
    if state then
      return "duplicate"
    elseif err then
      return nil, err
    end
    local ok
    ok, err = own:set(key, "queued", { ttl = tonumber(os.getenv "REMEMBER_S") })
    if ok then
      ok, err = tx:invoke_async(own_name, { delivery = delivery })
    end
    return ok and "accepted", err
  end)
end

local function receive(event, context)
  local provider, headers, body = os.getenv "PROVIDER", event.headers or {}, event.body or ""
  if event.requestContext.http.method ~= "POST" then
    return refuse(405, "deliveries are POSTed", { allow = "POST" })
  end
  if event.isBase64Encoded then
    body = base64.decode(body)
  end
  local secret, missing = secrets.get(os.getenv "SECRET")
  if not secret or secret == "" then
    log.error("the signing secret cannot be read", { name = os.getenv "SECRET", error = tostring(missing) })
    return answer(500, { message = "this receiver is not set up" }) -- the sender will try again
  end
  local genuine, why = verify[provider](secret, headers, body)
  if not genuine then
    return refuse(401, why)
  end
  local id, kind = identify[provider](headers, body)
  if not id then
    return refuse(400, kind)
  elseif #id > 200 or #kind > 100 then
    return refuse(400, "the delivery's id or kind is too long")
  end
  local delivery = { id = id, kind = kind, body = event.body, base64 = event.isBase64Encoded }
  local result, err = note(delivery, context.function_name)
  if result then
    return answer(result == "accepted" and 202 or 200, { id = id, result = result })
  elseif err.code == "TooLarge" then
    return refuse(413, "a delivery has to fit into an event of 1 MiB")
  end
  log.error("a delivery could not be noted", { id = id, error = tostring(err) })
  return answer(503, { message = "try again" }, { ["retry-after"] = "5" })
end

-- What to do with a delivery: yours to change. It may run again when it fails or the machine stops in
-- the middle of it; what it writes through `own` is written once.
local function handle(delivery, own)
  local body = delivery.base64 and base64.decode(delivery.body) or delivery.body or ""
  local value = json.decode(body)
  assert(own:incr("count:" .. delivery.kind))
  log.info("delivery", {
    id = delivery.id,
    kind = delivery.kind,
    action = type(value) == "table" and value.action or nil,
    bytes = #body,
  })
end

function M.main(event, context)
  if events.source(event) == "url" then
    return receive(event, context)
  end
  local delivery = event.delivery
  if type(delivery) ~= "table" then
    error("this function is called by its URL", 0)
  end
  return assert(kv.transaction(function(tx)
    local own = tx:open(context.function_name)
    if own:get("delivery:" .. delivery.id) == "handled" then
      return { id = delivery.id, result = "handled before" }
    end
    handle(delivery, own)
    assert(own:set("delivery:" .. delivery.id, "handled", { ttl = tonumber(os.getenv "REMEMBER_S") }))
    return { id = delivery.id, result = "handled" }
  end))
end

return M
