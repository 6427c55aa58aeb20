-- H05: an error handler that never returns, and one that fails again
-- expect: Sandbox.Timedout
return function()
  xpcall(error, function()
    xpcall(error, function()
      error("again")
    end)
    while true do
    end
  end)
end
