-- H24: ten megabytes of error text
-- expect: *
return function()
  error(("e"):rep(10 * 1024 * 1024))
end
