-- V56: errors in handlers of errors, in coroutines, in pcall, at the stack's end
-- expect: ok Sandbox.Timedout Runtime.LuaError Runtime.OutOfMemory
-- timeout: 2
return function()
  local function handler(e)
    return error(setmetatable({}, { __tostring = function() error(e) end }))
  end
  local function deep(n)
    return pcall(coroutine.wrap(function()
      return xpcall(n == 0 and error or deep, handler, n - 1)
    end))
  end
  for n = 1, 190 do
    deep(n)
  end
  return tostring(select(2, xpcall(function() return deep(100000) end, handler))) ~= nil
end
