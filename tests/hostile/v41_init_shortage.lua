-- V41: no memory left in the init phase
-- expect: Runtime.OutOfMemory Sandbox.Timedout
-- timeout: 10
local t = {}
for i = 1, 1e9 do
  t[i] = ("x"):rep(1000) .. i
end
return function()
  return #t
end
