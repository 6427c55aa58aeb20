-- V46: results asked for by sixty tasks, and never taken
-- expect: Sandbox.Timedout
-- grants: s3:PutObject s3:GetObject
-- bucket: hostile
return function()
  assert(s3.put("hostile", "left", ("x"):rep(512 * 1024)))
  local tasks = {}
  for i = 1, 60 do
    tasks[i] = function()
      s3.get("hostile", "left")
    end
  end
  tasks[61] = function()
    while true do
    end
  end
  task.all(tasks)
end
