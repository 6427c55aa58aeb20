-- H21: finalizers by newproxy
-- expect: ok
return function()
  assert(newproxy == nil and rawget(_G, "newproxy") == nil)
  return "none"
end
