-- V32: each run calls itself sixty times at once
-- expect: ok Sandbox.Timedout
-- timeout: 2
-- grants: lambda:InvokeFunction
return function(event, context)
  local list = {}
  for i = 1, 60 do
    list[i] = function()
      return (lambda.invoke(context.function_name, event))
    end
  end
  return #task.all(list)
end
