-- H12: a string that doubles
-- expect: Runtime.OutOfMemory Sandbox.Timedout
-- timeout: 2
return function()
  local s = "x"
  while true do
    s = s .. s
  end
end
