---@meta
--- This node's memory, for this function's own use: 8 MiB of keys and values of up to 1 MiB. What was
--- used least goes first, and all is gone after a restart.
---@class perilune.cache
cache = {}

---@param key string
---@return any value nil when there is none.
---@return perilune.Error? err
function cache.get(key) end

---@param key string
---@param value any What has a JSON form; nil deletes.
---@param ttl? number Seconds.
---@return true? done
---@return perilune.Error? err
function cache.set(key, value, ttl) end

return cache
