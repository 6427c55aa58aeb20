-- H24: ten megabytes of error text
-- expect: *
-- timeout: 5
return function()
  error(("e"):rep(10 * 1024 * 1024))
end
