"""The definitions that editors and the reference are made of, against the modules themselves."""
import json
import re

import pytest

from perilune import BINARY, TOP, unique

import subprocess

pytestmark = pytest.mark.boto3

# What has definitions but is no module, and modules of a kind of their own.
NOT_MODULES = {"context", "test"}

WALK = """
return { main = function(e, context)
  -- every table of functions that is there without being asked for
  local globals = {}
  for k, v in pairs(_G) do if type(v) == 'table' and package.loaded[k] == nil and k ~= '_G' then globals[#globals + 1] = k end end
  local found = {}
  for _, name in ipairs(e.modules) do
    local m = require('perilune.' .. name)
    assert(m == _G[name] and m == require(name), name)
    found[name] = { functions = {}, others = {} }
    for k, v in pairs(m) do
      local list = type(v) == 'function' and 'functions' or 'others'
      table.insert(found[name][list], k)
    end
  end
  local seen = {}
  for _, name in ipairs(e.context) do seen[#seen + 1] = context[name] ~= nil and name or nil end
  return { found = found, globals = globals, context = seen }
end }
"""


def reference(*args):
    r = subprocess.run([str(BINARY), "reference", *args], capture_output=True, text=True, check=True)
    return r.stdout


@pytest.fixture(scope="module")
def defined():
    return {m["name"]: m for m in json.loads(reference("--json"))}


@pytest.fixture(scope="module")
def real(server, defined):
    modules = sorted(set(defined) - NOT_MODULES)
    context = [c for c in defined["context"]["classes"] if c["name"] == "perilune.Context"][0]
    names = [f["name"].rstrip("?") for f in context["fields"]] + [m["name"].split(".")[1] for m in context["methods"]]
    name = server.make_function(WALK)
    import base64
    value, error, _ = server.invoke(name, {"modules": modules, "context": names}, ClientContext=base64.b64encode(b'{"custom":{}}').decode())
    assert error is None, value
    value["names"] = names
    return value


def test_every_function_has_a_definition_and_the_reverse(defined, real):
    for module, there in real["found"].items():
        wanted = {f["name"].split(".", 1)[1] for f in defined[module]["functions"]}
        assert set(there["functions"]) == wanted, module
        assert set(there["others"] or []) == {f["name"] for f in defined[module]["fields"]}, module
    assert set(real["globals"]) == set(real["found"]), "a module without a file in lua/meta"


def test_the_context_is_as_defined(real):
    assert sorted(real["context"]) == sorted(real["names"])


# Methods hide behind locked metatables; the sources say which there are.
@pytest.mark.parametrize("path, table, cls", [
    ("lua/kv.lua", "store", "perilune.kv.Store"), ("lua/transaction.lua", "store", "perilune.kv.Store"),
    ("lua/transaction.lua", "tx_methods", "perilune.kv.Transaction"), ("lua/s3_stream.lua", "writer", "perilune.s3.Writer"),
    ("lua/http.lua", "methods", "perilune.http.Response"),
])
def test_every_method_has_a_definition_and_the_reverse(defined, path, table, cls):
    there = set(re.findall(rf"^function {table}:(\w+)\(", (TOP / path).read_text(), re.M))
    wanted = {m["name"].split(":")[1] for d in defined.values() for c in d["classes"] if c["name"] == cls for m in c["methods"]}
    assert there and there == wanted


def test_definitions_compile_and_name_what_they_use(server, defined):
    files = {f"lua/meta/{p.name}": p.read_text() for p in (TOP / "lua/meta").glob("*.lua")}
    assert all(text.startswith("---@meta\n") for text in files.values())
    name = server.make_function({"handler.lua": "return { main = function(e) for _, f in ipairs(e) do assert(load(asset.read(f))) end return #e end }", **files})
    assert server.invoke(name, sorted(files))[0] == len(files)
    classes = set(re.findall(r"---@class ([\w.]+)", "".join(files.values())))
    used = set(re.findall(r"(?<![\w.])perilune\.[\w.]*[A-Z]\w*", "".join(files.values())))
    assert used <= classes | {"perilune.Handler"}, used - classes
    for text in files.values():  # the parameters that are described are those of the function below them
        for block, head in re.findall(r"((?:^---.*\n)+)^function [\w.:]+\(([^)]*)\)", text, re.M):
            described = [p.rstrip("?") for p in re.findall(r"---@param (\S+)", block)]
            assert described == [p.strip() for p in head.split(",") if p.strip()], (block, head)


def test_the_reference_is_readable(defined):
    page = reference("--markdown")
    for module in defined:
        assert f"\n## {module}\n" in page
    assert "### `s3.get(bucket, key, opts?)`" in page
    assert "kv.transaction(fn)" in reference("kv") and "Store:incr(key, n?, opts?)" in reference("kv")
    assert "s3.presign" in reference("s3.get") and "time.sleep(seconds)" in reference()
    r = subprocess.run([str(BINARY), "reference", "nothing"], capture_output=True, text=True)
    assert r.returncode == 3 and "nothing" in r.stderr


def test_what_calls_give_can_be_walked_and_shows_nothing_else(server):
    """Types that only a running function can make: nothing is in them but what is meant to be."""
    bucket = unique("bucket")
    server.client("s3").create_bucket(Bucket=bucket)
    name = server.make_function("""return { main = function(e)
      s3.put(e, 'k', ('line\\n'):rep(20000))
      local function empty(v, meta)
        assert(getmetatable(v) == meta and next(v) == nil, meta)
        assert(not pcall(setmetatable, v, {}) and not tostring(v):find('0x%x%x%x%x%x%x%x%x%x'))
      end
      local w = s3.writer(e, 'new')
      empty(w, 'writer')
      assert(w.handle == nil and w.parts == nil and w.__index == nil and type(w.write) == 'function' and type(w.close) == 'function')
      assert(not pcall(w.write, setmetatable({}, {}), 'x') and not pcall(w.close, {}))
      for _, it in ipairs { s3.chunks(e, 'k'), s3.lines(e, 'k'), s3.list(e), events.records {} } do
        assert(type(it) == 'function' and debug.getupvalue == nil)
      end
      local obj = s3.get(e, 'k')
      for k, v in pairs(obj) do assert(({ body = 1, etag = 1, size = 1, last_modified = 1, metadata = 1, content_type = 1 })[k], k) end
      local _, err = s3.get(e, 'none')
      assert(getmetatable(err) == 'error' and err.code == 'NoSuchKey')
      for k in pairs(err) do assert(k == 'code' or k == 'message', k) end
      kv.transaction(function(tx)
        empty(tx, 'transaction')
        empty(tx:open 'n', 'kv')
        assert(not pcall(tx.open, {}, 'n') and not pcall(tx.invoke_async, kv, 'f'))
      end)
      local listed = kv.open 'n':list()
      assert(getmetatable(listed) == nil)
      for _, v in ipairs { w, obj, err, listed } do for _, x in pairs(v) do assert(type(x) ~= 'cdata' and type(x) ~= 'userdata') end end
      return true
    end }""", role=server.make_role({"Effect": "Allow", "Action": "*", "Resource": "*"}))
    value, error, _ = server.invoke(name, bucket)
    assert error is None and value is True, value
