-- H18: a coroutine in a coroutine in a coroutine
-- expect: Runtime.LuaError Runtime.OutOfMemory Sandbox.Timedout
-- timeout: 2
return function()
  local function f()
    return coroutine.wrap(f)()
  end
  return f()
end
