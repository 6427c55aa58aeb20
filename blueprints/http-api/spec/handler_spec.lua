-- Run by 'perilune test': the API as a client sees it.
local function ask(method, path, body, fields)
  local headers = { ["content-type"] = "application/json" }
  for name, value in pairs(fields or {}) do
    headers[name] = value
  end
  local route, query = path:match "^([^?]*)%??(.*)$"
  local values = {}
  for name, value in query:gmatch "(%w+)=([^&]*)" do
    values[name] = value
  end
  local answer, err = test.invoke(test.event("url", { method = method, path = route, query = values, headers = headers,
    body = type(body) == "table" and json.encode(body) or body }))
  assert.is_nil(err)
  return answer.statusCode, answer.body and json.decode(answer.body), answer.headers
end

local function make(name)
  local status, made, headers = ask("POST", "/items", { name = name, price = 1.5 })
  assert.are.equal(201, status)
  return made, headers
end

describe("an item", function()
  it("is made, read, changed and deleted", function()
    local made, headers = make "lamp"
    assert.are.equal("items/" .. made.id, headers.location)
    local path = "/items/" .. made.id
    local _, seen, again = ask("GET", path)
    assert.are.same(made, seen)
    assert.are.equal(headers.etag, again.etag)
    assert.are.equal(200, (ask("PATCH", path, '{"done":false,"price":null}')))
    _, seen = ask("GET", path)
    assert.is_false(seen.done)
    assert.is_nil(seen.price)
    assert.are.equal(200, (ask("PUT", path, seen)))
    assert.are.equal(200, (ask("PUT", path, { name = "torch" })))
    _, seen = ask("GET", path)
    assert.are.same({ id = made.id, created = made.created, name = "torch" }, seen)
    assert.are.equal(204, (ask("DELETE", path)))
    assert.are.equal(404, (ask("GET", path)))
    assert.are.equal(404, (ask("DELETE", path)))
  end)

  it("is not overwritten by who has not seen it", function()
    local made, headers = make "lamp"
    local path = "/items/" .. made.id
    assert.are.equal(200, (ask("PUT", path, { name = "a" }, { ["if-match"] = headers.etag })))
    for _, method in ipairs { "PUT", "PATCH", "DELETE" } do
      assert.are.equal(412, (ask(method, path, { name = "b" }, { ["if-match"] = headers.etag })))
    end
    assert.are.equal(200, (ask("PATCH", path, { name = "c" }, { ["if-match"] = "*" })))
  end)

  it("is not sent to who has it", function()
    local made, headers = make "lamp"
    assert.are.equal(304, (ask("GET", "/items/" .. made.id, nil, { ["if-none-match"] = headers.etag })))
  end)
end)

describe("a list", function()
  it("comes in pages", function()
    assert.are.same({ items = json.array {} }, select(2, ask("GET", "/items")))
    for i = 1, 5 do
      test.time(1700000000 + i)
      make("number " .. i)
    end
    local names, cursor, pages = {}, nil, 0
    repeat
      local status, page = ask("GET", "/items?limit=2" .. (cursor and "&cursor=" .. cursor or ""))
      assert.are.equal(200, status)
      for _, found in ipairs(page.items) do
        names[#names + 1] = found.name
      end
      cursor, pages = page.cursor, pages + 1
    until not cursor
    assert.are.same({ "number 1", "number 2", "number 3", "number 4", "number 5" }, names)
    assert.are.equal(3, pages)
  end)

  it("has limits", function()
    for _, limit in ipairs { "0", "101", "x", "1.5", "" } do
      assert.are.equal(400, (ask("GET", "/items?limit=" .. limit)))
    end
    assert.are.equal(400, (ask("GET", "/items?cursor=%")))
  end)
end)

describe("what is wrong", function()
  it("is named field by field", function()
    local status, body = ask("POST", "/items", '{"name":"","price":-1,"tags":["a",3],"colour":"red","done":1}')
    assert.are.equal(422, status)
    assert.are.same({ name = "must not be empty", price = "must be at least 0", tags = "element 2 must be text",
      colour = "is not known", done = "must be true or false" }, body.errors)
    for _, bad in ipairs { '{"name":"x","price":1e999}', '{"name":"x","price":-1e999}', '{"name":"x","tags":[1e999]}',
      '{"name":"x","tags":{}}', '{"name":"x","tags":{"a":1e999}}', '{"name":null}', '{"name":"x","other":1e999}' } do
      assert.are.equal(422, (ask("POST", "/items", bad)))
    end
    assert.are.equal("is required", select(2, ask("POST", "/items", "{}")).errors.name)
  end)

  it("is a body that is no JSON object", function()
    for _, body in ipairs { "", "{", "[]", "3", "null", '"x"' } do
      assert.are.equal(400, (ask("POST", "/items", body)))
    end
    assert.are.equal(415, (ask("POST", "/items", "{}", { ["content-type"] = "text/plain" })))
  end)

  it("is a path or a method", function()
    assert.are.equal(404, (ask("GET", "/")))
    assert.are.equal(404, (ask("GET", "/items/")))
    assert.are.equal(404, (ask("GET", "//items")))
    assert.are.equal(404, (ask("GET", "/items/none")))
    assert.are.equal(404, (ask("GET", "/items/%00%ff")))
    assert.are.equal(404, (ask("GET", "/items/a/b")))
    local status, _, headers = ask("DELETE", "/items")
    assert.are.equal(405, status)
    assert.are.equal("GET, POST", headers.allow)
  end)

  it("is a store that is busy", function()
    test.fail("kv.get", "Throttled")
    assert.are.equal(503, (ask("GET", "/items/x")))
  end)
end)

describe("a token", function()
  before_each(function()
    test.env("TOKEN", "api-token")
    test.secret("api-token", "s3cret")
  end)

  it("opens", function()
    assert.are.equal(200, (ask("GET", "/items", nil, { authorization = "Bearer s3cret" })))
  end)

  it("is needed", function()
    for _, given in ipairs { "", "Bearer", "Bearer wrong", "Basic s3cret" } do
      local status, _, headers = ask("GET", "/items", nil, { authorization = given })
      assert.are.equal(401, status)
      assert.are.equal("Bearer", headers["www-authenticate"])
    end
  end)
end)
