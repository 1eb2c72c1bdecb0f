--- Takes all or the beginning of the suggestion into the buffer, and tells the server.

local client = require("midfill.client")
local item = require("midfill.item")
local suggestion = require("midfill.suggestion")

local M = {}

--- How many bytes of the remaining text each kind of acceptance takes; 0: nothing.
---@type table<string, fun(remaining: string, candidate: midfill.Item, held: integer): integer>
local LENGTHS = {
  all = function(remaining)
    return #remaining
  end,
  word = function(remaining)
    -- Leading white space, then a run of keyword characters or of other signs, as 'iskeyword' has
    -- it.
    local pattern = [=[^\_s*\%(\k\+\|[^[:keyword:][:space:]]\+\|$\)]=]
    return math.max(#vim.fn.matchstr(remaining, pattern), vim.fn.byteidx(remaining, 1))
  end,
  line = function(remaining)
    return #remaining:match("^\n?[^\n]*")
  end,
  sure = function(_, candidate, held)
    return math.max(0, candidate.sure - held)
  end,
}

--- Put the text at the cursor, over what it replaces, as a step of its own for undo.
local function insert(bufnr, text, replaced)
  local cursor = vim.api.nvim_win_get_cursor(0)
  local row, col = cursor[1] - 1, cursor[2]
  local lines = vim.split(text, "\n", { plain = true })
  vim.cmd("let &g:undolevels = &g:undolevels")
  vim.api.nvim_buf_set_text(bufnr, row, col, row, col + #replaced, lines)
  local last_col = #lines == 1 and col + #text or #lines[#lines]
  vim.api.nvim_win_set_cursor(0, { row + #lines, last_col })
end

--- Accept. False when there is nothing to accept, and then nothing is changed.
---@param kind? "all"|"word"|"line"|"sure"
---@return boolean
function M.accept(kind)
  local now = suggestion.current()
  if not now then
    return false
  end
  local remaining = now.item.text:sub(now.held + 1)
  local length = LENGTHS[kind or "all"](remaining, now.item, now.held)
  if length == 0 then
    return false
  end
  local finished = length >= #remaining
  local bufnr = now.suggestion.bufnr
  insert(bufnr, remaining:sub(1, length), finished and now.replaced or "")
  if now.item.id then
    local taken = item.units(now.item, now.held + length)
    client.notify("midfill/didAccept", { id = now.item.id, kind = kind or "all", length = taken })
  end
  if finished then
    suggestion.cancel()
    suggestion.forget()
    client.execute(bufnr, now.item.command)
  else
    suggestion.show()
  end
  return true
end

return M
