-- log: log.info(message, fields): one event of the function's log, with its level. Fields follow the
-- message as one JSON object; a table as message is written as JSON itself.
local core, env = ...

local type, emit, tostring, fail = type, core.emit, core.tostring, core.check.fail

local function at(level, name)
  return function(message, fields)
    if type(message) ~= "string" and type(message) ~= "table" then
      message = tostring(message)
    end
    if fields ~= nil and type(fields) ~= "table" then
      fail("log." .. name, 2, "a table of fields expected, got " .. type(fields))
    end
    emit(level, message, fields)
  end
end

env.log = {
  debug = at(1, "debug"),
  info = at(2, "info"),
  warn = at(3, "warn"),
  error = at(4, "error"),
}
