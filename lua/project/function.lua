-- What this project is, read by 'perilune deploy', 'dev', 'test' and 'check'. A role named after the
-- function allows what 'permissions' says, and nothing else.
return {
  name = "@NAME@",
  handler = "handler.main", -- file handler.lua, function main
  memory_mb = 64,
  timeout_s = 5,
  environment = { GREETING = "Hello" },
  permissions = {
    { "perilune:KvWrite", "@NAME@" },
  },
  triggers = {
    { url = true, auth = "none" }, -- anybody who reaches the server may call its URL
    -- { s3 = "uploads", events = { "ObjectCreated:*" }, suffix = ".jpg" },
  },
}
