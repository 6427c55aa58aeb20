-- H30: another function's variables
-- expect: ok
-- timeout: 5
return function()
  assert(os.getenv("SECRET") == nil and os.getenv("PATH") == nil and os.getenv("PERILUNE_ROOT_SECRET_KEY") == nil)
  local value, err = kv.open("neighbour"):get("key")
  assert(value == nil and err.code == "AccessDenied", tostring(err))
  local got, denied = lambda.invoke("healthy", {})
  assert(got == nil and denied.code == "AccessDenied", tostring(denied))
  return "denied"
end
