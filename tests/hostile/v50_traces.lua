-- V50: more compiled code than there is room for
-- expect: Sandbox.Timedout Runtime.OutOfMemory ok
-- timeout: 2
return function()
  local kept = {}
  for i = 1, 100000 do
    local f = assert(load("local n = ... for i = 1, 200 do n = n + i * " .. i .. " end return n"))
    kept[i % 5000] = f
    f(i)
  end
  return #kept
end
