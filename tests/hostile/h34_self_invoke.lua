-- H34: a function that waits for itself
-- expect: * ok
-- grants: lambda:InvokeFunction
return function(event, context)
  return lambda.invoke(context.function_name, event)
end
