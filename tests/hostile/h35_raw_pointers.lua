-- H35: anything that is cdata, or prints an address
-- expect: ok
-- timeout: 5
return function()
  local seen, bad = {}, {}
  local function walk(v, path)
    local kind = type(v)
    if kind == "cdata" and not path:find("null") then
      bad[#bad + 1] = path
    end
    if kind == "table" and not seen[v] then
      seen[v] = true
      for k, inner in next, v do
        walk(k, path .. "#")
        walk(inner, path .. "." .. (type(k) == "string" and k or type(k)))
      end
    end
    local mt = getmetatable(v)
    if type(mt) == "table" then
      walk(mt, path .. "@")
    end
  end
  walk(_G, "_G")
  local buffer = require("string.buffer").new()
  for _, name in ipairs({ "reserve", "commit", "ref", "putcdata", "set", "encode", "decode" }) do
    assert(not pcall(function()
      return assert(buffer[name])
    end), name)
  end
  assert(#bad == 0, table.concat(bad, " "))
  for _, v in ipairs({ {}, print, coroutine.create(print), buffer }) do
    local text = tostring(v)
    assert(not text:find("0x%x%x%x%x%x%x%x%x%x"), text)
    assert(not pcall(string.format, "%p", v))
  end
  return "clean"
end
