---@meta
--- What the handler gets beside its event.
---@class perilune.Context
---@field function_name string
---@field function_version string
---@field invoked_function_arn string
---@field memory_limit_in_mb integer
---@field aws_request_id string
---@field request_id string The same.
---@field log_group_name string
---@field log_stream_name string
---@field client_context? any What an Invoke sent as ClientContext.
---@field attempt integer Counts from 1.
local context = {}

---@return integer milliseconds Until the timeout.
function context.get_remaining_time_in_millis() end

---@return number seconds Until the timeout.
function context.remaining_s() end

--- What calls answer as their second result when they could not do it.
---@class perilune.Error
---@field code string "AccessDenied", "NoSuchKey", "NotFound", "PreconditionFailed", "Conflict", "TooLarge", "Timeout", "Throttled", "InvalidArgument", "Unavailable", …
---@field message string
---@field error? table Of lambda.invoke: the function's whole error object.

---@alias perilune.Handler fun(event: any, context: perilune.Context): any
