-- V15: a task in a task in a task
-- expect: Runtime.LuaError Runtime.OutOfMemory Sandbox.Timedout
-- timeout: 2
return function()
  local function f()
    task.all({ f, f })
  end
  f()
end
