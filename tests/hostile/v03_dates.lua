-- V3: dates and times without end
-- expect: Sandbox.Timedout
return function()
  local format = ("%c %x %X %p %Z "):rep(200)
  while true do
    os.date("*t", os.time({ year = 2026, month = 1, day = 1, hour = math.random(-1e6, 1e6) }))
    pcall(os.date, format)
    os.clock()
  end
end
