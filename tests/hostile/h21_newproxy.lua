-- H21: finalizers by newproxy
-- expect: ok
-- timeout: 5
return function()
  assert(newproxy == nil and rawget(_G, "newproxy") == nil)
  return "none"
end
