-- V54: host calls while there is no memory for what they give
-- expect: ok Runtime.OutOfMemory Sandbox.Timedout
-- timeout: 3
-- grants: s3:PutObject s3:GetObject s3:ListBucket perilune:*
-- bucket: hostile
return function()
  assert(s3.put("hostile", "five", ("x"):rep(5 * 1024 * 1024)))
  local held, ns = {}, kv.open("hostile")
  for i = 1, 200 do
    pcall(function()
      held[#held + 1] = s3.get("hostile", "five").body .. i
    end)
    pcall(function()
      held[#held + 1] = ns:list({ limit = 1000 })
    end)
    pcall(task.all, { function() held[#held + 1] = s3.get("hostile", "five").body .. "a" end, function() held[#held + 1] = s3.get("hostile", "five").body .. "b" end })
  end
  return #held
end
