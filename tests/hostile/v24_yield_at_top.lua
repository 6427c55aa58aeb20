-- V24: a handler that yields and waits to be resumed
-- expect: Runtime.LuaError
return function()
  coroutine.yield("somebody else's turn")
end
