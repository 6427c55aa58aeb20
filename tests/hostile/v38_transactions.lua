-- V38: transactions that nest, call out, yield, conflict with themselves and carry too much
-- expect: ok
-- timeout: 10
-- grants: perilune:KvRead perilune:KvWrite lambda:InvokeFunction
return function()
  local ns = kv.open("hostile")
  assert(not pcall(kv.transaction, function() kv.transaction(print) end))
  assert(not pcall(kv.transaction, function() ns:get("x") end))
  assert(not pcall(kv.transaction, function() task.all({ print }) end))
  local stale
  kv.transaction(function(tx) stale = tx end)
  pcall(function() stale:open("hostile"):set("x", "stale") end)
  local ok, err = kv.transaction(function(tx)
    for i = 1, 200 do
      tx:open("hostile"):set("k" .. i, "v")
    end
  end)
  assert(not ok, tostring(err))
  ok, err = pcall(kv.transaction, function(tx)
    for i = 1, 50 do
      tx:open("hostile"):set("k" .. i, ("v"):rep(100000))
    end
  end)
  local runs = 0
  kv.transaction(function(tx)
    runs = runs + 1
    tx:open("hostile"):get("conflict")
    coroutine.wrap(function() pcall(ns.set, ns, "conflict", tostring(runs)) end)()
    tx:open("hostile"):set("conflict", "mine")
  end)
  assert(runs <= 10, runs)
  return "done"
end
