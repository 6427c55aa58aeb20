---@meta
--- Other functions. Action: `lambda:InvokeFunction`.
---@class perilune.lambda
lambda = {}

--- Runs a function and waits for it. When it fails, err has its errorType as code, its errorMessage,
--- and the whole object in `error`.
---@param name string
---@param payload any
---@param opts? { qualifier?: string }
---@return any result
---@return perilune.Error? err
function lambda.invoke(name, payload, opts) end

--- Queues an event. It is stored when this returns.
---@param name string
---@param payload any
---@param opts? { qualifier?: string, delay?: number } delay: seconds.
---@return string? request_id
---@return perilune.Error? err
function lambda.invoke_async(name, payload, opts) end

return lambda
