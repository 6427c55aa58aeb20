-- events: helpers for what triggers send.
local core, env = ...

local check = core.check
local type, gsub, char, tonumber = type, string.gsub, string.char, tonumber
local null = env.json.null

local events = {}
env.events = events

-- The object's key as it is, from the form encoding that S3 events carry.
function events.decode_key(key)
  key = check.need("events.decode_key", 1, key, "string")
  key = gsub(key, "%+", " ")
  return (gsub(key, "%%(%x%x)", function(hex)
    return char(tonumber(hex, 16))
  end))
end

-- An iterator over the records of an event; an event without any has none.
function events.records(event)
  local records = type(event) == "table" and event.Records
  local i = 0
  return function()
    i = i + 1
    local record = type(records) == "table" and records[i] or nil
    if record ~= null then
      return record
    end
  end
end

local function field(value, name)
  if type(value) == "table" then
    return value[name]
  end
end

-- Who sent it: "s3", "schedule", "url", "destination", or "invoke" for a direct call.
function events.source(event)
  local records = field(event, "Records")
  if field(field(records, 1), "eventSource") == "aws:s3" then
    return "s3"
  elseif field(event, "source") == "aws.events" and field(event, "detail-type") then
    return "schedule"
  elseif field(field(event, "requestContext"), "http") then
    return "url"
  elseif field(field(event, "requestContext"), "functionArn") and field(event, "requestPayload") ~= nil then
    return "destination"
  end
  return "invoke"
end
