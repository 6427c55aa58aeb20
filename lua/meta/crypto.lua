---@meta
--- Digests and random bytes. Without `_hex` they are raw bytes.
---@class perilune.crypto
crypto = {}

---@param bytes string
---@return string digest 32 bytes.
function crypto.sha256(bytes) end

---@param bytes string
---@return string digest
function crypto.sha256_hex(bytes) end

---@param bytes string
---@return string digest 20 bytes.
function crypto.sha1(bytes) end

---@param bytes string
---@return string digest
function crypto.sha1_hex(bytes) end

---@param bytes string
---@return string digest 16 bytes.
function crypto.md5(bytes) end

---@param bytes string
---@return string digest
function crypto.md5_hex(bytes) end

---@param alg "sha256"|"sha1"|"md5"|"sha512"
---@param key string
---@param message string
---@return string mac
function crypto.hmac(alg, key, message) end

---@param alg "sha256"|"sha1"|"md5"|"sha512"
---@param key string
---@param message string
---@return string mac
function crypto.hmac_hex(alg, key, message) end

---@param n integer Up to 1 MiB.
---@return string bytes
function crypto.random(n) end

---@return string uuid Version 4.
function crypto.uuid() end

--- Compares in a time that depends on the length alone: for signatures and tokens.
---@param a string
---@param b string
---@return boolean equal
function crypto.equals(a, b) end

return crypto
