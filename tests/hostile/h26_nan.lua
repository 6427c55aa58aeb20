-- H26: numbers that JSON does not have
-- expect: *
return function()
  return { 0 / 0, 1 / 0, -1 / 0 }
end
