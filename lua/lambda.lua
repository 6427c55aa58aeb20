-- lambda: calling other functions. Payloads are any values that have a JSON form.
local core, env = ...

local call, check, n = core.call, core.check, core.numbers
local INVOKE, INVOKE_ASYNC = n["lambda.invoke"], n["lambda.invoke_async"]
local FUNCTION, QUALIFIER, PAYLOAD, DELAY_MS = n["function"], n.qualifier, n.payload, n.delay_ms
local encode, decode = env.json.encode, env.json.decode
local type, ceil = type, math.ceil
local new_error = core.new_error

local lambda = {}
env.lambda = lambda

local function payload_text(payload)
  if payload == nil then
    return "{}"
  end
  return encode(payload)
end

-- An error of the called function: code and message are its errorType and errorMessage, `error` is
-- its whole error object.
local function function_error(object)
  local code, message = "Unhandled", "the function failed"
  if type(object) == "table" then
    code = type(object.errorType) == "string" and object.errorType or code
    message = type(object.errorMessage) == "string" and object.errorMessage or message
  end
  local err = new_error(code, message)
  err.error = object
  return err
end

-- What the function returned.
function lambda.invoke(name, payload, opts)
  name = check.need("lambda.invoke", 1, name, "string")
  opts = check.options("lambda.invoke", 3, opts, { qualifier = "string" })
  local result, err = call(INVOKE, FUNCTION, name, QUALIFIER, opts.qualifier,
    PAYLOAD, payload_text(payload))
  if not result then
    return nil, err
  end
  local value = result.payload and decode(result.payload)
  if result.function_error then
    return nil, function_error(value)
  end
  return value
end

-- Checked arguments of an asynchronous invocation: name, payload as text, options, delay in ms.
function core.async_args(fn, name, payload, opts)
  name = check.need(fn, 1, name, "string")
  opts = check.options(fn, 3, opts, { qualifier = "string", delay = "number" })
  if opts.delay and not (opts.delay >= 0 and opts.delay <= 1e9) then
    check.fail(fn, 3, "delay must be a number of seconds")
  end
  return name, payload_text(payload), opts, opts.delay and ceil(opts.delay * 1000)
end

-- The request id, once the event is stored.
function lambda.invoke_async(name, payload, opts)
  local text, delay_ms
  name, text, opts, delay_ms = core.async_args("lambda.invoke_async", name, payload, opts)
  local result, err = call(INVOKE_ASYNC, FUNCTION, name, QUALIFIER, opts.qualifier,
    PAYLOAD, text, DELAY_MS, delay_ms)
  if not result then
    return nil, err
  end
  return result.request_id
end
