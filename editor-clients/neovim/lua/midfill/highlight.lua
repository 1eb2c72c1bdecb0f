--- The highlight groups and which of them a confidence gets. All are defaults: a colour scheme or
--- the user may set any of them.

local config = require("midfill.config")

local M = {}

--- Share of the background in the colour of an unsure token.
local FADE = 0.45

---@param group string
---@param attribute "fg"|"bg"
local function colour(group, attribute)
  if vim.api.nvim_get_hl then
    return vim.api.nvim_get_hl(0, { name = group, link = false })[attribute]
  end
  local ok, old = pcall(vim.api.nvim_get_hl_by_name, group, true)
  return ok and old[attribute == "fg" and "foreground" or "background"] or nil
end

local function blend(a, b, share)
  local out = 0
  for shift = 16, 0, -8 do
    local x = math.floor(a / 2 ^ shift) % 256
    local y = math.floor(b / 2 ^ shift) % 256
    out = out * 256 + math.floor(x + (y - x) * share + 0.5)
  end
  return out
end

--- Define the groups; again after each change of the colour scheme.
function M.define()
  local set = function(group, value)
    value.default = true
    vim.api.nvim_set_hl(0, group, value)
  end
  set("MidfillGhost", { link = "Comment" })
  set("MidfillSure", { link = "MidfillGhost" })
  set("MidfillLikely", { link = "MidfillGhost" })
  local fg = colour("Comment", "fg")
  local bg = colour("Normal", "bg") or (vim.o.background == "dark" and 0x000000 or 0xffffff)
  if fg then
    local faded = blend(fg, bg, FADE)
    set("MidfillUnsure", { fg = faded, italic = true, ctermfg = 8, cterm = { italic = true } })
  else
    set("MidfillUnsure", { link = "NonText" })
  end
  set("MidfillOpen", { link = "MidfillUnsure" })
  set("MidfillHint", { link = "NonText" })
end

--- The group of a token.
---@param confidence number
---@return string
function M.group(confidence)
  if config.current.unsure == "plain" then
    return "MidfillGhost"
  end
  local bands = config.current.confidence
  if confidence >= bands.sure then
    return "MidfillSure"
  elseif confidence >= bands.likely then
    return "MidfillLikely"
  end
  return "MidfillUnsure"
end

return M
