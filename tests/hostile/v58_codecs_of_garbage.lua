-- V58: codecs given megabytes that are not what they decode
-- expect: ok Sandbox.Timedout
-- timeout: 3
return function()
  local garbage = crypto.random(1000000)
  for _, f in ipairs({ base64.decode, base64.url_decode, hex.decode, json.decode, events.decode_key, time.parse, hex.encode, base64.url_encode }) do
    pcall(f, garbage)
    pcall(f, garbage:sub(1, 1) .. ("="):rep(1000000))
    pcall(f, ("%"):rep(1000000))
  end
  for _, n in ipairs({ 0 / 0, 1 / 0, -1 / 0, 1e300, -1e300, 2 ^ 53 }) do
    pcall(time.iso8601, n)
    pcall(time.sleep, -n)
    pcall(crypto.random, n)
  end
  for _, event in ipairs({ 1, {}, { Records = 1 }, { Records = { 1 } }, { Records = { { s3 = 1 } } } }) do
    pcall(events.source, event)
    pcall(function() for _ in events.records(event) do end end)
  end
  return 1
end
