-- event: events as the platform sends them, for test.event(kind, fields).
local core, env = ...

local fakes, misuse = core.fakes, core.misuse
local crypto, iso8601, encode, base64 = env.crypto, env.time.iso8601, env.json.encode, env.base64
local type, next, pairs, tostring = type, next, pairs, core.tostring
local format, gsub, sub, match, find, lower, byte, concat = string.format, string.gsub, string.sub, string.match,
  string.find, string.lower, string.byte, table.concat

local REGION, ACCOUNT = "us-east-1", "000000000000"

local makers = {}

local function check(kind, fields, known)
  for name in next, fields do
    if not find(known, " " .. tostring(name) .. " ", 1, true) then
      misuse("test.event(\"" .. kind .. "\") knows no field '" .. tostring(name) .. "', only:" .. known)
    end
  end
end

-- As keys stand in events: form encoding that leaves slashes.
local function encode_key(key)
  key = gsub(key, "[^%w%-_.*/ ]", function(c)
    return format("%%%02X", byte(c))
  end)
  return (gsub(key, " ", "+"))
end

local names = {
  put = "ObjectCreated:Put", post = "ObjectCreated:Post", copy = "ObjectCreated:Copy",
  multipart = "ObjectCreated:CompleteMultipartUpload", delete = "ObjectRemoved:Delete",
  marker = "ObjectRemoved:DeleteMarkerCreated",
}

-- An object that the fakes hold gives size and ETag; `body` puts one there first.
local function s3_record(kind, fields)
  check("s3:" .. kind, fields, " bucket key body size etag version id region time content_type metadata ")
  local name = names[kind]
  if not name then
    misuse("test.event knows s3:put, post, copy, multipart, delete and marker, not 's3:" .. kind .. "'")
  end
  local bucket, key = fields.bucket or "uploads", fields.key or "file.txt"
  if fields.body then
    fakes.put(bucket, key, tostring(fields.body), fields.content_type, fields.metadata)
  end
  local o = fakes.object { bucket = bucket, key = key }
  local removed = sub(name, 1, 13) == "ObjectRemoved"
  return {
    eventVersion = "2.1",
    eventSource = "aws:s3",
    awsRegion = fields.region or REGION,
    eventTime = iso8601(fields.time),
    eventName = name,
    userIdentity = { principalId = ACCOUNT },
    requestParameters = { sourceIPAddress = "127.0.0.1" },
    responseElements = { ["x-amz-request-id"] = crypto.uuid(), ["x-amz-id-2"] = "spec" },
    s3 = {
      s3SchemaVersion = "1.0",
      configurationId = fields.id or "spec-1",
      bucket = { name = bucket, ownerIdentity = { principalId = ACCOUNT }, arn = "arn:aws:s3:::" .. bucket },
      object = {
        key = encode_key(key),
        size = not removed and (fields.size or (o and #o.body) or 0) or nil,
        eTag = not removed and (fields.etag or (o and o.etag) or "d41d8cd98f00b204e9800998ecf8427e") or nil,
        versionId = fields.version,
        sequencer = format("%016X", fakes.version()),
      },
    },
  }
end

-- One table of fields gives one record; a list of tables as many.
local function s3_event(kind, fields)
  local records = {}
  if fields[1] then
    for i = 1, #fields do
      records[i] = s3_record(kind, fields[i])
    end
  else
    records[1] = s3_record(kind, fields)
  end
  return { Records = records }
end

function makers.schedule(fields)
  check("schedule", fields, " name time detail region ")
  return {
    version = "0",
    id = crypto.uuid(),
    ["detail-type"] = "Scheduled Event",
    source = "aws.events",
    account = ACCOUNT,
    time = gsub(iso8601(fields.time), "%.%d+Z$", "Z") .. "",
    region = fields.region or REGION,
    resources = { format("arn:aws:events:%s:%s:rule/%s", fields.region or REGION, ACCOUNT, fields.name or "schedule") },
    detail = fields.detail or {},
  }
end

local function form(value)
  return (gsub(tostring(value), "[^%w%-_.~]", function(c)
    return format("%%%02X", byte(c))
  end))
end

local function query_text(query)
  local parts = {}
  for _, name in next, fakes.sorted(query) do
    parts[#parts + 1] = form(name) .. "=" .. form(query[name])
  end
  return concat(parts, "&")
end

local months = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" }

-- The call of a function URL, payload format 2.0. A table as body is sent as JSON; bytes that are no
-- text as base64.
function makers.url(fields)
  check("url", fields, " method path query headers body cookies ip base64 ")
  local headers, path = { host = "spec.perilune", ["user-agent"] = "spec" }, fields.path or "/"
  local body, encoded = fields.body, fields.base64
  if type(body) == "table" then
    body = encode(body)
    headers["content-type"] = "application/json"
  end
  for name, value in pairs(fields.headers or {}) do
    headers[lower(name)] = tostring(value)
  end
  if body and encoded then
    body = base64.encode(body)
  end
  local query = {}
  for name, value in pairs(fields.query or {}) do
    query[name] = tostring(value)
  end
  local method = fields.method or (body and "POST" or "GET")
  local y, mo, d, time = match(iso8601(), "^(%d+)%-(%d+)%-(%d+)T([%d:]+)")
  return {
    version = "2.0",
    routeKey = "$default",
    rawPath = path,
    rawQueryString = query_text(query),
    cookies = fields.cookies,
    headers = headers,
    queryStringParameters = next(query) and query or nil,
    requestContext = {
      accountId = "anonymous",
      apiId = "spec",
      domainName = headers.host,
      domainPrefix = "spec",
      http = { method = method, path = path, protocol = "HTTP/1.1", sourceIp = fields.ip or "127.0.0.1",
        userAgent = headers["user-agent"] },
      requestId = crypto.uuid(),
      routeKey = "$default",
      stage = "$default",
      time = format("%s/%s/%s:%s +0000", d, months[tonumber(mo)], y, time),
      timeEpoch = math.floor(fakes.now() * 1000),
    },
    body = body,
    isBase64Encoded = encoded and true or false,
  }
end

function makers.destination(fields)
  check("destination", fields, " payload response error condition attempts name ")
  local failed = fields.error ~= nil
  return {
    version = "1.0",
    timestamp = iso8601(),
    requestContext = {
      requestId = crypto.uuid(),
      functionArn = format("arn:aws:lambda:%s:%s:function:%s:$LATEST", REGION, ACCOUNT, fields.name or "other"),
      condition = fields.condition or (failed and "RetriesExhausted" or "Success"),
      approximateInvokeCount = fields.attempts or (failed and 3 or 1),
    },
    requestPayload = fields.payload or {},
    responseContext = { statusCode = 200, executedVersion = "$LATEST", functionError = failed and "Unhandled" or nil },
    responsePayload = failed and fields.error or fields.response,
  }
end

function core.make_event(kind, fields)
  if type(kind) ~= "string" or (fields ~= nil and type(fields) ~= "table") then
    misuse("test.event takes a kind and a table: test.event(\"s3:put\", { bucket = …, key = … })")
  end
  fields = fields or {}
  local s3 = match(kind, "^s3:(.+)$")
  if s3 then
    return s3_event(s3, fields)
  elseif not makers[kind] then
    misuse("test.event knows s3:put, s3:delete, …, schedule, url and destination, not '" .. kind .. "'")
  end
  return makers[kind](fields)
end
