-- V1: strings grown in a thousand coroutines, none of which is ever the running one for long
-- expect: Runtime.OutOfMemory Sandbox.Timedout
-- timeout: 2
return function()
  local all = {}
  for i = 1, 1000 do
    all[i] = coroutine.wrap(function()
      local s = "x" .. i
      while true do
        s = s:rep(2)
        coroutine.yield(#s)
      end
    end)
  end
  while true do
    for i = 1, #all do
      all[i]()
    end
  end
end
