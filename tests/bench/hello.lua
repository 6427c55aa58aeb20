-- The function of the hello bench: the same body as the peer's.
local M = {}
function M.main(event)
  return { hello = "world" }
end
return M
