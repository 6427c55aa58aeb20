-- H26: a table that holds itself
-- expect: *
-- timeout: 5
return function()
  local t = {}
  t.t = t
  return t
end
