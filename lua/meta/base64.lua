---@meta
---@class perilune.base64
base64 = {}

---@param bytes string
---@return string text
function base64.encode(bytes) end

---@param text string
---@return string? bytes
---@return perilune.Error? err
function base64.decode(text) end

--- The alphabet for URLs, without padding.
---@param bytes string
---@return string text
function base64.url_encode(bytes) end

---@param text string
---@return string? bytes
---@return perilune.Error? err
function base64.url_decode(text) end

return base64
