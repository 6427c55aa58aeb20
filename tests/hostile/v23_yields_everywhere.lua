-- V23: yields out of comparators, callbacks, metamethods, iterators, readers and error handlers
-- expect: ok
-- timeout: 5
return function()
  local yield = coroutine.yield
  local evil = setmetatable({}, { __index = yield, __newindex = yield, __add = yield, __lt = yield, __concat = yield, __tostring = yield, __call = yield, __eq = yield })
  local places = {
    function() table.sort({ 3, 1, 2 }, yield) end,
    function() ("xyz"):gsub(".", yield) end,
    function() return evil.x, evil + 1, evil < evil, evil .. "x", tostring(evil), evil() end,
    function() evil.x = 1 end,
    function() for _ in yield do end end,
    function() load(yield) end,
    function() xpcall(error, yield) end,
    function() xpcall(yield, error) end,
    function() table.foreach({ 1 }, yield) end,
    function() require("perilune.nothing" .. tostring(yield())) end,
    function() task.all({ yield, function() table.sort({ 3, 1, 2 }, function() time.sleep(0) return true end) end }) end,
    function() return json.encode(evil), string.format("%s", evil), print(evil) end,
    function() kv.transaction(yield) end,
  }
  for _, f in ipairs(places) do
    local co = coroutine.create(f)
    for _ = 1, 20 do
      coroutine.resume(co, 1)
    end
  end
  return "resumed"
end
