-- H14: a table with ever new keys
-- expect: Runtime.OutOfMemory Sandbox.Timedout
-- timeout: 2
return function()
  local t, i = {}, 0
  while true do
    i = i + 1
    t[i .. ""] = i
  end
end
