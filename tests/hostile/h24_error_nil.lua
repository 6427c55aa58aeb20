-- H24: nil as error
-- expect: *
return function()
  error(nil)
end
