-- A table of values kept up to date from the CSV files in a bucket.
return {
  title = "Import CSV files from a bucket",
  summary = "Reads each CSV file that is uploaded, of any size, line by line, and stores every row in the key-value "
    .. "store under the value of one column. Rows that are not well formed are reported, the others imported.",

  params = {
    { name = "bucket", type = "bucket", prompt = "Bucket to watch (made when it is missing)", default = "imports" },
    { name = "prefix", type = "string", prompt = "Only keys that begin with", default = "", pattern = "^[^%*%?%$]*$" },
    { name = "suffix", type = "string", prompt = "Only keys that end in", default = ".csv", pattern = "^[^%*%?%$]*$" },
    { name = "namespace", type = "string", prompt = "Namespace of the key-value store for the rows", default = "rows",
      pattern = "^[%w._%-]+$" },
    { name = "key", type = "string", prompt = "Column whose value becomes the key (empty: the first)", default = "" },
    { name = "separator", type = "string", prompt = "What stands between fields: , or ; or tab", default = ",",
      choices = { ",", ";", "tab" } },
    { name = "name", type = "name", prompt = "Name of the function", default = "s3-csv-import" },
  },

  files = { "handler.lua", "csv.lua" },
  test_event = "event.json",

  build = function(p)
    return {
      name = p.name,
      description = "Imports CSV files from " .. p.bucket,
      handler = "handler.main",
      memory_mb = 64,
      timeout_s = 900,
      environment = {
        NAMESPACE = p.namespace,
        KEY_COLUMN = p.key,
        SEPARATOR = p.separator == "tab" and "\t" or p.separator,
      },
      permissions = {
        { "s3:GetObject", p.bucket .. "/" .. p.prefix .. "*" },
        { "perilune:KvWrite", { p.namespace, p.name } },
      },
      triggers = {
        { s3 = p.bucket, events = { "ObjectCreated:*" }, prefix = p.prefix, suffix = p.suffix },
      },
    }
  end,

  try = function(p)
    local key = p.prefix .. "NAME" .. p.suffix
    return "perilune bucket cp FILE s3://" .. p.bucket .. "/" .. key .. " && perilune kv list " .. p.namespace
  end,
}
