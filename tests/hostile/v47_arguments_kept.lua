-- V47: six megabytes of arguments at a time, in calls that last
-- expect: Sandbox.Timedout ok
-- grants: lambda:InvokeFunction
-- timeout: 2
return function(event, context)
  if type(event) == "string" then
    time.sleep(1)
    return 1
  end
  local text, tasks = ("x"):rep(6000000), {}
  for i = 1, 2 do
    tasks[i] = function()
      return lambda.invoke(context.function_name, text)
    end
  end
  return #task.all(tasks)
end
