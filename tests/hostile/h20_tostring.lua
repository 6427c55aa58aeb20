-- H20: an error object whose __tostring never returns
-- expect: Sandbox.Timedout
return function()
  error(setmetatable({}, {
    __tostring = function()
      while true do
      end
    end,
  }))
end
