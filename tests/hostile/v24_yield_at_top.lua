-- V24: a handler that yields and waits to be resumed
-- expect: Runtime.LuaError
-- timeout: 5
return function()
  coroutine.yield("somebody else's turn")
end
