-- V26: string buffers of every size, put into themselves
-- expect: ok Runtime.OutOfMemory
-- timeout: 10
return function()
  local new = require("string.buffer").new
  for _, size in ipairs({ -1, 1e9, 2 ^ 31, 2 ^ 53, 0 / 0, "x", {} }) do
    pcall(new, size)
  end
  local b = new()
  b:put("x")
  for _ = 1, 40 do
    if not pcall(b.put, b, b) then
      break
    end
  end
  for _, n in ipairs({ -1, 1e9, 2 ^ 53, 0 / 0 }) do
    pcall(b.skip, b, n)
    pcall(b.get, b, n)
  end
  pcall(b.putf, b, "%99.99f %s", 1e308, b)
  pcall(b.put, setmetatable({}, { __tostring = function() return b end }), {})
  pcall(getmetatable(b) and getmetatable(b).__gc or print)
  b:reset()
  return #b:tostring()
end
