-- V2: few strings, long separators
-- expect: Runtime.OutOfMemory
-- timeout: 5
return function()
  local t = {}
  for i = 1, 100000 do
    t[i] = ""
  end
  pcall(table.concat, t, ("s"):rep(1024 * 1024))
  return #("x"):rep(100000, ("y"):rep(100000))
end
