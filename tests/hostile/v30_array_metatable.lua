-- V30: the metatables that the runtime hands out, made evil
-- expect: ok
-- timeout: 5
-- calls: 2
return function(event)
  local function never()
    while true do
    end
  end
  for _, v in ipairs({ json.array({}), json.empty_array, event, kv.open("x"), select(2, kv.open("x"):get("k")), print, "", json.null }) do
    local mt = getmetatable(v)
    if type(mt) == "table" then
      for _, name in ipairs({ "__index", "__len", "__newindex", "__tostring", "__pairs", "__eq" }) do
        pcall(rawset, mt, name, never)
      end
    end
    pcall(setmetatable, v, { __index = never, __tostring = never })
  end
  return { json.array({ 1, 2 }), json.array({}) }
end
