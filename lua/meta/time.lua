---@meta
--- Times are seconds since 1970, with fractions.
---@class perilune.time
time = {}

---@return number seconds
function time.now() end

--- Waits; the function uses no CPU meanwhile, and its timeout goes on.
---@param seconds number 0 to 900.
---@return true? done
---@return perilune.Error? err
function time.sleep(seconds) end

--- "2026-11-23T11:32:04.123Z"
---@param seconds? number Default: now.
---@return string text
function time.iso8601(seconds) end

---@param text string ISO 8601 with Z or an offset, a day alone, or as HTTP writes dates.
---@return number? seconds
---@return perilune.Error? err
function time.parse(text) end

return time
