-- V36: patterns that are broken, enormous, or refer to themselves
-- expect: ok Sandbox.Timedout
-- timeout: 2
return function()
  local bad = { "[", "[^", "%", "(", ")", "%1", "(%1)", "[%", "[a-", "%b", "%bx", "%f", "%f[", "((((", ("("):rep(33), ("(a"):rep(1000), ("[a]"):rep(100000) .. "[",
    ("%w"):rep(100000) .. "%", "(()", "%9", "(.)%2", "\0[" }
  for _, p in ipairs(bad) do
    pcall(string.find, "aaaa", p)
    pcall(string.gsub, "aaaa", p, "%1%2%9")
    pcall(string.gmatch, "aaaa", p)
    pcall(string.match, ("a"):rep(10000), p)
  end
  pcall(string.gsub, "x", "x", "%")
  pcall(string.gsub, "x", "x", ("%0"):rep(100000))
  assert(not pcall(string.find, ("a"):rep(300000), ("(a*)"):rep(40)))
  pcall(string.find, ("a"):rep(300000), ".-" .. ("a?"):rep(20) .. "$")
  return "matched"
end
