---@meta
---@class perilune.hex
hex = {}

---@param bytes string
---@return string text
function hex.encode(bytes) end

---@param text string
---@return string? bytes
---@return perilune.Error? err
function hex.decode(text) end

return hex
