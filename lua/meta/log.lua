---@meta
--- Lines of the function's log. Each bears its level and the request's id; `print` logs at info.
---@class perilune.log
log = {}

---@param message any Tables are written as JSON.
---@param fields? table Follows the message as one JSON object.
function log.debug(message, fields) end

---@param message any
---@param fields? table
function log.info(message, fields) end

---@param message any
---@param fields? table
function log.warn(message, fields) end

---@param message any
---@param fields? table
function log.error(message, fields) end

return log
