--- One candidate in the buffer's terms: bytes and newlines instead of UTF-16 units and CRLF.

local config = require("midfill.config")
local highlight = require("midfill.highlight")
local text = require("midfill.text")

local M = {}

---@class midfill.Token
---@field stop integer      Byte offset of its end.
---@field confidence number
---@field open? boolean     Not committed yet (drafts only).

---@class midfill.Item
---@field id? string
---@field text string       With "\n" only.
---@field tokens midfill.Token[]
---@field sure integer      Bytes before the first unsure token.
---@field command? table
---@field units table       The text as it was sent, to count in its units.

--- Ends of tokens, from their lengths.
local function ends_of(tokens)
  local ends, total = {}, 0
  for i, token in ipairs(tokens) do
    total = total + token[1]
    ends[i] = total
  end
  return ends
end

---@param raw string
---@param tokens table[] {length in UTF-16 units, confidence, committed}
---@return midfill.Token[]
local function tokens_of(raw, tokens)
  local out = {}
  for i, stop in ipairs(text.boundaries(raw, ends_of(tokens))) do
    out[i] = { stop = stop, confidence = tokens[i][2], open = tokens[i][3] == 0 }
  end
  return out
end

--- From an item of `textDocument/inlineCompletion`; snippets are not asked for and not taken.
---@param item table
---@return midfill.Item?
function M.from_lsp(item)
  local raw = item.insertText
  if type(raw) ~= "string" or raw == "" then
    return nil
  end
  local argument = item.command and (item.command.arguments or {})[1]
  local about = type(argument) == "table" and argument or {}
  local clean = text.unix(raw)
  local sure = about.sure and text.boundaries(raw, { about.sure })[1] or #clean
  if config.current.unsure == "hide" then
    clean = clean:sub(1, sure)
    if clean:find("^%s*$") then
      return nil
    end
  end
  return {
    id = about.id,
    text = clean,
    tokens = tokens_of(raw, about.tokens or {}),
    sure = sure,
    command = item.command,
    crlf = raw:find("\r\n", 1, true) ~= nil,
  }
end

--- From a `midfill/draft`.
---@param draft { text: string, tokens: table[] }
---@return midfill.Item
function M.from_draft(draft)
  local clean = text.unix(draft.text)
  return { text = clean, tokens = tokens_of(draft.text, draft.tokens or {}), sure = 0 }
end

--- UTF-16 units of the first bytes, counted as the server sent them.
---@param item midfill.Item
---@param bytes integer
---@return integer
function M.units(item, bytes)
  local taken = item.text:sub(1, bytes)
  local units = text.from_byte(taken, #taken, "utf-16")
  if item.crlf then
    units = units + select(2, taken:gsub("\n", ""))
  end
  return units
end

---@param token midfill.Token?
local function group(token)
  if not token then
    return "MidfillGhost"
  end
  return token.open and "MidfillOpen" or highlight.group(token.confidence)
end

--- The text from a byte on, as lines of highlighted chunks.
---@param item midfill.Item
---@param from integer bytes that the buffer already holds
---@return midfill.Chunk[][]
function M.lines(item, from)
  local lines = { {} }
  local function add(piece, hl)
    local chunks = lines[#lines]
    local last = chunks[#chunks]
    if piece == "" then
      return
    elseif last and last[2] == hl then
      last[1] = last[1] .. piece
    else
      chunks[#chunks + 1] = { piece, hl }
    end
  end
  local start = from
  local function take(stop, token)
    local hl = group(token)
    local parts = vim.split(item.text:sub(start + 1, stop), "\n", { plain = true })
    for i, part in ipairs(parts) do
      if i > 1 then
        lines[#lines + 1] = {}
      end
      add(part, hl)
    end
    start = stop
  end
  for _, token in ipairs(item.tokens) do
    if token.stop > start and start < #item.text then
      take(math.min(token.stop, #item.text), token)
    end
  end
  if start < #item.text then
    take(#item.text, nil)
  end
  return lines
end

return M
