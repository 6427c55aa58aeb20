-- V16: a cache filled without end, with other keys each time
-- expect: Sandbox.Timedout
return function()
  local value, i = ("c"):rep(100000), 0
  while true do
    i = i + 1
    cache.set("key" .. i, value, 1000)
    cache.set(("k"):rep(i % 1000) .. i, "")
  end
end
