-- V40: requests to where nobody should be let, and of a form that no server should see
-- expect: ok
-- timeout: 20
-- grants: perilune:HttpRequest
return function()
  local urls = { "file:///etc/passwd", "gopher://x", "http://127.0.0.1:1969/", "http://[::1]/", "http://169.254.169.254/latest", "http://0/", "http://2130706433/",
    "http://localhost/", "http://user@127.0.0.1/", "http://127.0.0.1\r\nHost: x/", "http://" .. ("h"):rep(100000), "http://h/" .. ("p"):rep(100000), "ftp://h", "", "http://",
    "http://h:99999/", "http://h:-1/", "http://[::ffff:127.0.0.1]/", "http://%31%32%37.0.0.1/" }
  for _, url in ipairs(urls) do
    local ok, res, err = pcall(http.get, url, { timeout = 1 })
    assert(not ok or (res == nil and err), url:sub(1, 60))
  end
  for _, opts in ipairs({ { headers = { ["a\r\nb"] = "c" } }, { headers = { a = "b\r\nc: d" } }, { method = "A B" }, { method = ("M"):rep(100000) }, { timeout = -1 }, { max_bytes = -1 } }) do
    opts.url = "http://127.0.0.1:1/"
    local ok, res, err = pcall(http.request, opts)
    assert(not ok or (res == nil and err))
  end
  return "refused"
end
