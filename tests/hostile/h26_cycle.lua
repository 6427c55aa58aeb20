-- H26: a table that holds itself
-- expect: *
return function()
  local t = {}
  t.t = t
  return t
end
