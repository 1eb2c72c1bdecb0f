--- Draws ghost text at the cursor with extmarks of our own. Knows text, groups and the screen;
--- not where the text comes from.
---
--- Two ways to draw the cursor's line. "Inline" pushes what follows the cursor to the right; it
--- is right when the text ends there or the line does. Otherwise, and before Neovim 0.10,
--- "overlay" covers what follows and repeats, in its new place, what will remain of it.

local M = {}

local NAMESPACE = vim.api.nvim_create_namespace("midfill")
local INLINE = vim.fn.has("nvim-0.10") == 1
local MARK, HINT = 1, 2 -- extmark numbers: setting one again moves it, without a frame in between

---@type integer? the buffer that holds the ghost
local drawn_in

---@alias midfill.Chunk [string, string]

---@class midfill.Ghost
---@field lines midfill.Chunk[][]  One list of chunks a line; the first stands at the cursor.
---@field replaced string          Text right of the cursor that the ghost stands for.
---@field hint? string             A short remark at the end of the line.

--- For tests: draw as Neovim 0.9 does.
function M.force_overlay(on)
  INLINE = not on and vim.fn.has("nvim-0.10") == 1
end

function M.clear()
  if drawn_in and vim.api.nvim_buf_is_valid(drawn_in) then
    vim.api.nvim_buf_clear_namespace(drawn_in, NAMESPACE, 0, -1)
  end
  drawn_in = nil
end

---@return boolean
function M.visible()
  return drawn_in ~= nil
end

--- Virtual text does not expand tabs: do it as the buffer would, from a display column.
---@param chunks midfill.Chunk[]
---@param column integer
---@return midfill.Chunk[], integer column after the chunks
local function expand(chunks, column)
  local out = {}
  for i, chunk in ipairs(chunks) do
    local pieces = {}
    for plain, tab in chunk[1]:gmatch("([^\t]*)(\t?)") do
      pieces[#pieces + 1] = plain
      column = column + vim.fn.strdisplaywidth(plain, column)
      if tab ~= "" then
        local width = vim.fn.strdisplaywidth("\t", column)
        pieces[#pieces + 1] = (" "):rep(width)
        column = column + width
      end
    end
    out[i] = { table.concat(pieces), chunk[2] }
  end
  return out, column
end

---@param chunks midfill.Chunk[]
local function joined(chunks)
  local out = {}
  for i, chunk in ipairs(chunks) do
    out[i] = chunk[1]
  end
  return table.concat(out)
end

--- Drop the last bytes of a line of chunks.
---@param chunks midfill.Chunk[]
---@param bytes integer
local function shorten(chunks, bytes)
  local out = vim.deepcopy(chunks)
  while bytes > 0 and #out > 0 do
    local last = out[#out]
    local cut = math.min(bytes, #last[1])
    last[1] = last[1]:sub(1, #last[1] - cut)
    bytes = bytes - cut
    if last[1] == "" then
      out[#out] = nil
    end
  end
  return out
end

--- Lay out the cursor's line and the lines below it.
---@param ghost midfill.Ghost
---@param after string text right of the cursor
---@param column integer display column of the cursor
---@return midfill.Chunk[] first, midfill.Chunk[][] below, "inline"|"overlay" how
local function layout(ghost, after, column)
  local lines = vim.deepcopy(ghost.lines)
  local rest = after:sub(#ghost.replaced + 1)
  local single = #lines == 1
  local keeps = vim.endswith(joined(lines[1]), ghost.replaced)
  if after == "" or (INLINE and single and keeps) then
    lines[1] = shorten(lines[1], after == "" and 0 or #ghost.replaced)
    local below = {}
    for i = 2, #lines do
      below[#below + 1] = (expand(lines[i], 0))
    end
    return (expand(lines[1], column)), below, INLINE and "inline" or "overlay"
  end
  if rest ~= "" then
    table.insert(lines[#lines], { rest, "Normal" })
  end
  local first, stop = expand(lines[1], column)
  local hidden = column + vim.fn.strdisplaywidth(after, column) - stop
  if hidden > 0 then
    first[#first + 1] = { (" "):rep(hidden), "Normal" }
  end
  local below = {}
  for i = 2, #lines do
    below[#below + 1] = (expand(lines[i], 0))
  end
  return first, below, "overlay"
end

--- Lines below the cursor's that the window has no room for: they would be missed in silence.
---@param count integer
local function missing(count)
  local room = vim.api.nvim_win_get_height(0) - vim.fn.winline()
  return math.max(0, count - room)
end

--- Draw at the cursor, in place of what was drawn.
---@param ghost midfill.Ghost
function M.draw(ghost)
  local bufnr = vim.api.nvim_get_current_buf()
  local cursor = vim.api.nvim_win_get_cursor(0)
  local row, col = cursor[1] - 1, cursor[2]
  if drawn_in and drawn_in ~= bufnr then
    M.clear()
  end
  local after = vim.api.nvim_get_current_line():sub(col + 1)
  local first, below, how = layout(ghost, after, vim.fn.virtcol(".") - 1)
  local hints = {}
  local hidden = missing(#below)
  if hidden > 0 then
    hints[#hints + 1] = ("+%d line%s"):format(hidden, hidden == 1 and "" or "s")
  end
  hints[#hints + 1] = ghost.hint
  vim.api.nvim_buf_set_extmark(bufnr, NAMESPACE, row, col, {
    id = MARK,
    virt_text = first,
    virt_text_pos = how,
    virt_lines = #below > 0 and below or nil,
    hl_mode = "replace", -- "combine" would take on the colour of a matched bracket below it
    priority = 1000,
    strict = false,
  })
  if #hints > 0 then
    vim.api.nvim_buf_set_extmark(bufnr, NAMESPACE, row, #vim.api.nvim_get_current_line(), {
      id = HINT,
      virt_text = { { table.concat(hints, " "), "MidfillHint" } },
      virt_text_pos = "eol",
      priority = 1001,
    })
  else
    vim.api.nvim_buf_del_extmark(bufnr, NAMESPACE, HINT)
  end
  drawn_in = bufnr
end

return M
