-- H14: tables without end
-- expect: Runtime.OutOfMemory Sandbox.Timedout
-- timeout: 2
return function()
  local t = {}
  while true do
    t[#t + 1] = { #t }
  end
end
