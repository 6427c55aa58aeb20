-- V43: a handler that is a table with a __call, a userdata, a number
-- expect: Runtime.HandlerNotFound ok
-- timeout: 5
return setmetatable({}, { __call = function() return "called" end, __index = function() return setmetatable({}, { __call = print }) end })
