---@meta
--- Requests to other machines. The role must allow `perilune:HttpRequest` on the URL; private
--- addresses only where it names them.
---@class perilune.http
http = {}

---@class perilune.http.Options
---@field headers? table<string, string|number>
---@field query? table<string, string|number|boolean|table> Put behind the URL.
---@field body? string
---@field json? any The body, as JSON.
---@field timeout? number Seconds.
---@field max_bytes? integer Of the answer's body; 10 MiB.
---@field method? string

---@class perilune.http.Request: perilune.http.Options
---@field url string

---@class perilune.http.Response
---@field status integer
---@field headers table<string, string> Names in any letter case.
---@field body string
local Response = {}

--- The body's value.
---@return any value
---@return perilune.Error? err
function Response:json() end

---@param url string
---@param opts? perilune.http.Options
---@return perilune.http.Response? response
---@return perilune.Error? err
function http.get(url, opts) end

---@param url string
---@param body string
---@param opts? perilune.http.Options
---@return perilune.http.Response? response
---@return perilune.Error? err
function http.post(url, body, opts) end

--- Up to five redirects are followed, each checked anew.
---@param request perilune.http.Request
---@return perilune.http.Response? response
---@return perilune.Error? err
function http.request(request) end

--- An answer that leaves while it is made, for function URLs with InvokeMode RESPONSE_STREAM: for the
--- handler to return.
---@param body fun(write: fun(text: string): boolean?, perilune.Error?)
---@param head? { statusCode?: integer, headers?: table<string, string>, cookies?: string[] }
---@return table? answer
function http.respond_stream(body, head) end

return http
