-- H15: out of memory, caught, 300 times
-- expect: ok Runtime.OutOfMemory Sandbox.Timedout
-- timeout: 5
return function()
  for _ = 1, 300 do
    pcall(function()
      local t = {}
      while true do
        t[#t + 1] = ("y"):rep(1000 + #t)
      end
    end)
  end
  return "survived"
end
