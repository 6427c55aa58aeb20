-- V45: a task's coroutine, resumed by somebody else while it waits for a host call
-- expect: ok Sandbox.Timedout
-- timeout: 3
return function()
  local first
  pcall(task.all, {
    function()
      first = coroutine.running()
      return kv.open("x"):get("k")
    end,
    function()
      for _ = 1, 10 do
        coroutine.resume(first, "forged", { code = "forged" })
      end
      return kv.open("y"):get("k")
    end,
  })
  return pcall(task.all, { function() return kv.open("x"):get("k") end })
end
