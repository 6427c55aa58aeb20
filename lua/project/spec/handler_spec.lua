-- luacheck: std +busted, read globals test
-- Run by 'perilune test', in the runtime that the function will have. The modules (kv, s3, …) work in
-- memory; each 'it' begins with what its 'describe' has set up.
local handler = require "handler"

describe("the greeting", function()
  it("names who called", function()
    assert.are.same({ greeting = "Hello, Ada", count = 1 }, handler.main({ name = "Ada" }))
  end)

  it("counts each name apart", function()
    handler.main({ name = "Ada" })
    handler.main({ name = "Grace" })
    assert.are.equal(2, handler.main({ name = "Ada" }).count)
  end)

  it("can be asked for by URL", function()
    local answer = test.invoke(test.event("url", { query = { name = "Ada" } }))
    assert.are.equal("Hello, Ada", answer.greeting)
    assert.matches("greeted", test.logs()[1].message)
  end)

  it("fails when it cannot count", function()
    test.fail("kv.incr", "Unavailable")
    local answer, err = test.invoke({ name = "Ada" })
    assert.is_nil(answer)
    assert.are.equal("Unavailable", err.errorType)
  end)
end)
