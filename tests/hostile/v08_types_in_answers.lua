-- V8: an answer that holds what has no JSON form
-- expect: Runtime.MarshalError
-- timeout: 5
return function()
  local t = { f = print, co = coroutine.create(print), big = 2 ^ 1023 * 2, [1.5] = 1, [true] = 2, [json.null] = 3 }
  t.self = t
  t[t] = t
  return t
end
