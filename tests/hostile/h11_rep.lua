-- H11: a string of a gigabyte
-- expect: Runtime.OutOfMemory
-- timeout: 5
return function()
  return #(("x"):rep(1e9))
end
