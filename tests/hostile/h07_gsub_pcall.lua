-- H07: a callback on each byte of a large string
-- expect: Sandbox.Timedout Runtime.OutOfMemory
-- memory: 512
return function()
  return #(("x"):rep(200 * 1024 * 1024)):gsub("x", pcall)
end
