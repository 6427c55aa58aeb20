-- H23: garbage with the collector stopped
-- expect: ok Sandbox.Timedout
-- timeout: 5
return function()
  pcall(collectgarbage, "stop")
  pcall(collectgarbage, "setpause", 1e9)
  local s
  for i = 1, 3e6 do
    s = { i }
  end
  return s[1]
end
