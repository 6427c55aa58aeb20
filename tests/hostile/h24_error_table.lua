-- H24: an empty table as error
-- expect: *
return function()
  error({})
end
