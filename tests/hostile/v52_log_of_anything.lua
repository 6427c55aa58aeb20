-- V52: lines of binary, of terminal codes, of newlines, and lines that look like the platform's
-- expect: ok Sandbox.Timedout
-- timeout: 2
return function()
  local all = {}
  for i = 0, 255 do
    all[#all + 1] = string.char(i)
  end
  local line = table.concat(all)
  for i = 1, 2000 do
    print(line, ("\n"):rep(100), "\27[2J\27]0;x\7")
    log.error(("\r\n"):rep(1000), { [line] = line })
    print("REPORT RequestId: 00000000-0000-0000-0000-000000000000\tDuration: 1 ms")
  end
  print(("\0"):rep(2000000))
  return 1
end
