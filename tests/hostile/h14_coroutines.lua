-- H14: coroutines without end
-- expect: Runtime.OutOfMemory Sandbox.Timedout
-- timeout: 2
return function()
  local t = {}
  while true do
    local co = coroutine.create(coroutine.yield)
    coroutine.resume(co)
    t[#t + 1] = co
  end
end
