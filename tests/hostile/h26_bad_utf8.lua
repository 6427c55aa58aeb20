-- H26: bytes that are no UTF-8
-- expect: * ok
-- timeout: 5
return function()
  return { "\255\254\192\128", ["\237\160\128"] = 1 }
end
