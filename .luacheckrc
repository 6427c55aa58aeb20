std = "luajit"
max_line_length = 120
-- what a function sees without require
read_globals = {
    "json", "log", "http", "s3", "kv", "cache", "lambda", "events", "crypto", "base64", "hex",
    "secrets", "time", "task", "asset",
}
files["lua/project/spec"] = { std = "+busted", read_globals = { "test" } }
