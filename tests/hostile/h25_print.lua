-- H25: a hundred megabytes of log
-- expect: ok Sandbox.Timedout
-- timeout: 5
return function()
  local line = ("l"):rep(100 * 1024)
  for _ = 1, 1024 do
    print(line)
  end
  return "printed"
end
