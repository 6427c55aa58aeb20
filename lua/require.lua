-- require: modules of the package first, then the built-in ones. Also how the handler is found.
local core, env = ...

local type, error, rawget, tostring, misuse = type, error, rawget, core.tostring, core.misuse
local gsub, concat, sub, find = string.gsub, table.concat, string.sub, string.find
local read, compile, note = core.read, core.compile, core.note

local patterns = {
  "?.lua", "?/init.lua", "lib/?.lua",
  "lua_modules/share/lua/5.1/?.lua", "lua_modules/share/lua/5.1/?/init.lua",
}

local builtin = {
  ["string.buffer"] = core.buffer,
  ["table.new"] = env.table.new,
  ["table.clear"] = env.table.clear,
  ["cjson"] = core.cjson_module,
  ["cjson.safe"] = core.cjson_safe,
}
for _, name in next, { "json", "log", "http", "s3", "kv", "lambda", "events", "crypto", "base64",
  "hex", "time", "asset", "task", "cache", "secrets" } do
  builtin[name] = env[name]
  builtin["perilune." .. name] = env[name]
end

local loaded, preload = { _G = env }, {}
for _, name in next, { "string", "table", "math", "bit", "coroutine", "os", "io", "debug" } do
  loaded[name] = env[name]
end

env.package = {
  config = "/\n;\n?\n!\n-\n",
  loaded = loaded,
  preload = preload,
}
loaded.package = env.package

local loading = {} -- modules whose code has begun and not ended

-- Runs the code of a module, unprotected: an error keeps the stack it was raised on.
local function run(name, chunk, ...)
  if loading[name] then
    misuse("loop or previous error loading module '" .. name .. "'")
  end
  loading[name] = true
  local value = chunk(name, ...)
  loading[name] = nil
  if value ~= nil then
    loaded[name] = value
  elseif rawget(loaded, name) == nil then
    loaded[name] = true
  end
  return rawget(loaded, name)
end

-- The chunk of a module, and its path; or nil and the list of what was tried.
local function search(name)
  local path = gsub(name, "%.", "/")
  local tried = {}
  for i = 1, #patterns do
    local file = gsub(patterns[i], "%?", (gsub(path, "%%", "%%%%")))
    local source, err = read(file)
    if err then
      error(err, 0)
    end
    if source then
      local chunk, message = compile(source, file)
      if not chunk then
        note("Runtime.UserCodeSyntaxError", message)
        error(message, 0)
      end
      return chunk, file
    end
    tried[i] = "\n\tno file '" .. file .. "'"
  end
  return nil, concat(tried)
end

local function require(name)
  if type(name) ~= "string" then
    misuse("bad argument #1 to 'require' (string expected, got " .. type(name) .. ")")
  end
  local value = rawget(loaded, name)
  if value ~= nil then
    return value
  end
  local loader = rawget(preload, name)
  if loader ~= nil then
    return run(name, loader)
  end
  local chunk, file = search(name)
  if chunk then
    return run(name, chunk, file)
  end
  if builtin[name] ~= nil then
    loaded[name] = builtin[name]
    return builtin[name]
  end
  local message = "module '" .. name .. "' not found:" .. file
  note("Runtime.ImportModuleError", message)
  misuse(message)
end
env.require = require

-- "dir/file.function" -> the function. Raises with a note of the error's type.
function core.load_handler(handler)
  local cut = find(handler, "%.[^.]*$")
  local name = cut and sub(handler, 1, cut - 1) or ""
  local wanted = cut and sub(handler, cut + 1) or ""
  local function fail(kind, message)
    note(kind, message)
    error(message, 0)
  end
  if name == "" or wanted == "" then
    fail("Runtime.HandlerNotFound", "Bad handler '" .. handler .. "': it must be file.function")
  end
  local chunk, file = search(name)
  if not chunk then
    fail("Runtime.ImportModuleError",
      "Unable to import module '" .. name .. "': no file '" .. gsub(name, "%.", "/") .. ".lua' in the package")
  end
  local value = run(name, chunk, file)
  if type(value) == "function" then
    return value
  end
  local handle
  if type(value) == "table" then
    handle = value[wanted]
  end
  if handle == nil then
    handle = rawget(env, wanted)
  end
  if type(handle) ~= "function" then
    fail("Runtime.HandlerNotFound", "Handler '" .. wanted .. "' not found in '" .. tostring(file) .. "'")
  end
  return handle
end
