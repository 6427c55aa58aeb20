-- V44: coroutines that resume each other, themselves and the dead
-- expect: ok
-- timeout: 5
return function()
  local a, b
  a = coroutine.create(function() return coroutine.resume(b) end)
  b = coroutine.create(function() return coroutine.resume(a) end)
  coroutine.resume(a)
  coroutine.resume(a)
  coroutine.resume(coroutine.running())
  local w
  w = coroutine.wrap(function() return w() end)
  pcall(w)
  pcall(w)
  for _ = 1, 1000 do
    local co = coroutine.create(error)
    coroutine.resume(co, co)
    coroutine.resume(co)
  end
  pcall(coroutine.wrap(function() error(setmetatable({}, { __tostring = coroutine.yield })) end))
  return "still here"
end
