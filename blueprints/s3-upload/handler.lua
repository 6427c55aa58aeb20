-- Runs once for each uploaded object: looks at the first bytes, says what it is, counts it.
--
-- A picture's dimensions stand near its beginning, so only a piece of the object is read, whatever
-- its size. JPEG keeps them behind segments of any length (thumbnails, colour profiles): the walk
-- from segment to segment fetches another piece when it leaves the one at hand.
local M = {}

local PIECE = 64 * 1024 -- bytes fetched at a time
local PIECES = 64       -- pieces looked at before giving up on one object

-- A reader of one object: at(offset, n) gives n bytes from offset (counted from 0), or nil where the
-- object ends before that.
local function reader(bucket, key, size)
  local from, piece, fetched = 0, "", 0
  return function(offset, n)
    if offset + n > size then
      return nil
    end
    if offset < from or offset + n > from + #piece then
      if fetched == PIECES then
        return nil
      end
      fetched = fetched + 1
      local last = math.min(offset + PIECE, size) - 1
      local object, err = s3.get(bucket, key, { range = { offset, last } })
      if not object then
        error(err, 0)
      end
      from, piece = offset, object.body
    end
    local start = offset - from
    if start + n > #piece then
      return nil -- it was replaced by a shorter one meanwhile
    end
    return piece:sub(start + 1, start + n)
  end
end

local function big16(s, i)
  local a, b = s:byte(i, i + 1)
  return a * 256 + b
end

local function little16(s, i)
  local a, b = s:byte(i, i + 1)
  return a + b * 256
end

local function little24(s, i)
  local a, b, c = s:byte(i, i + 2)
  return a + b * 256 + c * 65536
end

local function png(at)
  local s = at(8, 16) -- the first chunk: length, "IHDR", width, height
  if s and s:sub(5, 8) == "IHDR" then
    return big16(s, 9) * 65536 + big16(s, 11), big16(s, 13) * 65536 + big16(s, 15)
  end
end

local function gif(at)
  local s = at(6, 4)
  if s then
    return little16(s, 1), little16(s, 3)
  end
end

local function webp(at)
  local kind, s = at(12, 4), at(20, 10)
  if not s then
    return nil
  elseif kind == "VP8X" then -- extended: the canvas, each side less one
    return little24(s, 5) + 1, little24(s, 8) + 1
  elseif kind == "VP8L" and s:byte(1) == 0x2f then -- lossless: twice 14 bits, each less one
    local low, high = little16(s, 2), little16(s, 4)
    return low % 16384 + 1, math.floor(low / 16384) + high % 4096 * 4 + 1
  elseif kind == "VP8 " and s:sub(4, 6) == "\157\1\42" then -- lossy: twice 14 bits and a scale
    return little16(s, 7) % 16384, little16(s, 9) % 16384
  end
end

-- Markers that begin a frame, and so hold the dimensions: C0 to CF but the three that mean else.
local function begins_frame(marker)
  return marker >= 0xc0 and marker <= 0xcf and marker ~= 0xc4 and marker ~= 0xc8 and marker ~= 0xcc
end

local function jpeg(at)
  local offset = 2
  while true do
    local s = at(offset, 4)
    if not s or s:byte(1) ~= 0xff then
      return nil
    end
    local marker = s:byte(2)
    if marker == 0xff then -- a fill byte
      offset = offset + 1
    elseif begins_frame(marker) then
      local frame = at(offset + 5, 4)
      if not frame then
        return nil
      end
      return big16(frame, 3), big16(frame, 1)
    elseif marker == 0xd9 or marker == 0xda then -- the picture itself: no frame came before it
      return nil
    elseif marker == 0x01 or (marker >= 0xd0 and marker <= 0xd8) then -- bare markers
      offset = offset + 2
    else
      local length = big16(s, 3)
      if length < 2 then
        return nil
      end
      offset = offset + 2 + length
    end
  end
end

-- What it is, and its width and height where those can be read.
local function identify(at, size)
  local s = at(0, math.min(16, size)) or ""
  if s:sub(1, 8) == "\137PNG\r\n\26\n" then
    return "png", png(at)
  elseif s:sub(1, 3) == "\255\216\255" then
    return "jpeg", jpeg(at)
  elseif s:sub(1, 6) == "GIF87a" or s:sub(1, 6) == "GIF89a" then
    return "gif", gif(at)
  elseif s:sub(1, 4) == "RIFF" and s:sub(9, 12) == "WEBP" then
    return "webp", webp(at)
  end
  return "other"
end

local function look_at(record, counts)
  local bucket, size = record.s3.bucket.name, record.s3.object.size or 0
  local key = events.decode_key(record.s3.object.key) -- keys in events are form-encoded
  local ok, kind, width, height = pcall(identify, reader(bucket, key, size), size)
  if not ok then
    local err = kind
    if type(err) == "table" and (err.code == "NoSuchKey" or err.code == "InvalidArgument") then
      log.warn("gone before it could be read", { key = key, bucket = bucket })
      return { key = key, size = size, type = "gone" }
    end
    error(err, 0) -- anything else: fail, so that the event is tried again
  end
  local count = counts:incr(kind)
  local seen = { key = key, size = size, type = kind, width = width, height = height }
  log.info("uploaded", { key = key, bucket = bucket, size = size, type = kind, width = width, height = height,
    count = count })
  return seen
end

function M.main(event, context)
  local counts = kv.open(context.function_name)
  local objects = json.array {}
  for _, record in ipairs(event.Records or {}) do
    objects[#objects + 1] = look_at(record, counts)
  end
  return { objects = objects }
end

return M
