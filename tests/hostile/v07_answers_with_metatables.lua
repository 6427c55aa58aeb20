-- V7: an answer whose metatables never return, never end, or fail
-- expect: ok
-- timeout: 5
return function()
  local function never()
    while true do
    end
  end
  local evil = { __index = never, __len = never, __pairs = never, __ipairs = never, __tostring = never, __newindex = never,
    __eq = never, __lt = never, __concat = never, __call = never, __unm = never, __metatable = never, __gc = never,
    __mode = "k", __name = never, __jsontype = never, __tojson = never, __close = never }
  return setmetatable({ a = setmetatable({}, evil), list = json.array(setmetatable({ 1, 2 }, {})) }, evil)
end
