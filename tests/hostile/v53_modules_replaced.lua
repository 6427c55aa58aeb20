-- V53: everything that can be replaced is, and the handler's own module goes
-- expect: ok Runtime.LuaError
-- calls: 3
return function(_, context)
  for name in pairs(package.loaded) do
    pcall(function()
      package.loaded[name] = setmetatable({}, { __index = error, __newindex = error, __call = error })
    end)
  end
  pcall(function()
    package.preload["handler"] = error
    package.path, package.cpath, package.config = nil, nil, nil
  end)
  pcall(setmetatable, context, { __index = error, __newindex = error, __tostring = error })
  for key in pairs(_G) do
    pcall(rawset, _G, key, nil)
  end
  return 1
end
