-- V39: objects whose keys, metadata, sizes and ranges are out of all bounds
-- expect: ok
-- timeout: 20
-- memory: 256
-- grants: s3:PutObject s3:GetObject s3:ListBucket s3:DeleteObject
-- bucket: hostile
return function()
  local many = {}
  for i = 1, 10000 do
    many["m" .. i] = ("v"):rep(100)
  end
  local bad = { { metadata = many }, { metadata = { ["a\r\nb"] = "c\r\nd" } }, { metadata = { [("n"):rep(100000)] = "x" } }, { content_type = "a\r\nb" }, { content_type = ("t"):rep(1000000) } }
  for _, opts in ipairs(bad) do
    local ok, put, err = pcall(s3.put, "hostile", "bad", "x", opts)
    assert(not ok or (put == nil and err), "it was taken")
  end
  for _, key in ipairs({ ("k"):rep(1025), ("k"):rep(1000000) }) do
    local put, err = s3.put("hostile", key, "x")
    assert(put == nil and err.code == "InvalidArgument", tostring(err))
  end
  for _, key in ipairs({ "\0", "../x", "/", "a//b", "\255", "a\r\nb" }) do
    if s3.put("hostile", key, "x") then
      assert(s3.get("hostile", key).body == "x")
      assert(s3.delete("hostile", key))
    end
  end
  local put, err = s3.put("hostile", "large", ("x"):rep(20 * 1024 * 1024))
  assert(put == nil and err.code == "TooLarge", tostring(err))
  assert(s3.put("hostile", "small", "0123456789"))
  for _, range in ipairs({ { -1, 5 }, { 5, 1 }, { 0 / 0, 1 }, { 1e300, 1e301 }, {}, "bytes=-", "bytes=9-1", ("b"):rep(100000), { "x", "y" } }) do
    pcall(s3.get, "hostile", "small", { range = range })
  end
  for _, name in ipairs({ "", "x", ("b"):rep(1000), "a\0b", "../..", "127.0.0.1", "HOSTILE" }) do
    pcall(s3.get, name, "k")
    pcall(s3.list, name, { prefix = ("p"):rep(100000), delimiter = ("d"):rep(100000) })
  end
  return "refused"
end
