-- H26: an answer one byte too large
-- expect: Function.ResponseSizeTooLarge
-- timeout: 5
return function()
  return ("x"):rep(6291556 - 1)
end
