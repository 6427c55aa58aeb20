-- asset: files of the package, as bytes.
local core, env = ...

local call, check, n = core.block, core.check, core.numbers -- require is not to be left half way
local READ, NAME = n["package.read"], n.name
local file, new_error = core.file, core.new_error
local find, sub = string.find, string.sub

-- The bytes of a file; nil, nil when the package has none of that name; nil, err.
local function read(path)
  local bytes, size = file(path)
  if bytes or not size then
    return bytes
  elseif size == 0 then
    return ""
  end
  local result, err = call(READ, NAME, path)
  if not result then
    return nil, err
  end
  return result.body or ""
end
core.read = read

env.asset = {
  read = function(name)
    name = check.need("asset.read", 1, name, "string")
    while find(name, "^%./") do
      name = sub(name, 3)
    end
    local bytes, err = read(name)
    if not bytes and not err then
      err = new_error("NotFound", "the package has no file '" .. name .. "'")
    end
    return bytes, err
  end,
}
