-- V34: an error whose type would be a header of its own
-- expect: *
-- timeout: 5
return function()
  error(setmetatable({ errorType = "X\r\nSet-Cookie: a=b", code = ("c"):rep(100000), message = ("m\r\n"):rep(1000000) }, {
    __tostring = error,
  }))
end
