-- A function that runs when a file is uploaded. The table below is all of the template: its
-- parameters drive the command line's and the console's questions, and build() says what is made.
return {
  title = "Run a function when a file is uploaded",
  summary = "Looks into each new object, recognises PNG, JPEG, GIF and WebP pictures by their content, "
    .. "logs key, size, type and pixel dimensions, and counts what it saw.",

  params = {
    { name = "bucket", type = "bucket", prompt = "Bucket to watch (made when it is missing)", default = "uploads" },
    { name = "prefix", type = "string", prompt = "Only keys that begin with", default = "", pattern = "^[^%*%?%$]*$" },
    { name = "suffix", type = "string", prompt = "Only keys that end in", default = "", pattern = "^[^%*%?%$]*$" },
    { name = "name", type = "name", prompt = "Name of the function", default = "s3-upload" },
  },

  files = { "handler.lua" },
  test_event = "event.json",

  build = function(p)
    return {
      name = p.name,
      description = "Looks at what is uploaded into " .. p.bucket,
      handler = "handler.main",
      memory_mb = 64,
      timeout_s = 10,
      -- No more than it uses: reading what it watches, and counting under its own name.
      permissions = {
        { "s3:GetObject", p.bucket .. "/" .. p.prefix .. "*" },
        { { "perilune:KvRead", "perilune:KvWrite" }, p.name },
      },
      triggers = {
        { s3 = p.bucket, events = { "ObjectCreated:*" }, prefix = p.prefix, suffix = p.suffix },
      },
    }
  end,

  try = function(p)
    local any = p.suffix == ""
    return "perilune bucket cp " .. (any and "picture.jpg" or "FILE") .. " s3://" .. p.bucket .. "/" .. p.prefix
      .. (any and "picture.jpg" or "NAME" .. p.suffix)
  end,
}
