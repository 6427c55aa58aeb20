-- H04: loops within pcall within coroutines
-- expect: Sandbox.Timedout
return function()
  while true do
    pcall(function()
      local co = coroutine.wrap(function()
        pcall(function()
          while true do
            pcall(coroutine.yield)
          end
        end)
      end)
      for _ = 1, 1000 do
        co()
      end
    end)
  end
end
