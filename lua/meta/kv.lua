---@meta
--- Keys and values that last. Keys are strings of 1 to 400 bytes, values of up to 256 KiB. Actions:
--- `perilune:KvRead` and `perilune:KvWrite` on `kv/NAMESPACE`.
---@class perilune.kv
kv = {}

---@class perilune.kv.Item
---@field key string
---@field value string
---@field version? integer

---@class perilune.kv.SetOptions
---@field ttl? number Seconds after which it is gone; without one it stays.
---@field if_absent? boolean Only when there is no such key: else `PreconditionFailed`.
---@field if_version? integer Only when it has that version: else `PreconditionFailed`.

---@class perilune.kv.Store
local Store = {}

---@param key string
---@return string? value nil when there is none.
---@return integer|perilune.Error|nil version The version of the value; without a value: what went wrong.
function Store:get(key) end

---@param key string
---@param value string|number
---@param opts? perilune.kv.SetOptions
---@return integer|true|nil version The new version; true inside a transaction.
---@return perilune.Error? err
function Store:set(key, value, opts) end

--- (stored or init or 0) + n, stored and answered. The expiry stays.
---@param key string
---@param n? integer Default: 1.
---@param opts? { init?: integer }
---@return integer? number
---@return perilune.Error? err
function Store:incr(key, n, opts) end

--- True whether there was such a key or not.
---@param key string
---@param opts? { if_version?: integer }
---@return true? done
---@return perilune.Error? err
function Store:delete(key, opts) end

--- A page of keys in their order, at most 1,000 and half a MiB.
---@param opts? { prefix?: string, limit?: integer, cursor?: string }
---@return perilune.kv.Item[]? items
---@return string|perilune.Error|nil cursor Where to go on; nil at the end.
function Store:list(opts) end

---@class perilune.kv.Transaction
local Transaction = {}

--- The same methods; what they write is stored at the end, or not at all.
---@param namespace string
---@return perilune.kv.Store store
function Transaction:open(namespace) end

--- Queues an invocation together with the writes.
---@param name string
---@param payload any
---@param opts? { delay?: number, qualifier?: string } delay: seconds.
---@return true? done
---@return perilune.Error? err
function Transaction:invoke_async(name, payload, opts) end

---@param namespace string 1 to 64 of A-Z a-z 0-9 . - _
---@return perilune.kv.Store store
function kv.open(namespace) end

--- Runs fn and then stores all that it wrote, events included, or nothing: when fn raises an error,
--- returns nil and an error, or a part is refused. When somebody else has changed what fn has read, it
--- runs again, at most ten times; then the error is `Conflict`. Inside, only `tx` can be used; at most
--- 100 keys and events, 1 MiB.
---@generic T
---@param fn fun(tx: perilune.kv.Transaction): T
---@return T|true|nil result What fn returned; true when that was nothing.
---@return perilune.Error? err
function kv.transaction(fn) end

return kv
