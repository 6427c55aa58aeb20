-- cjson: the codec under the contract of lua-cjson, for code that requires it. cjson raises,
-- cjson.safe answers nil and a text. Each module made by new() has settings of its own. What differs:
-- texts are read strictly (no NaN, no hexadecimal numbers), numbers are written with the digits they
-- need unless a precision is set, and 100 levels are the most.
local core = ...

local raw = core.cjson
local encode, decode, misuse = raw.encode, raw.decode, core.misuse
local pcall, type = pcall, type

local function result(ok, value)
  if ok then
    return value
  end
  return nil, value
end

-- A setting's function: the value, after taking a new one when it is given.
local function setting(s, name, check)
  return function(value)
    if value ~= nil then
      s[name] = check(value, name)
    end
    return s[name]
  end
end

local function boolean(value)
  if value == "on" or value == "off" then
    return value == "on"
  end
  return value and true or false
end

local function whole(min, max)
  return function(value, name)
    if type(value) ~= "number" or value % 1 ~= 0 or value < min or value > max then
      misuse("bad argument #1 to '" .. name .. "' (expected integer between " .. min .. " and " .. max .. ")")
    end
    return value
  end
end

local function invalid_numbers(value)
  if value == "null" then
    return value
  elseif boolean(value) then
    misuse "bad argument #1 to 'encode_invalid_numbers' (only 'null' and false: NaN is no JSON)"
  end
  return false
end

local function make(safe)
  local s = {
    encode_max_depth = 100,
    decode_max_depth = 100,
    encode_number_precision = 14,
    encode_keep_buffer = true,
    encode_invalid_numbers = false,
    decode_invalid_numbers = false,
    encode_empty_table_as_object = true,
    encode_escape_forward_slash = false,
    decode_array_with_array_mt = false,
  }
  local convert, ratio, safe_index, digits = false, 2, 10, nil

  local module = {
    _NAME = safe and "cjson.safe" or "cjson",
    _VERSION = "2.1.0",
    null = raw.null,
    empty_array = raw.empty_array,
    array_mt = raw.array_mt,
    empty_array_mt = raw.empty_array_mt,
  }
  local function encode_value(value)
    return encode(value, ratio, safe_index, convert, not s.encode_empty_table_as_object,
      s.encode_invalid_numbers == "null", digits, s.encode_max_depth)
  end
  local function decode_text(text)
    return decode(text, s.decode_array_with_array_mt)
  end
  module.encode, module.decode = encode_value, decode_text
  if safe then
    function module.encode(value)
      return result(pcall(encode_value, value))
    end
    function module.decode(text)
      return result(pcall(decode_text, text))
    end
  end
  function module.new()
    return make(safe)
  end

  function module.encode_sparse_array(new_convert, new_ratio, new_safe)
    if new_convert ~= nil then
      convert = boolean(new_convert)
    end
    if new_ratio ~= nil then
      ratio = whole(0, 2 ^ 31 - 1)(new_ratio, "encode_sparse_array")
    end
    if new_safe ~= nil then
      safe_index = whole(0, 2 ^ 31 - 1)(new_safe, "encode_sparse_array")
    end
    return convert, ratio, safe_index
  end
  function module.encode_number_precision(value)
    if value ~= nil then
      digits = whole(1, 17)(value, "encode_number_precision")
      s.encode_number_precision = digits
    end
    return s.encode_number_precision
  end
  module.encode_max_depth = setting(s, "encode_max_depth", whole(1, 2 ^ 31 - 1))
  module.decode_max_depth = setting(s, "decode_max_depth", whole(1, 2 ^ 31 - 1))
  module.encode_invalid_numbers = setting(s, "encode_invalid_numbers", invalid_numbers)
  for _, name in next, { "encode_keep_buffer", "decode_invalid_numbers", "encode_empty_table_as_object",
    "encode_escape_forward_slash", "decode_array_with_array_mt" } do
    module[name] = setting(s, name, boolean)
  end
  return module
end

core.cjson_module, core.cjson_safe = make(false), make(true)
