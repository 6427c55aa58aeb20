-- H01: a loop without end
-- expect: Sandbox.Timedout
return function()
  while true do end
end
