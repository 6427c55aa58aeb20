-- H28: every name that could reach the system
-- expect: ok
-- timeout: 5
return function()
  for _, name in ipairs({ "dofile", "loadfile", "newproxy", "getfenv", "setfenv", "ffi", "jit", "gcinfo", "module" }) do
    assert(rawget(_G, name) == nil, name)
  end
  for _, name in ipairs({ "execute", "exit", "remove", "rename", "tmpname", "setlocale" }) do
    assert(os[name] == nil, name)
  end
  for _, name in ipairs({ "open", "popen", "lines", "input", "output", "tmpfile" }) do
    assert(io[name] == nil, name)
  end
  for _, name in ipairs({ "getregistry", "sethook", "getlocal", "setlocal", "getupvalue", "setupvalue", "setmetatable" }) do
    assert(debug == nil or debug[name] == nil, name)
  end
  assert(string.dump == nil and (package == nil or package.loadlib == nil))
  for _, name in ipairs({ "ffi", "jit", "jit.util", "jit.opt", "posix", "socket", "lfs", "io", "os.execute" }) do
    local ok, got = pcall(require, name)
    assert(not ok or name == "io" and got.open == nil, name)
  end
  assert(not load("\27LJ\2\10", "x", "b") and not load("\27LJ\2\10"))
  return "nothing"
end
