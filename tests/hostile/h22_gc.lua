-- H22: finalizers that would run when the state is closed
-- expect: ok
-- timeout: 5
return function()
  local kept = {}
  for i = 1, 100 do
    kept[i] = setmetatable({}, {
      __gc = function()
        while true do
        end
      end,
    })
  end
  kept = nil
  for i = 1, 1e5 do
    kept = { i }
  end
  return "none"
end
