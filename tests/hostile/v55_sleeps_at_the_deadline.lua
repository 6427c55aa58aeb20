-- V55: sixty tasks that all wake at the deadline
-- expect: Sandbox.Timedout ok
return function(_, context)
  local list = {}
  for i = 1, 60 do
    list[i] = function()
      time.sleep(context.remaining_s() - 0.001 + i / 30000)
      for _ = 1, 1000000 do
      end
      print(i)
    end
  end
  task.all(list)
  return 1
end
