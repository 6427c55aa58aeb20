"""perilune check: what can be said without running."""
import json
import re
import subprocess

import pytest

from perilune import BINARY, TOP

pytestmark = pytest.mark.cli


def check(path, *flags):
    return subprocess.run([str(BINARY), "check", str(path), *flags], capture_output=True, text=True, timeout=60)


def findings(folder, files):
    """{(file, line): text} of a project of these files."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    r = check(folder, "--json")
    doc = json.loads(r.stdout)
    assert r.returncode == (1 if doc["findings"] else 0)
    assert doc["errors"] + doc["warnings"] == len(doc["findings"])
    return {(f["file"], f["line"]): f["text"] for f in doc["findings"]}


MANIFEST = 'return { name = "f", permissions = { %s } }'
PLAIN = MANIFEST % ""


def handler(*lines):
    return "\n".join(["return { main = function(event)", *lines, "end }"])


@pytest.mark.parametrize("line, text", [
    ("pritn(event)", "unknown global 'pritn'; did you mean 'print'?"),
    ("return nowhere", "unknown global 'nowhere'"),
    ("os.execute('x')", "functions have no 'os.execute': functions reach no system commands and no files"),
    ("io.open('x')", "functions have no 'io.open': files are read with asset.read, output goes to print and log"),
    ("return string.trim(event)", "functions have no 'string.trim'"),
    ("return s3.putt", "functions have no 's3.putt'; did you mean 'put'?"),
    ("return s3['putt']", "functions have no 's3.putt'; did you mean 'put'?"),
    ("count = 1", "sets the global 'count', which stays between invocations: add 'local'?"),
    ("function helper() end", "sets the global 'helper', which stays between invocations: add 'local'?"),
    ("local x = 1", "unused variable 'x'"),
    ("local function f() end", "unused variable 'f'"),
    ("local x; x = 1", "unused variable 'x'"),
    ("if event then local y = 1 end", "unused variable 'y'"),
    ("for i = 1, 2 do local y = i end", "unused variable 'y'"),
    ("require 'nothing.here'", "there is no module 'nothing.here' in the package"),
    ("require('ffi')", "there is no module 'ffi' in the package"),
    ("return loadfile", "unknown global 'loadfile'"),
])
def test_it_finds(tmp_path, line, text):
    assert findings(tmp_path, {"function.lua": PLAIN, "handler.lua": handler("  -- a comment", f"  {line}")}) == {("handler.lua", 3): text}


@pytest.mark.parametrize("lines", [
    ["local a, b = event.a, event.b", "return b, ('%d'):format(#a), -2 ^ 3, not a"],
    ["local t = { 1, ['k'] = 2, k = 3; [event] = function(...) return select('#', ...) end }", "return t"],
    ["goto done", "::done::", "return [[a", "b]], [==[ ]] ]==], 'it\\'s', \"\\\\\""],
    ["local n = 0", "repeat local m = n + 1; n = m until m > 3", "while n < 5 do n = n + 1 end", "return n"],
    ["local o = {}", "function o.a.b:c(x) return self, x end", "o.d, o.e = 1, 2", "return o"],
    ["local function f(n) return n == 0 and 1 or f(n - 1) end", "return f(event.n)"],
    ["local _unused, _ = 1, 2", "--[[ long", "comment ]] --[==[ another ]==]", "return 0x1F, 1e-3, .5, 3ULL"],
    ["for _, r in ipairs(event.Records or {}) do", "  log.info(r.x, { a = bit.band(1, 2) })", "end"],
    ["later = 1 -- luacheck: ignore", "return later"],
    ["-- luacheck: globals other", "other = 1", "return other"],
    ["return require 'words', require('cjson'), require 'perilune.json', require 'string.buffer'"],
])
def test_it_is_silent(tmp_path, lines):
    assert findings(tmp_path, {"function.lua": PLAIN, "handler.lua": handler(*lines), "lib/words.lua": "return {}"}) == {}


def test_permissions(tmp_path):
    code = handler("local store = kv.open('n')", "store:incr('n')", "s3.get('b', 'k')", "return lambda.invoke('f', {})")
    want = '{ "s3:GetObject", "b/*" }, { { "perilune:KvWrite" }, "n" }, { "lambda:Invoke*", "*" }'
    assert findings(tmp_path, {"function.lua": MANIFEST % want, "handler.lua": code}) == {}
    more = want + ',\n { "s3:PutObject", "b/*" },\n { "sqs:*", "*" }'
    assert findings(tmp_path, {"function.lua": MANIFEST % more}) == {
        ("function.lua", 2): 'permission "s3:PutObject": nothing in the code needs it',
        ("function.lua", 3): 'permission "sqs:*": nothing in the code needs it'}
    assert findings(tmp_path, {"function.lua": MANIFEST % '{ "perilune:Kv*", "n" }'}) == {
        ("handler.lua", 4): 's3.get needs "s3:GetObject", which no permission of function.lua allows',
        ("handler.lua", 5): 'lambda.invoke needs "lambda:InvokeFunction", which no permission of function.lua allows'}
    # a module that goes where it cannot be followed may use all of it
    assert findings(tmp_path, {"function.lua": MANIFEST % '{ "s3:DeleteObject", "*" }', "handler.lua": handler("return pcall(next, s3)")}) == {}


def test_what_does_not_compile_or_load(tmp_path):
    got = findings(tmp_path, {"function.lua": PLAIN, "handler.lua": "return {\n main = = 1\n}", "lib/x.lua": "\n\nlocal y = 1"})
    assert got == {("handler.lua", 2): "unexpected symbol near '='", ("lib/x.lua", 3): "unused variable 'y'"}
    (tmp_path / "lib/x.lua").unlink()
    (tmp_path / "code.lua").write_bytes(b"\x1bLJ\x02")
    assert "bytecode cannot be deployed" in findings(tmp_path, {"handler.lua": handler()})["code.lua", 1]
    (tmp_path / "code.lua").unlink()
    assert findings(tmp_path, {"handler.lua": "local M\nM.x = 1\nreturn M"}) == {("handler.lua", 2): "attempt to index local 'M' (a nil value)"}
    assert "Handler 'main' not found in 'handler.lua'" in findings(tmp_path, {"handler.lua": "return {}"})["function.lua", 1]
    (tmp_path / "handler.lua").unlink()
    assert "no file 'handler.lua' in the package" in findings(tmp_path, {})["function.lua", 1]


@pytest.mark.parametrize("manifest, text", [
    ("return { nam = 'x' }", "unknown member 'nam' in the manifest"),
    ("return 1", "function.lua must return a table"),
    ("return {}", "the manifest has no name"),
    ("error('oh')", "oh"),
    ("while true do end", "timed out"),
    ("return { name = 'f', memory_mb = 'x' }", "'memory_mb' must be a whole number"),
    ("return { name = 'f', permissions = { { 's3:GetObject' } } }", "permission 1 must be { ACTION, RESOURCE }"),
])
def test_manifests(tmp_path, manifest, text):
    assert text in findings(tmp_path, {"function.lua": manifest, "handler.lua": handler()})["function.lua", 1]


def test_what_people_see(tmp_path):
    (tmp_path / "handler.lua").write_text("return function() return nope end")
    r = check(tmp_path)
    assert r.returncode == 1 and r.stdout == f"{tmp_path}/handler.lua:1:26: error: unknown global 'nope'\n"
    assert r.stderr == "checked 1 file: 1 error, 0 warnings\n"
    r = check(tmp_path / "handler.lua")
    assert r.returncode == 1 and r.stdout.startswith("handler.lua:1:26: ")
    assert check(tmp_path / "none").returncode == 3
    (tmp_path / "handler.lua").unlink()
    assert "holds no Lua file" in check(tmp_path).stderr


def test_our_own_lua_is_clean(tmp_path):
    subprocess.run([str(BINARY), "init", str(tmp_path / "new")], check=True, capture_output=True)
    for project in (tmp_path / "new", TOP / "blueprints/s3-upload", TOP / "tests/lua"):
        r = check(project)
        assert r.returncode == 0, r.stdout
    # our modules have more than functions have, but no scope is lost on the way through them
    found = re.findall(r": (?:error|warning): (.*)", check(TOP / "lua").stdout)
    assert [f for f in found if not f.startswith("there is no module")] == []
