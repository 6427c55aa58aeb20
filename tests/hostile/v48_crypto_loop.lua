-- V48: digests of six megabytes, one after the other
-- expect: Sandbox.Timedout
return function()
  local text = ("x"):rep(6 * 1024 * 1024)
  while true do
    text = text:sub(1, -33) .. crypto.sha256(text)
  end
end
