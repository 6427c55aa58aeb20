---@meta
---@class perilune.task
task = {}

--- Runs functions side by side as far as they wait for host calls. All end before this returns; then
--- the first error is raised again.
---@param list (fun(): any)[]
---@return any[] results The first result of each, in order.
function task.all(list) end

return task
