-- V6: JSON that is deep, long, wrong at its very end, or all numbers
-- expect: ok Runtime.OutOfMemory
-- timeout: 10
local function refused(text)
  local ok, value, err = pcall(json.decode, text)
  return not ok or (value == nil and err)
end

return function()
  assert(refused(("["):rep(5000000)))
  assert(refused(("[["):rep(50000) .. ("]]"):rep(50000)))
  assert(refused(('{"a":'):rep(100000)))
  assert(refused("[" .. ("1,"):rep(500000) .. "]"))
  assert(refused('"' .. ("\\ud800"):rep(1000) .. "x"))
  assert(refused("1" .. ("0"):rep(400000) .. "x"))
  pcall(json.decode, "1e" .. ("9"):rep(100000))
  local key = '{"' .. ("k"):rep(2000000) .. '":1}'
  assert(next(json.decode(key)))
  return #json.decode("[" .. ("0,"):rep(200000) .. "0]")
end
