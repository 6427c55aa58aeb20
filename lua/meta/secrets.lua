---@meta
--- Values that only functions can read. Action: `perilune:SecretRead` on `secret/NAME`.
---@class perilune.secrets
secrets = {}

--- What was read is masked in this function's log from then on.
---@param name string
---@return string? value
---@return perilune.Error? err
function secrets.get(name) end

return secrets
