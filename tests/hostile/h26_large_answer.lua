-- H26: an answer one byte too large
-- expect: Function.ResponseSizeTooLarge
return function()
  return ("x"):rep(6291556 - 1)
end
