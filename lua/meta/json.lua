---@meta
--- JSON, strictly by RFC 8259. Arrays keep their nature through a round trip: what was `[]` is `[]`
--- again, what was `{}` is `{}`.
---@class perilune.json
---@field null userdata What JSON's null becomes, and what becomes null.
---@field empty_array userdata Written as `[]`.
json = {}

--- The JSON text of a value. A table with elements 1…n is an array, any other an object; an empty one
--- is `{}` unless `json.array` has marked it. Raises an error for what has no JSON form: functions,
--- cycles, NaN, text that is no UTF-8, arrays with holes, more than 100 levels.
---@param value any
---@param opts? { indent?: integer|true } indent: blanks a level, true: 2; without it the text is one line.
---@return string text
function json.encode(value, opts) end

--- The value of a JSON text.
---@param text string
---@return any value
---@return perilune.Error? err With the position of what is wrong.
function json.decode(text) end

--- Marks a table as an array, so that it stays one when it is empty.
---@generic T: table
---@param t? T
---@return T t The same table, or a new one.
function json.array(t) end

return json
