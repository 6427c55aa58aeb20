-- V29: comparators that fail, grow the table, and sort it again
-- expect: ok
-- timeout: 10
return function()
  local t = {}
  for i = 1, 3000 do
    t[i] = i % 7
  end
  pcall(table.sort, t, error)
  pcall(table.sort, t, function() t[#t + 1] = 1 return true end)
  pcall(table.sort, t, function() table.remove(t) return false end)
  pcall(table.sort, t, function(a) return a end)
  local depth = 0
  pcall(table.sort, t, function(a, b)
    depth = depth + 1
    if depth < 150 then
      table.sort(t, function(x, y) return x > y end)
    end
    return a < b
  end)
  pcall(table.sort, setmetatable({}, { __index = function() return 0 end, __len = function() return 1e9 end }))
  for k in pairs(t) do
    t[k], t["x" .. k] = nil, 1
    if k == 100 then break end
  end
  return "sorted"
end
