-- H13: a gigabyte put together by table.concat
-- expect: Runtime.OutOfMemory Sandbox.Timedout
-- timeout: 2
return function()
  local t, part = {}, ("x"):rep(1024)
  for i = 1, 1024 * 1024 do
    t[i] = part
  end
  return #table.concat(t)
end
