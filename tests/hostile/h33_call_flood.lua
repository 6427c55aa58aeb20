-- H33: host calls as fast as they go
-- expect: Sandbox.Timedout
return function()
  local ns = kv.open("flood")
  while true do
    pcall(ns.get, ns, "x")
  end
end
