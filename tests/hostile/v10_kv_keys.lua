-- V10: keys and values of every size and byte, and pages without end
-- expect: ok
-- timeout: 10
-- grants: perilune:KvRead perilune:KvWrite
return function()
  local ns = kv.open("hostile")
  for _, key in ipairs({ ("k"):rep(401), ("k"):rep(1000000), ("\0"):rep(401) }) do
    local ok, err = ns:set(key, "v")
    assert(not ok and err.code == "InvalidArgument", tostring(err))
    assert(not ns:get(key))
  end
  for _, key in ipairs({ "\0", "\255\255", ("k"):rep(400), "a\0b", "\r\n" }) do
    assert(ns:set(key, key))
    assert(ns:get(key) == key)
    assert(ns:delete(key))
  end
  local ok, err = ns:set("large", ("v"):rep(256 * 1024 + 1))
  assert(not ok and err.code == "TooLarge", tostring(err))
  ok, err = ns:set("larger", ("v"):rep(8 * 1024 * 1024))
  assert(not ok and err.code == "TooLarge", tostring(err))
  for _, cursor in ipairs({ "x", "\0", ("c"):rep(100000), "\255\255\255\255" }) do
    ns:list({ cursor = cursor })
  end
  ns:list({ prefix = ("p"):rep(100000), limit = 1000 })
  assert(not pcall(ns.list, ns, { limit = 1e9 }))
  assert(not kv.open(("n"):rep(100000)):get("k"))
  assert(not kv.open("a/b\0c"):get("k"))
  return "refused"
end
