-- V33: a run that waits for its own function, side by side with work for the same runner
-- expect: ok Sandbox.Timedout
-- timeout: 3
-- grants: lambda:InvokeFunction
return function(event, context)
  local depth = (event.depth or 0) + 1
  local value, err = lambda.invoke(context.function_name, { depth = depth })
  return { depth = depth, deepest = value and value.deepest or depth, err = err and err.code }
end
