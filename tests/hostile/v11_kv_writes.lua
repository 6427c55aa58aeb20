-- V11: one key written as fast as the disk goes
-- expect: Sandbox.Timedout
-- grants: perilune:KvWrite
return function()
  local ns, value = kv.open("hostile"), ("v"):rep(256 * 1024)
  while true do
    task.all({ function() ns:set("one", value) end, function() ns:incr("n") end, function() ns:set("two", value) end })
  end
end
