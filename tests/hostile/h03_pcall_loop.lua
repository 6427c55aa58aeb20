-- H03: every error caught
-- expect: Sandbox.Timedout
return function()
  while true do
    pcall(error, "x")
  end
end
