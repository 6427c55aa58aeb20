-- lint: reads a project's Lua without running it, for 'perilune check'.
--
-- It runs inside the jail like manifest.lua, and so knows from its own globals what functions have. The
-- files it gets compile already; it walks them with a scanner and the grammar of Lua 5.1 (and goto),
-- keeps track of scopes, and notes every use of a global and of its members. From that: unknown and
-- accidental globals, members that functions do not have, modules that are not there, locals that nobody
-- reads, and permissions that no call needs or that a call lacks.
local M = {}

-- --- the scanner ------------------------------------------------------------------------------------

local function set(words)
  local t = {}
  for word in words:gmatch "%S+" do
    t[word] = true
  end
  return t
end

local keywords = set("and break do else elseif end false for function goto if in local nil not or repeat return "
  .. "then true until while")

-- Tokens as { kind, text, line, column }: kind is "name", "string", "number", "eof", or the keyword or
-- operator itself. Comments are handed to note(text, line).
local function scan(source, note)
  local tokens, at, line, start = {}, 1, 1, 1
  if source:find("^#") then
    at = source:find("\n", 1, true) or #source + 1
  end
  local function newlines(from, to)
    for place in source:sub(from, to):gmatch "()\n" do
      line, start = line + 1, from + place
    end
  end
  local function add(kind, text, from)
    tokens[#tokens + 1] = { kind = kind, text = text, line = line, column = from - start + 1 }
  end
  local function long(from) -- the end of a long bracket that opens there, or nil
    local equals = source:match("^%[(=*)%[", from)
    if equals then
      local _, last = source:find("]" .. equals .. "]", from, true)
      return last or #source, #equals + 2
    end
  end
  while at <= #source do
    local c = source:sub(at, at)
    if c == "\n" then
      line, start, at = line + 1, at + 1, at + 1
    elseif c:find "%s" then
      at = source:find("[^ \t\r\f\v]", at) or #source + 1
    elseif source:sub(at, at + 1) == "--" then
      local last = long(at + 2)
      if last then
        newlines(at, last)
      else
        last = (source:find("\n", at, true) or #source + 1) - 1
        note(source:sub(at + 2, last), line)
      end
      at = last + 1
    elseif c:find "[%a_\128-\255]" then
      local word = source:match("^[%w_\128-\255]+", at)
      add(keywords[word] and word or "name", word, at)
      at = at + #word
    elseif c:find "%d" or source:find("^%.%d", at) then
      local text = source:match("^0[xX][%x%.]*[pP]?[+-]?%x*[uUlLiI]*", at)
      if not text then
        text = source:match("^[%d%.]+", at)
        text = text .. (source:match("^[eE][+-]?%d+", at + #text) or "")
        text = text .. (source:match("^[uUlLiI]+", at + #text) or "")
      end
      add("number", text, at)
      at = at + #text
    elseif c == '"' or c == "'" then
      local last = at + 1
      while source:sub(last, last) ~= c and last <= #source do
        last = last + (source:sub(last, last) == "\\" and 2 or 1)
      end
      add("string", source:sub(at + 1, last - 1), at)
      newlines(at, last)
      at = last + 1
    else
      local last, skip = long(at)
      if last then
        add("string", source:sub(at + skip, last - skip), at)
        newlines(at, last)
        at = last + 1
      else
        local op = source:match("^%.%.%.", at) or source:match("^%.%.", at) or source:match("^[=~<>]=", at)
          or source:match("^::", at) or c
        add(op, op, at)
        at = at + #op
      end
    end
  end
  add("eof", "end of file", at)
  return tokens
end

-- --- the grammar ------------------------------------------------------------------------------------

-- Walks the tokens; `on` gets what is found:
--   on.read(name, token), on.write(name, token)       a global
--   on.member(name, member, token, written)           a field of a global
--   on.method(name, token)                            a field or method of anything
--   on.require(module, token)
--   on.alias(name, token)                             a global used as a value
--   on.unused(variable)
local ends = set "end else elseif until eof" -- what ends a block
local followed = set ". : [ ( { string"       -- what follows a name that is not a value by itself

local function walk(tokens, on)
  local i = 1
  local scope
  local block, expression

  local function token()
    return tokens[i]
  end
  local function is(kind)
    return tokens[i].kind == kind
  end
  local function take()
    i = i + 1
    return tokens[i - 1]
  end
  local function accept(kind)
    if is(kind) then
      return take()
    end
  end

  local function open()
    scope = { vars = {}, list = {}, outer = scope }
  end
  local function close()
    for _, var in ipairs(scope.list) do
      if not var.read and not var.excused then
        on.unused(var)
      end
    end
    scope = scope.outer
  end
  local function declare(name, excused)
    local var = { name = name.text, token = name, excused = excused or name.text:find "^_" ~= nil }
    scope.vars[name.text] = var
    table.insert(scope.list, var)
    return var
  end
  local function resolve(name)
    local s = scope
    while s do
      if s.vars[name] then
        return s.vars[name]
      end
      s = s.outer
    end
  end

  local function body(method)
    open()
    if method then
      scope.vars.self = { name = "self", read = true }
    end
    take() -- (
    while not accept ")" do
      local t = take()
      if t.kind == "name" then
        declare(t, true)
      end
    end
    block()
    take() -- end
    close()
  end

  local function constructor()
    take() -- {
    while not accept "}" do
      if accept "[" then
        expression()
        take()
        take()
        expression()
      elseif is "name" and tokens[i + 1].kind == "=" then
        take()
        take()
        expression()
      else
        expression()
      end
      if is "," or is ";" then
        take()
      end
    end
  end

  -- name, then any chain of .field [index] :method() calls. How it ended: "name", "field" or "call".
  -- What stands alone left of "=" is not read here: the caller gets it as `target`.
  local function suffixed(statement)
    local first, ended, global = token(), "name", nil
    local target = {}
    if accept "(" then
      expression()
      take()
      ended = "call"
    else
      take()
      local var = resolve(first.text)
      target = { name = first, var = var }
      local suffix = tokens[i].kind
      local alone = statement and (suffix == "=" or suffix == ",")
      if not alone then
        if var then
          var.read = true
        else
          global = first.text
          on.read(global, first)
          if not followed[suffix] then
            on.alias(global, first)
          end
        end
      end
    end
    while true do
      local kind = tokens[i].kind
      if kind == "." or kind == ":" then
        take()
        local name = take()
        local next_kind = tokens[i].kind
        on.method(name.text, name)
        if global and ended == "name" then
          on.member(global, name.text, name, statement and kind == "." and (next_kind == "=" or next_kind == ","))
        end
        ended = "field"
      elseif kind == "[" then
        take()
        local key = token()
        expression()
        take()
        if key.kind == "string" and tokens[i - 2] == key then
          on.method(key.text, key)
          if global and ended == "name" then
            on.member(global, key.text, key, false)
          end
        elseif global and ended == "name" then
          on.alias(global, first)
        end
        ended = "field"
      elseif kind == "(" then
        take()
        local argument = token()
        while not accept ")" do
          expression()
          accept ","
        end
        if global == "require" and ended == "name" and argument.kind == "string" then
          on.require(argument.text, argument)
        end
        ended = "call"
      elseif kind == "string" or kind == "{" then
        if kind == "string" and global == "require" and ended == "name" then
          on.require(token().text, token())
        end
        if kind == "string" then
          take()
        else
          constructor()
        end
        ended = "call"
      else
        return ended, target
      end
    end
  end

  local unary = { ["not"] = true, ["-"] = true, ["#"] = true }
  local binary = set "+ - * / % ^ .. == ~= < > <= >= and or"

  function expression()
    while unary[tokens[i].kind] do
      take()
    end
    local kind = tokens[i].kind
    if kind == "function" then
      take()
      body()
    elseif kind == "{" then
      constructor()
    elseif kind == "name" or kind == "(" then
      suffixed()
    else
      take() -- a constant
    end
    if binary[tokens[i].kind] then
      take()
      expression()
    end
  end

  local function expressions()
    repeat
      expression()
    until not accept ","
  end

  local function write(target)
    if not target.name then
      return
    elseif target.var then
      target.var.written = true
    else
      on.write(target.name.text, target.name)
    end
  end

  local statements = {}
  statements["do"] = function()
    open()
    block()
    take()
    close()
  end
  statements["while"] = function()
    expression()
    take()
    statements["do"]()
  end
  statements["repeat"] = function()
    open()
    block()
    take()
    expression() -- sees the block's locals
    close()
  end
  statements["if"] = function()
    expression()
    take() -- then
    open()
    block()
    close()
    while not accept "end" do
      if take().kind == "elseif" then
        expression()
        take()
      end
      open()
      block()
      close()
    end
  end
  statements["for"] = function()
    local names = { take() }
    while accept "," do
      names[#names + 1] = take()
    end
    take() -- = or in
    expressions()
    take() -- do
    open()
    for _, name in ipairs(names) do
      declare(name, true)
    end
    block()
    take()
    close()
  end
  statements["function"] = function()
    local name = take()
    local var = resolve(name.text)
    if not is "." and not is ":" then
      if var then
        var.written = true
      else
        on.write(name.text, name)
      end
    elseif var then
      var.read = true
    else
      on.read(name.text, name)
      on.member(name.text, tokens[i + 1].text, tokens[i + 1], true)
    end
    local method = false
    while is "." or is ":" do
      method = take().kind == ":"
      take()
    end
    body(method)
  end
  statements["local"] = function()
    if accept "function" then
      declare(take())
      body()
      return
    end
    local names = {}
    repeat
      names[#names + 1] = take()
      if accept "<" then
        take()
        take()
      end
    until not accept ","
    if accept "=" then
      expressions()
    end
    for n, name in ipairs(names) do
      declare(name, n < #names) -- of several only the last can be left out
    end
  end
  statements["goto"] = take
  statements["::"] = function()
    take()
    take()
  end
  statements["return"] = function()
    if not ends[tokens[i].kind] and not is ";" then
      expressions()
    end
  end
  statements["break"] = function() end
  statements[";"] = function() end

  local function assignment()
    local ended, target = suffixed(true)
    if ended == "name" then
      write(target)
    end
    while accept "," do
      ended, target = suffixed(true)
      if ended == "name" then
        write(target)
      end
    end
    if accept "=" then
      expressions()
    end
  end

  function block()
    while not ends[tokens[i].kind] do
      local statement = statements[tokens[i].kind]
      if statement then
        take()
        statement()
      else
        assignment()
      end
    end
  end

  open()
  block()
  close()
end

-- --- what functions have ----------------------------------------------------------------------------

local known, members = {}, {}
for name, value in pairs(_G) do
  known[name] = true
  if type(value) == "table" and name ~= "_G" and name ~= "package" then
    members[name] = {}
    for field in pairs(value) do
      members[name][field] = true
    end
  end
end
known._G, known._VERSION = true, true

local busted = set("describe context insulate expose it spec pending finally before_each after_each setup teardown "
  .. "strict_setup strict_teardown lazy_setup lazy_teardown spy stub mock match say randomize test")

-- What has no place here, and what does its work.
local instead = {
  io = "files are read with asset.read, output goes to print and log",
  os = "functions reach no system commands and no files",
  debug = "there is debug.traceback", ffi = "functions have none",
  jit = "PERILUNE_JIT=off in the environment turns it off",
}

-- Words one slip apart: a letter more, less, other, or two swapped.
local function one_slip(a, b)
  if math.abs(#a - #b) > 1 or #a < 3 then
    return false
  end
  local i = 1
  while i <= #a and a:byte(i) == b:byte(i) do
    i = i + 1
  end
  a, b = a:sub(i), b:sub(i)
  return a:sub(2) == b or a == b:sub(2) or a:sub(2) == b:sub(2)
    or (a:sub(1, 1) == b:sub(2, 2) and a:sub(2, 2) == b:sub(1, 1) and a:sub(3) == b:sub(3))
end

local function guess(name, words)
  local best
  for word in pairs(words) do
    if type(word) == "string" and one_slip(name, word) and (not best or word < best) then
      best = word
    end
  end
  return best and "; did you mean '" .. best .. "'?" or ""
end

-- --- one file ---------------------------------------------------------------------------------------

local function is_spec(path)
  return path:find "_spec%.lua$" or path:find "_test%.lua$" or path:find "^spec/"
end

local patterns = {
  "?.lua", "?/init.lua", "lib/?.lua", "lua_modules/share/lua/5.1/?.lua", "lua_modules/share/lua/5.1/?/init.lua",
}
local of_specs = set "test perilune.test say busted"

local function module_exists(name, files)
  for _, pattern in ipairs(patterns) do
    if files[(pattern:gsub("?", (name:gsub("%.", "/"):gsub("%%", "%%%%"))))] then
      return true
    end
  end
  return of_specs[name] or (pcall(require, name))
end

-- Finds what is there; judges nothing yet, since other files may set what this one reads.
local function look(path, source)
  local facts = {
    path = path, reads = {}, writes = {}, members = {}, requires = {}, aliases = {}, unused = {}, methods = {},
    ignored = {}, globals = {},
  }
  local function list(name)
    return function(...)
      table.insert(facts[name], { ... })
    end
  end
  local function note(comment, line)
    local what = comment:match "^%s*luacheck:%s*(.*)"
    if not what then
      return
    end
    for name in (what:match "globals%s+(.*)" or ""):gmatch "[%w_]+" do
      facts.globals[name] = true
    end
    if what:find "^ignore" then
      facts.ignored[line] = true
    end
  end
  walk(scan(source, note), {
    read = list "reads", write = list "writes", member = list "members", require = list "requires",
    alias = list "aliases", unused = list "unused", method = list "methods",
  })
  return facts
end

-- --- permissions ------------------------------------------------------------------------------------

-- What calls do that are put together from others.
local made_of = {
  ["s3.lines"] = { "s3.get" }, ["s3.chunks"] = { "s3.get" }, ["s3.writer"] = { "s3.put" },
  ["s3.copy"] = { "s3.get", "s3.put" }, ["s3.presign"] = { "s3.get", "s3.put" }, ["http.get"] = { "http.request" },
  ["http.post"] = { "http.request" }, ["kv.transaction"] = { "kv.get", "kv.commit" },
}
local kv_methods = { get = "kv.get", set = "kv.set", incr = "kv.incr", delete = "kv.delete", list = "kv.list" }
local uncertain = { ["s3.presign"] = true }

local function as_list(value)
  return type(value) == "table" and value or { value }
end

local function allows(pattern, action)
  pattern = pattern:lower():gsub("[%^%$%(%)%%%.%[%]%+%-]", "%%%0"):gsub("%*", ".*"):gsub("%?", ".")
  return action:lower():find("^" .. pattern .. "$") ~= nil
end

-- The line of function.lua that names it.
local function line_of(source, text)
  local line = 1
  for one in (source .. "\n"):gmatch "(.-)\n" do
    if one:find('"' .. text .. '"', 1, true) or one:find("'" .. text .. "'", 1, true) then
      return line
    end
    line = line + 1
  end
  return 1
end

-- needed: action -> { file, line, call }; maybe: action -> true, where a module is used in a way that
-- cannot be followed.
local function actions_of(all, calls)
  local needed, maybe = {}, {}
  local function need(call, path, token, unsure)
    for _, real in ipairs(made_of[call] or { call }) do
      local action = calls[real]
      if action and action ~= "" then
        if unsure then
          maybe[action] = true
        elseif not needed[action] then
          needed[action] = { path = path, token = token, call = call }
        end
      end
    end
  end
  local kv_open, kv_alias = false, false
  for _, facts in ipairs(all) do
    for _, m in ipairs(facts.members) do
      need(m[1] .. "." .. m[2], facts.path, m[3], uncertain[m[1] .. "." .. m[2]])
      kv_open = kv_open or m[1] == "kv"
    end
    local function all_of(module)
      kv_alias = kv_alias or module == "kv"
      for call in pairs(calls) do
        if call:match "^[^.]+" == module then
          need(call, facts.path, nil, true)
        end
      end
    end
    for _, a in ipairs(facts.aliases) do
      all_of(a[1])
    end
    for _, r in ipairs(facts.requires) do
      all_of((r[1]:gsub("^perilune%.", "")))
    end
  end
  for _, facts in ipairs(all) do
    for _, m in ipairs(facts.methods) do
      if (kv_open or kv_alias) and kv_methods[m[1]] then
        need(kv_methods[m[1]], facts.path, m[2], true)
      elseif m[1] == "invoke_async" then
        need("lambda.invoke_async", facts.path, m[2], true)
      end
    end
  end
  return needed, maybe
end

local function judge_permissions(add, all, event, source)
  local needed, maybe = actions_of(all, event.calls)
  local permissions = event.manifest.permissions or {}
  local patterns_of = {}
  for _, p in ipairs(permissions) do
    for _, action in ipairs(as_list(type(p) == "table" and p[1] or nil)) do
      patterns_of[#patterns_of + 1] = action
    end
  end
  for _, pattern in ipairs(patterns_of) do
    local used = false
    for _, actions in ipairs { needed, maybe } do
      for action in pairs(actions) do
        used = used or allows(pattern, action)
      end
    end
    if not used then
      add("function.lua", line_of(source, pattern), 1, "warning",
        "permission \"" .. pattern .. "\": nothing in the code needs it")
    end
  end
  for action, use in pairs(needed) do
    local allowed = false
    for _, pattern in ipairs(patterns_of) do
      allowed = allowed or allows(pattern, action)
    end
    if not allowed then
      add(use.path, use.token.line, use.token.column, "warning",
        use.call .. " needs \"" .. action .. "\", which no permission of function.lua allows")
    end
  end
end

-- --- all files --------------------------------------------------------------------------------------

-- event: { all_files, files = those to judge, calls = { call = action }, manifest = … or nil,
-- handler = "file.function" }. Answers { findings = { { file, line, column, level, text } } }.
function M.run(event)
  local findings, files, all, set_somewhere = json.array {}, {}, {}, {}
  for _, path in ipairs(event.all_files) do
    files[path] = true
  end
  for _, path in ipairs(event.files) do
    local source = asset.read(path)
    local facts = look(path, source:find "^%-%-%-@meta" and "" or source) -- definitions for editors are no code
    facts.spec = is_spec(path)
    all[#all + 1] = facts
    for _, w in ipairs(facts.writes) do
      set_somewhere[w[1]] = true
    end
    for _, m in ipairs(facts.members) do
      if m[4] and members[m[1]] then
        members[m[1]][m[2]] = true -- the project adds it
      end
    end
  end
  local by_path = {}
  for _, facts in ipairs(all) do
    by_path[facts.path] = facts
  end
  local function add(file, line, column, level, text)
    if not (by_path[file] and by_path[file].ignored[line]) then
      findings[#findings + 1] = { file = file, line = line, column = column, level = level, text = text }
    end
  end
  local handler_file, handler_function = (event.handler or ""):match "^(.*)%.([^.]*)$"
  for _, facts in ipairs(all) do
    local function at(token, level, text)
      add(facts.path, token.line, token.column, level, text)
    end
    local function is_known(name)
      return known[name] or facts.globals[name] or set_somewhere[name] or (facts.spec and busted[name])
    end
    for _, r in ipairs(facts.reads) do
      if not is_known(r[1]) then
        local more = instead[r[1]] and ": " .. instead[r[1]] or guess(r[1], known)
        at(r[2], "error", "unknown global '" .. r[1] .. "'" .. more)
      end
    end
    for _, w in ipairs(facts.writes) do
      local is_handler = w[1] == handler_function and facts.path == (handler_file or ""):gsub("%.", "/") .. ".lua"
      if not is_handler and not facts.globals[w[1]] then
        at(w[2], "warning", "sets the global '" .. w[1] .. "', which stays between invocations: add 'local'?")
      end
    end
    for _, m in ipairs(facts.members) do
      local fields = members[m[1]]
      if fields and not fields[m[2]] and not facts.globals[m[1]] then
        local more = instead[m[1]] and ": " .. instead[m[1]] or guess(m[2], fields)
        at(m[3], "error", "functions have no '" .. m[1] .. "." .. m[2] .. "'" .. more)
      end
    end
    for _, r in ipairs(facts.requires) do
      if not module_exists(r[1], files) then
        at(r[2], "error", "there is no module '" .. r[1] .. "' in the package")
      end
    end
    for _, u in ipairs(facts.unused) do
      at(u[1].token, "warning", "unused variable '" .. u[1].name .. "'")
    end
  end
  if event.manifest then
    local code = {}
    for _, facts in ipairs(all) do
      if not facts.spec and facts.path ~= "function.lua" then
        code[#code + 1] = facts
      end
    end
    judge_permissions(add, code, event, asset.read "function.lua" or "")
  end
  return { findings = findings }
end

return M
