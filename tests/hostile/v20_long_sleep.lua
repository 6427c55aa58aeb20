-- V20: asleep when the time is over
-- expect: Sandbox.Timedout
return function()
  for _, s in ipairs({ -1, 0 / 0, 1e308, "x", {} }) do
    pcall(time.sleep, s)
  end
  task.all({ function() time.sleep(30) end, function() time.sleep(20) end })
  time.sleep(30)
end
