-- H10: %b and %f on a megabyte
-- expect: Sandbox.Timedout ok
return function()
  local s = ("("):rep(1024 * 1024)
  s:find("%b()")
  return s:find("%f[%w]x")
end
