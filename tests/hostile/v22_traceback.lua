-- V22: tracebacks of deep stacks, of other coroutines, with enormous messages
-- expect: ok Runtime.OutOfMemory Sandbox.Timedout
-- timeout: 10
return function()
  local function deep(n)
    if n == 0 then
      return #debug.traceback("deep")
    end
    return (deep(n - 1))
  end
  for _ = 1, 100 do
    deep(5000)
  end
  pcall(debug.traceback, ("m"):rep(20 * 1024 * 1024))
  for _, level in ipairs({ -1, 1e9, -1e9, 0 / 0, 2 ^ 53 }) do
    debug.traceback("x", level)
  end
  local co = coroutine.create(function()
    coroutine.yield(debug.traceback(coroutine.running()))
    error("x")
  end)
  coroutine.resume(co)
  debug.traceback(co, "m", 1)
  coroutine.resume(co)
  debug.traceback(co)
  local function over()
    return over() .. "x"
  end
  for _ = 1, 20 do
    xpcall(over, debug.traceback)
  end
  return xpcall(over, function(m)
    return debug.traceback(m) .. debug.traceback(m)
  end)
end
