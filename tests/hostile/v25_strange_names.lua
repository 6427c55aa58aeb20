-- V25: names of modules and files that lead elsewhere
-- expect: ok
-- timeout: 10
return function()
  for _, name in ipairs({ "../secret", "/etc/passwd", "a/../../b", ("a."):rep(50000), "\0", "handler\0x", "", "..", ".", "handler.lua/x", "\255", "%n", "ffi\0" }) do
    assert(not pcall(require, name), name:sub(1, 40))
    local ok, text, err = pcall(asset.read, name)
    assert(not ok or (text == nil and err), name:sub(1, 40))
  end
  package.path, package.cpath = "/etc/?", "/lib/?.so"
  package.loaders, package.searchers, package.searchpath = { print }, { print }, print
  package.preload = { x = function() return 1 end }
  pcall(require, "passwd")
  package.loaded = nil
  pcall(require, "json")
  for i = 1, 3000 do
    pcall(require, "none" .. i)
  end
  return "nowhere"
end
