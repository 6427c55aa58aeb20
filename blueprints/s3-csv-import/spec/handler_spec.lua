-- Run by 'perilune test': CSV as people write it, and as it should not be.
local csv = require "csv"

local function rows(text, separator)
  local lines, at = {}, 0
  for line in (text:sub(-1) == "\n" and text or text .. "\n"):gmatch "(.-)\n" do
    lines[#lines + 1] = line
  end
  local found = {}
  for line, fields, why in csv.rows(function()
    at = at + 1
    return lines[at]
  end, separator or ",") do
    found[#found + 1] = fields or { line, why }
  end
  return found
end

describe("a row", function()
  it("is fields between separators", function()
    assert.are.same({ { "a", "b", "" }, { "", "", "" } }, rows "a,b,\n,,\n")
    assert.are.same({ { "a,b", "c" } }, rows("a,b;c", ";"))
    assert.are.same({ { "a", "b" } }, rows("a\tb", "\t"))
  end)

  it("may quote", function()
    assert.are.same({ { "a,b", 'say "so"', "" } }, rows '"a,b","say ""so""",""')
    assert.are.same({ { '"', '""' } }, rows '"""",""""""')
    assert.are.same({ { "one\n\nthree", "x" }, { "y", "z" } }, rows '"one\n\nthree",x\ny,z')
    assert.are.same({ { "a\r\nb", "c" } }, rows '"a\r\nb",c\r\n')
  end)

  it("may end as on Windows, begin with a mark, or be empty", function()
    assert.are.same({ { "a", "b" }, { "c", "d" } }, rows "\239\187\191a,b\r\n\r\n\nc,d\r\n")
    assert.are.same({ { "a" } }, rows '\239\187\191"a"')
  end)

  it("is told when it is wrong, and the next one is read", function()
    assert.are.same({ { 1, "something follows the closing quote of field 1" }, { "b" } }, rows '"a"x\nb')
    assert.are.same({ { 1, 'a quote inside field 1, which is not quoted' }, { "b" } }, rows 'a"x\nb')
    assert.are.same({ { "a" }, { 2, "a quote is not closed before the file ends" } }, rows 'a\n"x\nb')
  end)

  it("has a largest size", function()
    local line = ("x"):rep(1000)
    local found = rows('"' .. (line .. "\n"):rep(300) .. "a\n" .. ("y"):rep(300000) .. "\nb")
    assert.are.equal(1, found[1][1])
    assert.matches("not closed within", found[1][2])
    assert.are.same({ "b" }, found[#found])
    assert.matches("a line of more than", found[#found - 1][2])
  end)
end)

describe("a file", function()
  before_each(function()
    test.env("NAMESPACE", "rows")
    test.env("SEPARATOR", ",")
    test.env("KEY_COLUMN", "")
  end)

  local function import(body)
    local answer, err = test.invoke(test.event("s3:put", { bucket = "imports", key = "a b.csv", body = body }))
    assert.is_nil(err)
    return answer.files[1]
  end

  it("is imported row by row", function()
    local report = import(asset.read "example.csv")
    local errors = { { line = 4, reason = "2 fields instead of 3" } }
    assert.are.same({ key = "a b.csv", rows = 3, bad = 1, errors = errors }, report)
    assert.are.same({ sku = "L-2", name = 'Lamp, "large"', price = "24.00" }, json.decode((kv.open("rows"):get "L-2")))
    assert.are.same(report, json.decode((kv.open(test.context().function_name):get "report:a b.csv")))
  end)

  it("may be keyed by another column", function()
    test.env("KEY_COLUMN", "name")
    import "id,name\n1,Ada\n2,\n"
    assert.are.equal('1', json.decode((kv.open("rows"):get "Ada")).id)
  end)

  it("takes the last of rows with one key, in any number of batches", function()
    local lines = { "id,n" }
    for i = 1, 1050 do
      lines[#lines + 1] = i % 350 .. "," .. i
    end
    local report = import(table.concat(lines, "\n"))
    assert.are.equal(1050, report.rows)
    assert.are.equal("1050", json.decode((kv.open("rows"):get "0")).n)
    assert.are.equal("701", json.decode((kv.open("rows"):get "1")).n)
  end)

  it("needs a head", function()
    assert.are.equal("two columns are named a", import("a,a\n1,2").errors[1].reason)
    assert.are.equal("column 2 has no name", import("a,\n1,2").errors[1].reason)
    test.env("KEY_COLUMN", "none")
    assert.are.equal("there is no column none", import("a,b\n1,2").errors[1].reason)
    test.env("KEY_COLUMN", "")
    assert.are.same({ key = "a b.csv", rows = 0, bad = 0, errors = json.array {} }, import "")
  end)

  it("is told of at most twenty bad rows by line", function()
    local report = import("a,b\n" .. ("1\n"):rep(50) .. ("\255,1\n"))
    assert.are.equal(51, report.bad)
    assert.are.equal(20, #report.errors)
  end)

  it("is tried again when the store fails", function()
    test.fail("kv.commit", "Unavailable")
    local answer, err = test.invoke(test.event("s3:put", { bucket = "imports", key = "x.csv", body = "a\n1\n" }))
    assert.is_nil(answer)
    assert.are.equal("Unavailable", err.errorType)
  end)
end)
