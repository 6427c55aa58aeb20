-- V12: writers begun, written to, and left
-- expect: ok
-- timeout: 20
-- grants: s3:PutObject s3:GetObject
-- bucket: hostile
return function()
  local held, refused = {}, nil
  for i = 1, 200 do
    local w, err = s3.writer("hostile", "left/" .. i)
    if not w then
      refused = err.code
      break
    end
    w:write(("x"):rep(300000))
    held[i] = w
  end
  assert(refused == "Throttled", tostring(refused))
  return #held
end
