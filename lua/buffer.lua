-- buffer: string.buffer without the methods that hand out pointers (state.c took those away), and
-- with putf guarded as string.format is.
local core = ...

local type = type
local raw_new = core["string.buffer"].new
local methods = core.buffer_methods
local raw_putf = methods.putf
local printable, is_safe = core.printable, core.is_safe

function methods.putf(buffer, fmt, ...)
  is_safe(fmt)
  return printable(function(f, ...)
    return raw_putf(buffer, f, ...)
  end, fmt, ...)
end

core.buffer = {
  new = function(size)
    if size == nil then
      return raw_new()
    elseif type(size) ~= "number" then
      core.misuse "bad argument #1 to 'new' (number expected)"
    end
    return raw_new(size)
  end,
}
