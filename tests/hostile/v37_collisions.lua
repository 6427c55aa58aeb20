-- V37: strings that differ where hashing does not look
-- expect: Sandbox.Timedout Runtime.OutOfMemory ok
-- timeout: 2
return function()
  local head, tail, t = ("h"):rep(24), ("t"):rep(4000), {}
  for i = 1, 200000 do
    t[head .. ("%08d"):format(i) .. tail:sub(1, 90)] = i
  end
  return "found"
end
