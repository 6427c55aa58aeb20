-- V27: hashes, codes and random bytes of as much as fits, in C, where nothing interrupts
-- expect: Sandbox.Timedout Runtime.OutOfMemory
-- memory: 512
return function()
  for _, n in ipairs({ -1, 1e12, 2 ^ 53, 0 / 0 }) do
    assert(not pcall(crypto.random, n), n)
  end
  local s = ("h"):rep(60 * 1024 * 1024)
  while true do
    crypto.sha256(s)
    crypto.hmac("sha512", s, s)
    base64.decode(base64.encode(s))
    hex.decode(hex.encode(s:sub(1, 1000000)))
  end
end
