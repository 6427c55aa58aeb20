-- A receiver of webhooks whose sender signs what it sends.
return {
  title = "Receive signed webhooks",
  summary = "Takes deliveries of GitHub or Stripe at a URL, refuses what is not signed with the shared secret or is "
    .. "too old, takes each delivery once, and handles it in the background.",

  params = {
    { name = "provider", type = "string", prompt = "Who sends: github or stripe", default = "github",
      choices = { "github", "stripe" } },
    { name = "secret", type = "string", prompt = "Name of the secret that holds the signing secret",
      default = "webhook", pattern = "^[%w_.%-]+$" },
    { name = "tolerance_s", type = "number", prompt = "Seconds that a signed time may be off (Stripe)", default = 300,
      min = 1, max = 86400 },
    { name = "remember_days", type = "number", prompt = "Days that a delivery is remembered", default = 7,
      min = 1, max = 3650 },
    { name = "name", type = "name", prompt = "Name of the function", default = "webhook" },
  },

  files = { "handler.lua" },
  test_event = "event.json",

  build = function(p)
    return {
      name = p.name,
      description = "Receives what " .. p.provider .. " sends",
      handler = "handler.main",
      memory_mb = 64,
      timeout_s = 30,
      environment = {
        PROVIDER = p.provider,
        SECRET = p.secret,
        TOLERANCE_S = tostring(p.tolerance_s),
        REMEMBER_S = tostring(p.remember_days * 86400),
      },
      -- Its one secret, its own memory, and itself: a delivery is handed on in the background.
      permissions = {
        { "perilune:SecretRead", p.secret },
        { { "perilune:KvRead", "perilune:KvWrite" }, p.name },
        { "lambda:InvokeFunction", p.name },
      },
      triggers = { { url = true, auth = "none" } },
    }
  end,

  try = function(p)
    local how = "   # what " .. p.provider .. " signs with; then have it send to @URL@"
    return "perilune secret set " .. p.secret .. " < FILE" .. how
  end,
}
