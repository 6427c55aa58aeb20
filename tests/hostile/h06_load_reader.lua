-- H06: a reader that loads with itself as reader
-- expect: Sandbox.Timedout Runtime.LuaError Runtime.OutOfMemory Runtime.ExitError
return function()
  local depth = 0
  local function reader()
    depth = depth + 1
    load(reader)
    return "x"
  end
  while true do
    pcall(load, reader)
  end
end
