---@meta
--- Objects of buckets. A refusal is `nil, err` with the missing action and resource.
---@class perilune.s3
s3 = {}

---@class perilune.s3.Object
---@field body? string Of `s3.get`.
---@field size integer Of the whole object.
---@field etag string
---@field content_type? string
---@field metadata table<string, string>
---@field last_modified number Seconds since 1970.

---@class perilune.s3.PutOptions
---@field content_type? string
---@field metadata? table<string, string|number>
---@field if_none_match? boolean|string true or "*": only when there is no such object yet.

---@class perilune.s3.Entry
---@field key? string
---@field size? integer
---@field etag? string
---@field last_modified? number
---@field prefix? string With a delimiter: what the keys below it have in common.

---@class perilune.s3.Writer
local Writer = {}

--- Adds bytes.
---@param bytes string|number
---@return perilune.s3.Writer? self
---@return perilune.Error? err Nothing of the object will be there.
function Writer:write(bytes) end

--- Makes the object visible, as a whole.
---@return { etag: string, size: integer }? object
---@return perilune.Error? err
function Writer:close() end

--- Up to 6 MiB of an object; larger ones by range, or by `s3.chunks` and `s3.lines`.
---@param bucket string
---@param key string
---@param opts? { range?: integer[]|string } range: {first, last} from 0, inclusive, or "bytes=0-99".
---@return perilune.s3.Object? object
---@return perilune.Error? err
function s3.get(bucket, key, opts) end

--- The same without the body.
---@param bucket string
---@param key string
---@return perilune.s3.Object? object
---@return perilune.Error? err
function s3.head(bucket, key) end

--- Stores up to 6 MiB; larger ones by `s3.writer`.
---@param bucket string
---@param key string
---@param body string|number
---@param opts? perilune.s3.PutOptions
---@return { etag: string }? object
---@return perilune.Error? err
function s3.put(bucket, key, body, opts) end

--- True whether there was such an object or not.
---@param bucket string
---@param key string
---@return true? done
---@return perilune.Error? err
function s3.delete(bucket, key) end

--- Bytes, metadata and content type are the source's; nothing passes through the function.
---@param from_bucket string
---@param from_key string
---@param to_bucket string
---@param to_key string
---@return { etag: string, size: integer }? object
---@return perilune.Error? err
function s3.copy(from_bucket, from_key, to_bucket, to_key) end

--- An iterator over all objects in the order of their keys. The first page is fetched at the call;
--- what goes wrong later raises its error.
---@param bucket string
---@param opts? { prefix?: string, delimiter?: string }
---@return (fun(): perilune.s3.Entry?)? iterator
---@return perilune.Error? err
function s3.list(bucket, opts) end

--- A link with which anybody may do this one thing until it expires, as long as the role may. It
--- begins as the server is reached: its --public-url, else where it listens.
---@param bucket string
---@param key string
---@param opts? { expires?: integer, method?: "GET"|"HEAD"|"PUT"|"DELETE" } expires: seconds, 3600; at most a week.
---@return string? url
---@return perilune.Error? err
function s3.presign(bucket, key, opts) end

--- An iterator over the lines of an object of any size, without their newlines. Of a line longer than
--- `max` its first `max` bytes come, and true behind them.
---@param bucket string
---@param key string
---@param opts? { max?: integer } max: bytes that a line may take in memory.
---@return (fun(): string?, true?)? iterator
---@return perilune.Error? err
function s3.lines(bucket, key, opts) end

--- An iterator over the bytes of an object of any size.
---@param bucket string
---@param key string
---@param size? integer Bytes of each piece but the last; default: 256 KiB, at most 6 MiB.
---@return (fun(): string?)? iterator
---@return perilune.Error? err
function s3.chunks(bucket, key, size) end

--- Writes an object of any size piece by piece. Without `close` there is none.
---@param bucket string
---@param key string
---@param opts? perilune.s3.PutOptions
---@return perilune.s3.Writer? writer
---@return perilune.Error? err
function s3.writer(bucket, key, opts) end

return s3
