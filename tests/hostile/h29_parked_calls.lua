-- H29: a thousand host calls begun and left
-- expect: ok *
-- timeout: 5
return function()
  local started = 0
  for _ = 1, 1000 do
    local co = coroutine.create(function()
      started = started + 1
      time.sleep(30)
    end)
    if not coroutine.resume(co) then
      break
    end
  end
  return started
end
