-- V49: numbers and depths that a decoder could stumble over
-- expect: ok
return function()
  local texts = { "1e999999999", "-1e-999999999", ("9"):rep(1000000), "0." .. ("0"):rep(1000000) .. "1", "-", "1e", "01", "\239\187\1911" }
  for _, text in ipairs(texts) do
    pcall(json.decode, text)
  end
  assert(not json.decode(("["):rep(1000000)))
  assert(not json.decode(('{"a":'):rep(1000000)))
  assert(not json.decode('"\\ud800' .. ("\\ud800"):rep(100000)))
  return json.decode("[1e308]")[1] == 1e308
end
