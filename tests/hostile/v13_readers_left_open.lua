-- V13: objects opened again and again and never read to their end
-- expect: ok
-- timeout: 20
-- grants: s3:PutObject s3:GetObject
-- bucket: hostile
return function(_, context)
  local key = "read/" .. context.aws_request_id
  assert(s3.put("hostile", key, ("line\n"):rep(400000)))
  local held = {}
  for i = 1, 300 do
    local next_chunk, err = s3.chunks("hostile", key, 1 + i)
    if not next_chunk then
      assert(err.code == "Throttled", tostring(err))
      held = {} -- the collector may have them
    else
      held[#held + 1] = next_chunk
      next_chunk()
    end
  end
  for line in s3.lines("hostile", key, { max = 1 }) do
    assert(line == "l")
    break
  end
  return "left"
end
