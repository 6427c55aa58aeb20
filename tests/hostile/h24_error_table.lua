-- H24: an empty table as error
-- expect: *
-- timeout: 5
return function()
  error({})
end
