-- H24: nil as error
-- expect: *
-- timeout: 5
return function()
  error(nil)
end
