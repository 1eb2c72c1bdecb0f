--- The completion menu: the built-in one, nvim-cmp's or blink.cmp's. Whether it is open, and
--- which entry is selected.

local client = require("midfill.client")
local config = require("midfill.config")

local M = {}

local function cmp()
  local loaded = package.loaded["cmp"]
  return type(loaded) == "table" and loaded.visible and loaded or nil
end

local function blink()
  local loaded = package.loaded["blink.cmp"]
  return type(loaded) == "table" and loaded.is_visible and loaded or nil
end

local watched = false

--- Call a function when nvim-cmp's menu opens or closes; the others have autocommands for that.
---@param callback fun()
function M.watch(callback)
  local other = cmp()
  if other and other.event and not watched then
    watched = true
    other.event:on("menu_opened", callback)
    other.event:on("menu_closed", callback)
  end
end

---@return boolean
function M.open()
  if vim.fn.pumvisible() == 1 then
    return true
  end
  local other = cmp()
  if other and other.visible() then
    return true
  end
  other = blink()
  return other ~= nil and other.is_visible() == true
end

--- Whether ghost text must not be drawn now.
---@return boolean
function M.in_the_way()
  local how = config.current.menu
  if how == "show" or not M.open() then
    return false
  end
  return how == "hide" or M.word() == nil
end

--- The text that the selected entry would insert.
---@return string?
function M.word()
  if vim.fn.pumvisible() == 1 then
    local info = vim.fn.complete_info({ "selected", "items" })
    local entry = info.selected >= 0 and info.items[info.selected + 1]
    return entry and entry.word or nil
  end
  local other = cmp()
  local entry = other and other.visible() and other.get_selected_entry()
  if entry then
    local lsp = entry:get_completion_item()
    return lsp.textEdit and lsp.textEdit.newText or lsp.insertText or lsp.label
  end
  other = blink()
  entry = other and other.get_selected_item and other.get_selected_item()
  if entry then
    return entry.textEdit and entry.textEdit.newText or entry.insertText or entry.label
  end
  return nil
end

--- `selectedCompletionInfo` of the protocol, in the mode that extends the selected entry.
---@param bufnr integer
---@param row integer
---@param col integer
---@return table?
function M.selected(bufnr, row, col)
  if config.current.menu ~= "extend" or not M.open() then
    return nil
  end
  local word = M.word()
  if not word then
    return nil
  end
  local before = vim.api.nvim_get_current_line():sub(1, col)
  local start = col
  for length = math.min(#word, col), 1, -1 do -- what is typed of the word stands before the cursor
    if before:sub(-length) == word:sub(1, length) then
      start = col - length
      break
    end
  end
  local range = {
    start = client.position(bufnr, row, start),
    ["end"] = client.position(bufnr, row, col),
  }
  return { range = range, text = word }
end

return M
