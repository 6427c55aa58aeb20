-- text: values as people read them in a failure, and where two of them begin to differ.
local core = ...

local type, next, tostring, getmetatable = type, next, core.tostring, getmetatable
local format, rep, gsub, sub, find, sort, concat = string.format, string.rep, string.gsub, string.sub, string.find,
  table.sort, table.concat

local text = {}
core.text = text

local DEPTH, ITEMS, BYTES = 8, 200, 4000

-- Names first, then numbers in their order, then all else.
local function before(a, b)
  local ta, tb = type(a), type(b)
  if ta ~= tb then
    return ta == "number" or (tb ~= "number" and ta == "string")
  elseif ta == "number" or ta == "string" then
    return a < b
  end
  return tostring(a) < tostring(b)
end

local function keys_of(t)
  local keys = {}
  for k in next, t do
    keys[#keys + 1] = k
  end
  sort(keys, before)
  return keys
end

local function quote(s)
  if #s > BYTES then
    s = sub(s, 1, BYTES) .. "… (" .. #s .. " bytes)"
  end
  return "'" .. gsub(s, "[%z\1-\8\11-\31\127]", function(c)
    return format("\\%03d", string.byte(c))
  end) .. "'"
end

local function key_text(k)
  return type(k) == "string" and k or tostring(k)
end

-- `marked` is the chain of keys that leads to a difference: each bears a star.
local function show(value, depth, seen, marked)
  local kind = type(value)
  if kind == "string" then
    return quote(value)
  elseif kind ~= "table" then
    return tostring(value)
  elseif seen[value] then
    return "{ a table shown above }"
  elseif depth > DEPTH then
    return "{ … }"
  end
  seen[value] = true
  local keys, lines = keys_of(value), {}
  for i = 1, #keys do
    if i > ITEMS then
      lines[#lines + 1] = rep("  ", depth + 1) .. "… (" .. #keys .. " in all)"
      break
    end
    local k = keys[i]
    local here = marked and marked.key == k
    lines[#lines + 1] = rep("  ", depth + (here and 0 or 1)) .. (here and " *" or "") .. "[" .. key_text(k) .. "] = "
      .. show(value[k], depth + 1, seen, here and marked.next or nil)
  end
  seen[value] = nil
  if #lines == 0 then
    return "{ }"
  end
  return "{\n" .. concat(lines, "\n") .. " }"
end

-- "(string) 'x'": the type and the value.
function text.show(value, marked)
  if value == nil then
    return "(nil)"
  elseif type(value) == "table" and type(getmetatable(value)) == "table" and getmetatable(value).__tostring then
    return "(table) " .. tostring(value)
  end
  return "(" .. type(value) .. ") " .. show(value, 0, {}, marked)
end

-- True, or false and the chain of keys to the first difference. NaN is the same as NaN here.
local function same(a, b, seen)
  if a == b or (a ~= a and b ~= b) then
    return true
  elseif type(a) ~= "table" or type(b) ~= "table" then
    return false
  end
  local known = seen[a]
  if known and known[b] then
    return true -- being compared further up
  end
  seen[a] = known or {}
  seen[a][b] = true
  for _, k in next, keys_of(a) do
    local ok, chain = same(a[k], b[k], seen)
    if not ok then
      return false, { key = k, next = chain }
    end
  end
  for _, k in next, keys_of(b) do
    if a[k] == nil then
      return false, { key = k }
    end
  end
  return true
end

function text.same(a, b)
  return same(a, b, {})
end

-- Where two long texts part: said when it is hard to see.
function text.parting(a, b)
  if type(a) ~= "string" or type(b) ~= "string" or (#a < 60 and not find(a, "\n", 1, true)) then
    return ""
  end
  local i, line, start = 1, 1, 1
  while i <= #a and i <= #b and string.byte(a, i) == string.byte(b, i) do
    if string.byte(a, i) == 10 then
      line, start = line + 1, i + 1
    end
    i = i + 1
  end
  return format("\nThey part at byte %d (line %d, column %d).", i, line, i - start + 1)
end
