-- Run by 'perilune test': what the handler says about objects of several kinds.
local function be(n, bytes)
  local s = ""
  for _ = 1, bytes do
    s, n = string.char(n % 256) .. s, math.floor(n / 256)
  end
  return s
end

local function png(width, height)
  return "\137PNG\r\n\26\n" .. be(13, 4) .. "IHDR" .. be(width, 4) .. be(height, 4) .. "\8\2\0\0\0" .. be(0, 4)
end

local function look(key, body)
  local answer, err = test.invoke(test.event("s3:put", { bucket = "uploads", key = key, body = body }))
  assert.is_nil(err)
  return answer.objects[1]
end

describe("an upload", function()
  it("is recognised and counted", function()
    assert.are.same({ key = "a b/ü.png", size = 33, type = "png", width = 320, height = 200 },
      look("a b/ü.png", png(320, 200)))
    look("two.png", png(1, 1))
    assert.are.equal("2", (kv.open(test.context().function_name):get "png"))
    assert.is_true(test.logged "a b/ü.png")
  end)

  it("may be anything else", function()
    assert.are.equal("other", look("notes.txt", "text").type)
    assert.are.equal("other", look("empty", "").type)
    assert.are.equal("png", look("short.png", png(9, 9):sub(1, 12)).type)
  end)

  it("may be gone", function()
    local event = test.event("s3:put", { bucket = "uploads", key = "x", size = 5 })
    test.bucket "uploads"
    assert.are.equal("gone", test.invoke(event).objects[1].type)
  end)

  it("is tried again when it cannot be read", function()
    test.fail("s3.get", "Unavailable")
    local event = test.event("s3:put", { bucket = "uploads", key = "x", body = "text" })
    local _, err = test.invoke(event)
    assert.are.equal("Unavailable", err.errorType)
  end)
end)
