-- H27: globals broken for whoever comes next
-- expect: ok *
-- timeout: 5
return function(event)
  if event.again then
    return string.format("%d", 1)
  end
  string.format, string.gsub, pairs, ipairs, tostring, error, pcall, type = nil
  json, log, table.concat, coroutine.wrap = nil, nil, nil, nil
  pcall(setmetatable, _G, {
    __index = function()
      while true do
      end
    end,
    __newindex = function() end,
  })
  pcall(function()
    getmetatable("").__index = nil
  end)
  return "poisoned"
end
