-- CSV as RFC 4180 has it: fields in double quotes may hold separators, newlines and doubled quotes.
--
-- Lines end in LF or CRLF; a byte order mark is passed over, so are empty lines. Nothing larger than one
-- row is held, and no row may pass ROW_MAX: a quote that is never closed costs that much, not the file.
local M = {}

M.ROW_MAX = 256 * 1024
local ROW_MAX = M.ROW_MAX
local find, sub, gsub = string.find, string.sub, string.gsub

-- The fields of a line's text from `at`. Answers fields; or nil, "open" when the text ends inside
-- quotes; or nil, "bad", what is wrong.
local function split(text, separator)
  local fields, n, at = {}, 0, 1
  while true do
    n = n + 1
    if sub(text, at, at) == '"' then
      local from, doubled = at + 1, false
      local stop = find(text, '"', from, true)
      while stop and sub(text, stop + 1, stop + 1) == '"' do
        doubled = true
        stop = find(text, '"', stop + 2, true)
      end
      if not stop then
        return nil, "open"
      end
      local field = sub(text, from, stop - 1)
      fields[n] = doubled and gsub(field, '""', '"') or field
      at = stop + 1
      if at <= #text and sub(text, at, at) ~= separator then
        return nil, "bad", "something follows the closing quote of field " .. n
      end
    else
      local stop = find(text, separator, at, true) or #text + 1
      local field = sub(text, at, stop - 1)
      if find(field, '"', 1, true) then
        return nil, "bad", "a quote inside field " .. n .. ", which is not quoted"
      end
      fields[n] = field
      at = stop
    end
    if at > #text then
      return fields
    end
    at = at + 1
  end
end

-- An iterator over the rows of `lines`, an iterator over lines (s3.lines with ROW_MAX as its `max`). Each
-- step gives the number of the line on which the row begins, and its fields; or the number, nil and what
-- is wrong with the row.
--
-- A row with an open quote takes in lines until the quote is closed. When that is not so within
-- ROW_MAX, the row is wrong and the next one begins on the line behind.
function M.rows(lines, separator)
  local number = 0

  local function next_line()
    local line, cut = lines()
    if line then
      number = number + 1
      if number == 1 and sub(line, 1, 3) == "\239\187\191" then
        line = sub(line, 4)
      end
      return line, cut
    end
  end

  local function without_return(text)
    return sub(text, -1) == "\r" and sub(text, 1, -2) or text
  end

  -- The text of a row whose quote stays open at the end of `text`, with the lines that close it. Quotes
  -- come in pairs in a row that is whole, so counting them tells where that may be.
  local function whole(text)
    local parts, size, quotes = { text }, #text, select(2, gsub(text, '"', ""))
    while quotes % 2 == 1 do
      local line = next_line()
      if not line then
        return nil, "a quote is not closed before the file ends"
      end
      parts[#parts + 1], size = line, size + #line + 1
      quotes = quotes + select(2, gsub(line, '"', ""))
      if size > ROW_MAX then
        return nil, "a quote is not closed within " .. ROW_MAX .. " bytes"
      end
    end
    return table.concat(parts, "\n")
  end

  return function()
    local line, cut
    repeat
      line, cut = next_line()
      if not line then
        return nil
      end
    until line ~= "" and line ~= "\r"
    local first = number
    if cut or #line > ROW_MAX then
      return first, nil, "a line of more than " .. ROW_MAX .. " bytes"
    end
    local fields, state, why = split(without_return(line), separator)
    if state == "open" then
      local text
      text, why = whole(line)
      if not text then
        return first, nil, why
      end
      fields, state, why = split(without_return(text), separator)
      if state == "open" then
        why = "a quote is not closed"
      end
    end
    return first, fields, why
  end
end

return M
