-- H02: the same, compiled to machine code, where no hook is looked at
-- expect: Sandbox.Timedout
return function()
  local x = 0
  while true do
    x = (x * 31 + 7) % 65521
  end
end
