-- H16: recursion without end
-- expect: Runtime.LuaError Runtime.OutOfMemory
-- timeout: 5
return function()
  local function f()
    return 1 + f()
  end
  return f()
end
