-- What an item is. Change this table, and validation follows.
local M = {}

M.fields = {
  name = { type = "string", required = true, min = 1, max = 100 },
  description = { type = "string", max = 2000 },
  price = { type = "number", min = 0 },
  tags = { type = "list", max = 20, each = { type = "string", min = 1, max = 40 } },
  done = { type = "boolean" },
}

local checks = {}

function checks.string(rule, value)
  if type(value) ~= "string" then
    return "must be text"
  elseif #value < (rule.min or 0) then
    return rule.min == 1 and "must not be empty" or "must have at least " .. rule.min .. " bytes"
  elseif rule.max and #value > rule.max then
    return "must have at most " .. rule.max .. " bytes"
  end
end

function checks.number(rule, value)
  if type(value) ~= "number" or math.abs(value) == math.huge then -- 1e999 is read as that
    return "must be a number"
  elseif rule.min and value < rule.min then
    return "must be at least " .. rule.min
  elseif rule.max and value > rule.max then
    return "must be at most " .. rule.max
  end
end

function checks.boolean(_, value)
  if type(value) ~= "boolean" then
    return "must be true or false"
  end
end

-- Members of an object have names, so none is at 1.
local function is_list(value)
  return type(value) == "table" and (#value > 0 or (next(value) == nil and json.encode(value) == "[]"))
end

function checks.list(rule, value)
  if not is_list(value) then
    return "must be a list"
  elseif rule.max and #value > rule.max then
    return "must have at most " .. rule.max .. " elements"
  end
  for i, element in ipairs(value) do
    local why = checks[rule.each.type](rule.each, element)
    if why then
      return "element " .. i .. " " .. why
    end
  end
end

-- Every mistake, by field: { name = "is required", … }; nil when there is none.
function M.check(value)
  local errors = {}
  for name, rule in pairs(M.fields) do
    if value[name] == nil then
      errors[name] = rule.required and "is required" or nil
    else
      errors[name] = checks[rule.type](rule, value[name])
    end
  end
  for name in pairs(value) do
    if not M.fields[name] then
      errors[name] = "is not known"
    end
  end
  return next(errors) and errors or nil
end

return M
