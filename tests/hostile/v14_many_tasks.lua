-- V14: ten thousand calls side by side, again and again
-- expect: Sandbox.Timedout
-- timeout: 2
return function()
  local ns = kv.open("denied")
  while true do
    local list = {}
    for i = 1, 10000 do
      list[i] = function()
        return ns:get("k" .. i)
      end
    end
    task.all(list)
  end
end
