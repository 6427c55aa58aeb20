-- V18: lines whose fields are cyclic, deep, huge, or fail when they are looked at
-- expect: ok
-- timeout: 10
return function()
  local cyclic, deep = {}, {}
  cyclic.c = cyclic
  for _ = 1, 100000 do
    deep = { deep }
  end
  local failing = setmetatable({}, { __index = error, __tostring = error, __len = error })
  for _, fields in ipairs({ cyclic, deep, failing, { f = print, n = 0 / 0, [cyclic] = 1 }, { ["a\nb"] = ("x"):rep(3000000) } }) do
    pcall(log.info, "fields", fields)
    pcall(log.error, fields, fields)
    pcall(print, fields, fields)
  end
  return "logged"
end
