-- H26: an answer ten thousand tables deep
-- expect: *
-- timeout: 5
return function()
  local t = {}
  for _ = 1, 10000 do
    t = { t }
  end
  return t
end
