-- V21: a streamed answer begun twice, within itself, written to afterwards, and left in the middle
-- expect: ok
-- timeout: 10
-- calls: 2
local stale
return function()
  if stale then
    pcall(stale, "from another invocation")
  end
  pcall(http.respond_stream, function(write)
    stale = write
    write("one")
    pcall(http.respond_stream, function(w)
      w("two")
      write(("x"):rep(1000000))
    end)
    error("in the middle")
  end, { statusCode = 200 })
  pcall(stale, "after the end")
  for _, head in ipairs({ { statusCode = 99 }, { statusCode = 1e10 }, { headers = { [{}] = 1 } }, { cookies = { print } }, { statusCode = 0 / 0 },
    { headers = { ["x-a"] = "b\r\nset-cookie: c" } } }) do
    pcall(http.respond_stream, print, head)
  end
  return "over"
end
