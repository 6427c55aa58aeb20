-- V31: events for another function as fast as they are taken
-- expect: Sandbox.Timedout
-- grants: lambda:InvokeFunction
return function()
  local function send()
    lambda.invoke_async("healthy", { n = 1 })
  end
  while true do
    task.all({ send, send, send, send })
  end
end
