-- V4: widths, precisions and directives that nobody needs
-- expect: ok
-- timeout: 10
return function()
  assert(#string.format("%99.99f", -1.7e308) > 300)
  for _, f in ipairs({ "%100d", "%.100f", "%999999999999d", "%", "%z", "%1$d", "%n", "%*d", "%p", "% p", "%10p", "%-p", "%lld" }) do
    assert(not pcall(string.format, f, 1, 2), f)
  end
  assert(not pcall(string.format, ("%99.99f"):rep(10000), 1))
  for _ = 1, 2000 do
    string.format("%s%q", ("q\0\r\n"):rep(1000), ("\"\\\n"):rep(1000))
  end
  local t = {}
  for i = 1, 200 do
    t[i] = 1e308
  end
  return #string.format(("%99.99f"):rep(200), unpack(t)) > 60000
end
