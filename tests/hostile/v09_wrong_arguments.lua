-- V9: every function of every module with arguments that it does not want
-- expect: ok
-- timeout: 60
-- memory: 256
return function()
  local cyclic = {}
  cyclic.x = cyclic
  local odd = setmetatable({}, { __index = function() return 1 end, __tostring = function() return "odd" end })
  local values = { -1, 0, 1e308, -1e308, 0 / 0, 1 / 0, 2 ^ 53, 0.5, "", "\0", "a\0b", "../../etc/passwd", ("x"):rep(100000),
    "\255\254", "a\r\nb: c", {}, cyclic, odd, { 1, 2, 3 }, { a = print }, print, coroutine.create(print), true, false, json.null, 1LL }
  local skipped = { sleep = true, print = true } -- would only take time
  local calls = 0
  local function try(f, ...)
    calls = calls + 1
    local co = coroutine.create(f) -- whatever it yields, or waits for, stays in there
    coroutine.resume(co, ...)
  end
  local names = { "kv", "s3", "http", "lambda", "cache", "json", "crypto", "time", "asset", "events", "secrets", "log", "base64", "hex",
    "string", "table", "math", "bit", "os", "task", "debug" }
  local store, writer_like = kv.open("wrong"), require("string.buffer").new()
  local objects = { store = store, buffer = writer_like }
  for _, name in ipairs(names) do
    local module = _G[name]
    for key, f in pairs(module) do
      if type(f) == "function" and not skipped[key] and not (name == "string" and key == "rep") and not (name == "table" and key == "new") then
        try(f)
        for i = 1, #values do
          try(f, values[i])
          try(f, values[i], values[(i * 7) % #values + 1])
          try(f, "name", values[i], values[(i * 11) % #values + 1])
          try(f, "name", "key", values[i], values[(i * 5) % #values + 1])
          try(f, { [1] = values[i], url = values[i], method = values[i], headers = values[i], body = values[i], timeout = values[i] })
        end
      end
    end
  end
  for _, object in pairs(objects) do
    for _, method in ipairs({ "get", "set", "incr", "delete", "list", "put", "putf", "skip", "reset", "tostring" }) do
      for i = 1, #values do
        try(function() return object[method](object, values[i], values[(i * 3) % #values + 1], values[(i * 5) % #values + 1]) end)
        try(function() return object[method](values[i], object) end)
      end
    end
  end
  return calls
end
