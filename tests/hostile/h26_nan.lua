-- H26: numbers that JSON does not have
-- expect: *
-- timeout: 5
return function()
  return { 0 / 0, 1 / 0, -1 / 0 }
end
