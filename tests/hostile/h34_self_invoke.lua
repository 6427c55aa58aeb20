-- H34: a function that waits for itself
-- expect: * ok
-- timeout: 5
-- grants: lambda:InvokeFunction
return function(event, context)
  return lambda.invoke(context.function_name, event)
end
