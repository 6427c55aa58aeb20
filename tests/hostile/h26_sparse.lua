-- H26: an array with an element at 2^40
-- expect: * ok
-- timeout: 5
return function()
  return { [1] = 1, [2 ^ 40] = 2 }
end
