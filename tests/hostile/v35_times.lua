-- V35: times that do not exist
-- expect: ok
-- timeout: 10
return function()
  for _, t in ipairs({ 1e300, -1e300, 2 ^ 53, -2 ^ 53, 0 / 0, 1 / 0, 253402300800, -62135596801 }) do
    pcall(time.iso8601, t)
    pcall(os.date, "*t", t)
    pcall(os.date, "!%c", t)
    pcall(os.time, { year = t, month = t, day = t, hour = t, min = t, sec = t })
    pcall(os.difftime, t, -t)
  end
  for _, s in ipairs({ ("9"):rep(1000000), "2026-02-30T00:00:00Z", "2026-01-01T00:00:00+99:99", "\0", "", "T", ("2026-01-01T00:00:00Z"):rep(1000) }) do
    pcall(time.parse, s)
  end
  pcall(os.date, ("%Y"):rep(1000000))
  for _, f in ipairs({ "%", "%E", "%Ey", "%O", "%5Y", "%N", "%\0", "%" .. ("E"):rep(10000) }) do
    pcall(os.date, f)
  end
  return "told"
end
