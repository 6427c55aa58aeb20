-- V28: positions, counts and sizes beyond what tables and stacks hold
-- expect: ok Runtime.OutOfMemory
-- timeout: 10
return function()
  local t = { 1, 2, 3 }
  for _, n in ipairs({ 1e15, -1e15, 2 ^ 31, -2 ^ 31, 2 ^ 53, 0 / 0, 1 / 0 }) do
    pcall(table.remove, t, n)
    pcall(table.concat, t, "", n, n + 1)
    pcall(unpack, t, n, n + 1)
    pcall(select, n, 1, 2)
    pcall(string.byte, "x", n, n)
    pcall(string.sub, "x", n, -n)
    pcall(math.random, n)
    pcall(math.random, n, -n)
    pcall(math.ldexp, 1, n)
    pcall(bit.lshift, n, n)
    pcall(string.char, n)
    pcall(string.rep, "", n)
    pcall(tonumber, "zz", n)
  end
  assert(not pcall(unpack, t, 1, 1e8))
  assert(not pcall(unpack, t, 1, 1e6))
  assert(not pcall(string.byte, ("x"):rep(2000000), 1, -1))
  assert(not pcall(string.char, unpack(t, 1, 7000)))
  pcall(function() return select("#", unpack(t, 1, 7999)) + select("#", unpack(t, 1, 7999)) end)
  pcall(table.new, 2 ^ 31, 0)
  assert(not pcall(table.new, 1e9, 1e9))
  return pcall(table.new, 1, 2 ^ 26)
end
