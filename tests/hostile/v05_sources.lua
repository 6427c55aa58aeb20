-- V5: sources of many megabytes, of a million nested brackets, of more constants than fit
-- expect: ok Runtime.OutOfMemory Sandbox.Timedout
-- timeout: 5
return function()
  assert(not load(("("):rep(1000000)))
  assert(not load("return " .. ("{"):rep(1000000)))
  assert(not load("return " .. ("not "):rep(1000000) .. "1"))
  assert(not load(("do "):rep(100000)))
  assert(not load(("if x then "):rep(100000)))
  assert(not load("local " .. ("a,"):rep(300) .. "a"))
  assert(not load("x = [" .. ("="):rep(1000000) .. "["))
  local t = { "return {" }
  for i = 1, 70000 do
    t[#t + 1] = ("'%d',"):format(i)
  end
  load(table.concat(t) .. "}")
  local n = 0
  load(function()
    n = n + 1
    return n < 200000 and "x = x + 1 " or nil
  end)
  return #(load(("x = 1 "):rep(3000000)) and "large" or "refused")
end
