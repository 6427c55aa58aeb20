-- H17: recursion through a callback of gsub
-- expect: Runtime.LuaError Runtime.OutOfMemory Sandbox.Timedout
-- timeout: 2
return function()
  local function f()
    return (("x"):gsub("x", f))
  end
  return f()
end
