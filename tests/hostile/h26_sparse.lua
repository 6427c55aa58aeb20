-- H26: an array with an element at 2^40
-- expect: * ok
return function()
  return { [1] = 1, [2 ^ 40] = 2 }
end
