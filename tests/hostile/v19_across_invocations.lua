-- V19: what one invocation began is used in the next: coroutines in a host call, iterators, closures
-- expect: ok
-- timeout: 5
-- calls: 3
-- grants: perilune:KvRead perilune:KvWrite s3:PutObject s3:GetObject
-- bucket: hostile
local kept = {}
return function()
  for i = 1, #kept do
    pcall(kept[i])
  end
  local writer = s3.writer("hostile", "kept")
  local sleeper = coroutine.wrap(function()
    while true do
      kv.open("hostile"):get("x")
      coroutine.yield()
    end
  end)
  local inner
  pcall(task.all, { function()
    inner = coroutine.running()
    coroutine.yield()
    kv.open("hostile"):get("y")
  end })
  sleeper()
  kept[#kept + 1] = sleeper
  kept[#kept + 1] = function()
    writer:write("more")
    writer:close()
  end
  kept[#kept + 1] = function()
    coroutine.resume(inner)
  end
  return #kept
end
