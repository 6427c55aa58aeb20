-- manifest: evaluates a project's function.lua or a template's blueprint.lua inside the jail.
--
-- The server loads this file beside the author's into a sealed runner (no host calls) and invokes one
-- of the functions below; what they return travels back as JSON and is checked again in C. Parameters
-- are validated here because their patterns are Lua patterns.
local M = {}

local function blueprint()
  local b = require "blueprint"
  if type(b) ~= "table" or type(b.build) ~= "function" then
    error("blueprint.lua must return a table with a function 'build'", 0)
  end
  return b
end

-- The table of function.lua, as it stands.
function M.project()
  local t = require "function"
  if type(t) ~= "table" then
    error("function.lua must return a table", 0)
  end
  return t
end

-- What a gallery or a form needs to know.
function M.describe()
  local b = blueprint()
  return {
    title = b.title,
    summary = b.summary,
    params = json.array(b.params or {}),
    files = json.array(b.files or { "handler.lua" }),
    test_event = b.test_event,
  }
end

local checks = {}

function checks.string(v)
  return type(v) == "string" and v or nil, "must be text"
end

function checks.bucket(v)
  if type(v) == "string" and #v >= 3 and #v <= 63 and v:match "^[a-z0-9][a-z0-9.%-]*[a-z0-9]$" then
    return v
  end
  return nil, "must be a bucket's name: 3 to 63 of a-z, 0-9, '.' and '-'"
end

function checks.name(v)
  if type(v) == "string" and #v <= 64 and v:match "^[%w_%-]+$" then
    return v
  end
  return nil, "must be a function's name: 1 to 64 of A-Z, a-z, 0-9, '-' and '_'"
end

function checks.number(v)
  local n = tonumber(v)
  return n and math.abs(n) < math.huge and n or nil, "must be a number"
end

function checks.boolean(v)
  if v == true or v == "true" or v == "yes" then
    return true
  elseif v == false or v == "false" or v == "no" then
    return false
  end
  return nil, "must be true or false"
end

local function check(param, value)
  local checker = checks[param.type or "string"]
  if not checker then
    return nil, "has the unknown type '" .. tostring(param.type) .. "'"
  end
  local v, why = checker(value)
  if v == nil then
    return nil, why
  end
  if param.min and v < param.min then
    return nil, "must be at least " .. param.min
  elseif param.max and v > param.max then
    return nil, "must be at most " .. param.max
  end
  if param.pattern and not tostring(v):match(param.pattern) then
    return nil, "does not match the pattern " .. param.pattern
  end
  if param.choices then
    for _, choice in ipairs(param.choices) do
      if choice == v then
        return v
      end
    end
    return nil, "must be one of: " .. table.concat(param.choices, ", ")
  end
  return v
end

-- event.parameters: what the user gave. Answers {manifest=…, parameters=…} or {errors={…}}.
function M.build(event)
  local b = blueprint()
  local given, values, errors = event.parameters or {}, {}, {}
  local known = {}
  for _, param in ipairs(b.params or {}) do
    known[param.name] = true
    local value = given[param.name]
    if value == nil then
      value = param.default
    end
    if value == nil then
      errors[#errors + 1] = "parameter '" .. param.name .. "' is required"
    else
      local v, why = check(param, value)
      if v == nil then
        errors[#errors + 1] = "parameter '" .. param.name .. "' " .. why
      end
      values[param.name] = v
    end
  end
  for name in pairs(given) do
    if not known[name] then
      errors[#errors + 1] = "there is no parameter '" .. tostring(name) .. "'"
    end
  end
  if #errors > 0 then
    table.sort(errors)
    return { errors = errors }
  end
  return { manifest = b.build(values), parameters = values, files = json.array(b.files or { "handler.lua" }),
    try = b.try and b.try(values) }
end

-- Compiles event.files (path -> text) and runs none of it: {errors={{file,line,message}}}, in order of
-- path; the compiler stops at the first error of a file.
function M.check(event)
  local paths, errors = {}, json.array {}
  for path in pairs(event.files) do
    paths[#paths + 1] = path
  end
  table.sort(paths)
  for _, path in ipairs(paths) do
    local _, why = load(event.files[path])
    if why then
      local line, message = why:match "^%(load%):(%d+): (.*)$"
      errors[#errors + 1] = { file = path, line = tonumber(line) or 1, message = message or why }
    end
  end
  return { errors = errors }
end

return M
