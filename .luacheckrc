std = "luajit"
max_line_length = 120
-- what a function sees without require
read_globals = {
    "json", "log", "http", "s3", "kv", "cache", "lambda", "events", "crypto", "base64", "hex",
    "secrets", "time", "task", "asset",
}
files["lua/project/spec"] = { std = "+busted", read_globals = { "test" } }
files["blueprints/*/spec"] = { std = "+busted", read_globals = { "test" } }
-- definitions for editors: globals made, arguments named and nothing done
files["lua/meta"] = { globals = read_globals, unused_args = false, unused_secondaries = false, max_line_length = false,
    ignore = { "241" } }
