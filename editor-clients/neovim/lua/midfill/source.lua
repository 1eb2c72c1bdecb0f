--- Suggestions as entries of a completion menu: what the sources for nvim-cmp and blink.cmp
--- share.

local client = require("midfill.client")
local item = require("midfill.item")

local M = {}

local INVOKED = 1
local SNIPPET_FREE = 1 -- InsertTextFormat.PlainText
local AS_IS = 1 -- InsertTextMode: later lines carry their indentation already
local TEXT = 1 -- CompletionItemKind

---@param bufnr integer
---@return boolean
function M.available(bufnr)
  return client.serving(bufnr) ~= nil
end

--- One inline item as a completion item. The edit starts where the word before the cursor does,
--- and so do label and filter: menus match against that word.
---@param raw table
---@param position lsp.Position
---@param word string what is typed of the word
---@return table?
local function entry(raw, position, word)
  local candidate = item.from_lsp(raw)
  if not candidate then
    return nil
  end
  local range = raw.range or { start = position, ["end"] = position }
  local text = candidate.text
  if range.start.character == position.character and range.start.line == position.line then
    text = word .. text
    range = vim.deepcopy(range)
    range.start.character = range.start.character - #word -- words are ASCII: see `word_before`
  end
  local first = vim.trim(text:match("^[^\n]*"))
  return {
    label = first ~= "" and first or vim.trim(text),
    filterText = text,
    kind = TEXT,
    insertTextFormat = SNIPPET_FREE,
    insertTextMode = AS_IS,
    textEdit = { newText = text, range = range },
    documentation = {
      kind = "markdown",
      value = ("```%s\n%s\n```"):format(vim.bo.filetype, text),
    },
    command = candidate.command,
  }
end

--- The ASCII word before the cursor; its bytes are units in every encoding.
local function word_before(col)
  return vim.api.nvim_get_current_line():sub(1, col):match("[%w_]*$")
end

--- Ask for suggestions at the cursor.
---@param callback fun(items: table[])
---@return fun() cancel
function M.ask(callback)
  local bufnr = vim.api.nvim_get_current_buf()
  local cursor = vim.api.nvim_win_get_cursor(0)
  local row, col = cursor[1] - 1, cursor[2]
  local position = client.position(bufnr, row, col)
  local word = word_before(col)
  local params = {
    textDocument = { uri = vim.uri_from_bufnr(bufnr) },
    position = position,
    context = { triggerKind = INVOKED },
  }
  local id = client.request(bufnr, "textDocument/inlineCompletion", params, function(err, result)
    local out = {}
    local list = not err and type(result) == "table" and (result.items or result) or {}
    for _, raw in ipairs(list) do
      out[#out + 1] = entry(raw, position, word)
    end
    callback(out)
  end)
  if not id then
    callback({})
  end
  return function()
    if id then
      client.cancel(id)
    end
  end
end

--- Tell the server that an entry was taken.
---@param command table?
function M.taken(command)
  client.execute(vim.api.nvim_get_current_buf(), command)
end

return M
