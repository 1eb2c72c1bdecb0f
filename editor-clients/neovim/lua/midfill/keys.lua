--- The keys of the setting `keys`; each does what it did before when there is nothing to do for
--- us.

local config = require("midfill.config")
local suggestion = require("midfill.suggestion")

local M = {}

--- These work with nothing shown, too.
local ALWAYS = { complete = true, next = true, prev = true }

---@type table<string, boolean> keys that are ours: a second `setup` must not wrap them again
local ours = {}

---@return boolean
local function snippet_active()
  return vim.snippet ~= nil and vim.snippet.active({ direction = 1 })
end

--- Keep what a key does now under a name of ours, and return that; or the bare key.
---@param lhs string
---@param index string
local function keep(lhs, index)
  local old = vim.fn.maparg(lhs, "i", false, true)
  if vim.tbl_isempty(old) then
    return nil
  end
  local name = ("<Plug>(midfill-otherwise-%s)"):format(index)
  old.lhs, old.lhsraw = name, vim.api.nvim_replace_termcodes(name, true, true, true)
  old.lhsrawalt, old.buffer = nil, 0
  vim.fn.mapset("i", false, old)
  return name
end

---@param name string field of `midfill.Keys`
---@param lhs string
local function map(name, lhs)
  if ours[name .. lhs] then
    return
  end
  ours[name .. lhs] = true
  local plug = ("<Plug>(midfill-%s)"):format(name:gsub("_", "-"))
  local otherwise = keep(lhs, name)
  vim.keymap.set("i", lhs, function()
    if lhs:lower() == "<tab>" and snippet_active() then -- a snippet's next place goes first
      return otherwise or "<Cmd>lua vim.snippet.jump(1)<CR>" -- Neovim 0.10 maps no key for it
    end
    local mine = ALWAYS[name] or suggestion.visible()
    return mine and plug or otherwise or lhs
  end, { expr = true, remap = true, silent = true, desc = "Midfill: " .. name:gsub("_", " ") })
end

--- Map the keys that the user named.
function M.apply()
  for name, lhs in pairs(config.current.keys) do
    map(name, lhs)
  end
end

return M
