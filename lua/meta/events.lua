---@meta
--- What triggers send.
---@class perilune.events
events = {}

--- An object's key as it is, from the form encoding that S3 events carry.
---@param key string
---@return string key
function events.decode_key(key) end

--- Walks the records of an event; an event without any has none.
---@param event any
---@return fun(): table? iterator
function events.records(event) end

--- Who sent it.
---@param event any
---@return "s3"|"schedule"|"url"|"destination"|"invoke" source
function events.source(event) end

return events
