-- H19: comparators that lie and that sort
-- expect: Runtime.LuaError Sandbox.Timedout Runtime.OutOfMemory ok
return function()
  local t = {}
  for i = 1, 5000 do
    t[i] = (i * 7919) % 5003
  end
  pcall(table.sort, t, function()
    return true
  end)
  local function less(a, b)
    table.sort({ b, a, b, a }, less)
    return a < b
  end
  table.sort(t, less)
  return "sorted"
end
