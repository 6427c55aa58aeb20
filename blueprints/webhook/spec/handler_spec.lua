-- Run by 'perilune test': the signatures as GitHub and Stripe make them, and what is not one.
local SECRET = "It's a Secret to Everybody"

local function github(body, fields)
  local headers = {
    ["x-hub-signature-256"] = "sha256=" .. crypto.hmac_hex("sha256", SECRET, body),
    ["x-github-delivery"] = "d-1",
    ["x-github-event"] = "push",
  }
  for name, value in pairs(fields or {}) do
    headers[name] = value
  end
  return test.event("url", { method = "POST", body = body, headers = headers })
end

local function stripe(body, at, header)
  local mac = crypto.hmac_hex("sha256", SECRET, at .. "." .. body)
  return test.event("url", { method = "POST", body = body,
    headers = { ["stripe-signature"] = header and header:gsub("MAC", mac) or ("t=" .. at .. ",v1=" .. mac) } })
end

local function ask(event)
  local answer, err = test.invoke(event)
  assert.is_nil(err)
  return answer.statusCode, json.decode(answer.body)
end

before_each(function()
  test.secret("webhook", SECRET)
  test.env("SECRET", "webhook")
  test.env("PROVIDER", "github")
  test.env("TOLERANCE_S", "300")
  test.env("REMEMBER_S", "604800")
end)

describe("GitHub", function()
  it("signs as its documentation says", function()
    assert.are.equal("757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
      crypto.hmac_hex("sha256", SECRET, "Hello, World!"))
    assert.are.equal(202, (ask(github "Hello, World!")))
  end)

  it("is queued once per delivery", function()
    assert.are.equal("accepted", select(2, ask(github "{}")).result)
    local status, body = ask(github "{}")
    assert.are.equal(200, status)
    assert.are.equal("duplicate", body.result)
    assert.are.equal(1, #test.invoked())
    assert.is_true(test.invoked()[1].async)
    assert.are.equal("push", test.invoked()[1].payload.delivery.kind)
  end)

  it("is refused when anything is changed", function()
    assert.are.equal(401, (ask(github("{}", { ["x-hub-signature-256"] = "" }))))
    local event = github "{}"
    event.body = "{ }"
    assert.are.equal(401, (ask(event)))
    assert.are.equal(401, (ask(github("{}", { ["x-hub-signature-256"] = "sha1=00" }))))
    assert.are.equal(0, #test.invoked())
  end)

  it("may hold bytes that are no text", function()
    local event = test.event("url", { method = "POST", body = "\255\0", base64 = true, headers = {
      ["x-hub-signature-256"] = "sha256=" .. crypto.hmac_hex("sha256", SECRET, "\255\0"),
      ["x-github-delivery"] = "d-2" } })
    assert.are.equal(202, (ask(event)))
    assert.are.equal("handled", test.invoke(test.invoked()[1].payload).result)
  end)

  it("is refused when it is too large to be queued", function()
    assert.are.equal(413, (ask(github(("\""):rep(600 * 1024)))))
    assert.are.equal(413, (ask(github(("x"):rep(2 * 1024 * 1024)))))
  end)

  it("needs a delivery's id", function()
    local event = github "{}"
    event.headers["x-github-delivery"] = nil
    assert.are.equal(400, (ask(event)))
  end)

  it("is asked to try again while there is no secret", function()
    test.fail("secrets.get", "NotFound")
    assert.are.equal(500, (ask(github "{}")))
  end)
end)

describe("Stripe", function()
  local EVENT = '{"id":"evt_1","type":"charge.succeeded"}'
  before_each(function()
    test.env("PROVIDER", "stripe")
    test.time(1700000000)
  end)

  it("signs time and body", function()
    local status, body = ask(stripe(EVENT, 1700000000))
    assert.are.equal(202, status)
    assert.are.equal("evt_1", body.id)
    assert.are.equal("charge.succeeded", test.invoked()[1].payload.delivery.kind)
  end)

  it("may sign with two secrets", function()
    assert.are.equal(202, (ask(stripe(EVENT, 1700000000, "t=1700000000,v1=" .. ("0"):rep(64) .. ",v1=MAC,v0=00"))))
  end)

  it("is refused outside the tolerance", function()
    assert.are.equal(202, (ask(stripe(EVENT, 1700000000 - 300))))
    assert.are.equal(401, (ask(stripe(EVENT, 1700000000 - 301))))
    assert.are.equal(401, (ask(stripe(EVENT, 1700000000 + 301))))
  end)

  it("is refused without v1, without t, and with another time than the signed one", function()
    for _, header in ipairs { "t=1700000000,v0=MAC", "v1=MAC", "t=1700000001,v1=MAC", "t=,v1=MAC", "", "rubbish" } do
      assert.are.equal(401, (ask(stripe(EVENT, 1700000000, header))))
    end
  end)
end)

describe("a delivery in the background", function()
  it("is handled once", function()
    local event = { delivery = { id = "d-9", kind = "push", body = '{"action":"opened"}' } }
    assert.are.equal("handled", test.invoke(event).result)
    assert.are.equal("handled before", test.invoke(event).result)
    assert.is_true(test.logged('"action":"opened"'))
  end)
end)
