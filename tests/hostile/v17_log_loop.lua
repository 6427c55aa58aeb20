-- V17: lines of every kind as fast as they go
-- expect: Sandbox.Timedout
return function()
  while true do
    log.info("line", { field = "value", list = { 1, 2, 3 } })
    log.error(("e"):rep(1000))
    print("\27[2J\0\r\n\255")
    io.stderr:write("no newline")
  end
end
