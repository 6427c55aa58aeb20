-- Imports each uploaded CSV file: every row becomes a JSON object, column by column, in the key-value
-- store. The first row names the columns.
--
-- Rows are stored in batches, one transaction each. A file that is imported again writes the same again,
-- so an event that comes twice, or an import that is cut off and tried again, does no harm.
local csv = require "csv"

local M = {}

local BATCH_ROWS, BATCH_BYTES = 100, 512 * 1024 -- a transaction takes 100 keys and 1 MiB
local KEY_MAX, VALUE_MAX = 400, 256 * 1024      -- of the store
local REPORTED = 20                             -- bad rows told one by one

-- Collects rows, and stores them when there are enough.
local function batches(namespace)
  local rows, count, bytes = {}, 0, 0
  local self = {}

  function self.flush()
    if count == 0 then
      return
    end
    local done, err = kv.transaction(function(tx)
      local store = tx:open(namespace)
      for key, value in pairs(rows) do
        local ok, why = store:set(key, value)
        if not ok then
          return nil, why
        end
      end
    end)
    if not done then
      error(err, 0) -- the event is tried again
    end
    rows, count, bytes = {}, 0, 0
  end

  function self.add(key, value)
    if not rows[key] then
      count = count + 1
    end
    rows[key], bytes = value, bytes + #key + #value -- of rows with one key the last one counts
    if count == BATCH_ROWS or bytes >= BATCH_BYTES then
      self.flush()
    end
  end

  return self
end

-- The columns' names and the number of the one with the key; nil, what is wrong.
local function read_head(fields)
  local key_column = os.getenv "KEY_COLUMN" or ""
  local seen, key = {}, key_column == "" and 1 or nil
  for i, name in ipairs(fields) do
    if name == "" or seen[name] then
      return nil, (name == "" and "column " .. i .. " has no name" or "two columns are named " .. name)
    end
    seen[name] = true
    key = key or (name == key_column and i) or nil
  end
  if not key then
    return nil, "there is no column " .. key_column
  end
  return fields, key
end

-- Key and value of a row; nil, what is wrong with it.
local function row_of(columns, key_at, fields)
  if #fields ~= #columns then
    return nil, #fields .. " fields instead of " .. #columns
  end
  local key = fields[key_at]
  if key == "" or #key > KEY_MAX then
    return nil, key == "" and "the key is empty" or "the key is longer than " .. KEY_MAX .. " bytes"
  end
  local object = {}
  for i, name in ipairs(columns) do
    object[name] = fields[i]
  end
  local ok, value = pcall(json.encode, object)
  if not ok then
    return nil, "the text is no UTF-8"
  elseif #value > VALUE_MAX then
    return nil, "the row is larger than " .. VALUE_MAX .. " bytes"
  end
  return key, value
end

-- Says what is wrong with a row: the first ones by line, all by number.
local function reporter(report)
  return function(line, why)
    report.bad = report.bad + 1
    if report.bad <= REPORTED then
      report.errors[report.bad] = { line = line, reason = why }
      log.warn("bad row", { key = report.key, line = line, reason = why })
    end
  end
end

local function import(bucket, key)
  local report = { key = key, rows = 0, bad = 0, errors = json.array {} }
  local bad = reporter(report)
  local lines, err = s3.lines(bucket, key, { max = csv.ROW_MAX })
  if not lines then
    if err.code ~= "NoSuchKey" then
      error(err, 0)
    end
    log.warn("gone before it could be read", { key = key })
    report.gone = true
    return report
  end
  local columns, key_at
  local batch = batches(os.getenv "NAMESPACE")
  for line, fields, why in csv.rows(lines, os.getenv "SEPARATOR" or ",") do
    local row_key, value
    if not fields then
      bad(line, why)
    elseif not columns then
      columns, key_at = read_head(fields)
      if not columns then
        bad(line, key_at)
        break -- without names of columns no row can be read
      end
    else
      row_key, value = row_of(columns, key_at, fields)
      if row_key then
        batch.add(row_key, value)
        report.rows = report.rows + 1
      else
        bad(line, value)
      end
    end
  end
  batch.flush()
  log.info("imported", { key = key, rows = report.rows, bad = report.bad })
  return report
end

function M.main(event, context)
  local reports, own = json.array {}, kv.open(context.function_name)
  for record in events.records(event) do
    local key = events.decode_key(record.s3.object.key)
    local report = import(record.s3.bucket.name, key)
    reports[#reports + 1] = report
    -- the last report about each file, for whoever looks later
    assert(own:set("report:" .. key:sub(1, KEY_MAX - 7), json.encode(report)))
  end
  return { files = reports }
end

return M
