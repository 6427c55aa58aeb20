-- V51: iterators, writers and transactions of one invocation, used in the next
-- expect: ok Runtime.LuaError
-- calls: 3
-- grants: s3:* perilune:*
-- bucket: hostile
local lines, writer, tx, coro
return function(event)
  if event.again then
    for _, f in ipairs({
      function() return lines() end,
      function() return writer:write("more") end,
      function() return writer:close() end,
      function() return tx:open("hostile"):set("k", "late") end,
      function() return coro() end,
    }) do
      local ok, value = pcall(f)
      assert(not (ok and value == "late"))
    end
    assert(not s3.get("hostile", "never"), "what was not closed is not there")
  else
    assert(s3.put("hostile", "lines", ("line\n"):rep(100000)))
    lines = s3.lines("hostile", "lines")
    lines()
    writer = s3.writer("hostile", "never")
    writer:write("begun")
    kv.transaction(function(t)
      tx = t
      return true
    end)
    coro = coroutine.wrap(function()
      time.sleep(0.01)
      coroutine.yield(1)
      time.sleep(0.01)
      return "late"
    end)
    coro()
  end
  return 1
end
