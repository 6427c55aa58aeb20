---@meta
--- Files of the package.
---@class perilune.asset
asset = {}

---@param name string Path in the package.
---@return string? bytes
---@return perilune.Error? err
function asset.read(name) end

return asset
