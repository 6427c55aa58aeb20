-- H14: closures without end
-- expect: Runtime.OutOfMemory Sandbox.Timedout
-- timeout: 2
return function()
  local f
  while true do
    local g = f
    f = function()
      return g
    end
  end
end
