-- cjson: the codec under the contract of lua-cjson, for code that requires it. cjson raises,
-- cjson.safe answers nil and a text.
local core = ...

local cjson = core.cjson
local pcall = pcall

local function result(ok, value)
  if ok then
    return value
  end
  return nil, value
end

local safe = {}
for name, value in next, cjson do
  safe[name] = value
end
function safe.encode(value)
  return result(pcall(cjson.encode, value))
end
function safe.decode(text)
  return result(pcall(cjson.decode, text))
end

for _, module in next, { cjson, safe } do
  module._NAME, module._VERSION = "cjson", "2.1.0"
  function module.new()
    return module
  end
end

core.cjson_safe = safe
