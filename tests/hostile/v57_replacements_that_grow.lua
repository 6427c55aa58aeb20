-- V57: gsub whose replacement is the whole, a hundred times over, and patterns that capture without end
-- expect: Runtime.OutOfMemory Sandbox.Timedout ok
-- timeout: 2
return function()
  local s = "a"
  for _ = 1, 10 do
    s = s:gsub(".+", ("%0"):rep(100))
  end
  return #s
end
