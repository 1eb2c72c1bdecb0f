--- Settings of the plugin: defaults, what the user gave, and warnings about what cannot be meant.
--- Knows nothing of the language server; what belongs to it travels untouched in `settings`.

local say = require("midfill.say").say

local M = {}

---@class midfill.Keys   No key is mapped unless it is named here.
---@field accept? string        Accept all; a menu or an active snippet goes first.
---@field accept_word? string
---@field accept_line? string
---@field accept_sure? string   Accept up to the first unsure token.
---@field next? string          The next candidate; asks for more when there is one only.
---@field prev? string
---@field dismiss? string
---@field complete? string      Ask now.

---@class midfill.Config
---@field cmd string[]              The language server.
---@field cmd_env table<string, string>  Environment of the language server.
---@field auto boolean              Ask while typing; otherwise only `complete()` asks.
---@field core boolean              Leave drawing to vim.lsp.inline_completion (Neovim 0.12).
---@field drafts boolean            Show the text while it is being denoised.
---@field menu "hide"|"extend"|"show"  While a completion menu is open: hide, extend the selected
---                                 entry, or show as if there were no menu.
---@field unsure "dim"|"hide"|"plain"  What to do with tokens that the model is not sure of.
---@field confidence { sure: number, likely: number }  Bands of the highlight groups.
---@field filetypes table<string, boolean>  By file type; "*" stands for those not named.
---@field max_bytes integer         Larger buffers are left alone.
---@field root_markers string[]     What marks the root of a project.
---@field keys midfill.Keys
---@field settings table            Settings of the language server, without the `midfill.`.
M.defaults = {
  cmd = { "midfill", "lsp" },
  cmd_env = {},
  auto = true,
  core = false,
  drafts = false,
  menu = "hide",
  unsure = "dim",
  confidence = { sure = 0.8, likely = 0.5 },
  filetypes = { ["*"] = true, gitcommit = false, help = false, netrw = false },
  max_bytes = 4 * 1024 * 1024,
  root_markers = { ".git", ".hg", "pyproject.toml", "package.json", "Cargo.toml", "go.mod" },
  keys = {},
  settings = {},
}

local CHOICES = {
  menu = { "hide", "extend", "show" },
  unsure = { "dim", "hide", "plain" },
}

local KEYS =
  { "accept", "accept_word", "accept_line", "accept_sure", "next", "prev", "dismiss", "complete" }

---@type midfill.Config
M.current = vim.deepcopy(M.defaults)

--- How many single-letter edits separate two words, for "did you mean".
local function distance(a, b)
  local row = {}
  for j = 0, #b do
    row[j] = j
  end
  for i = 1, #a do
    local diagonal = row[0]
    row[0] = i
    for j = 1, #b do
      local above = row[j]
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      row[j] = math.min(above + 1, row[j - 1] + 1, diagonal + cost)
      diagonal = above
    end
  end
  return row[#b]
end

local function nearest(word, candidates)
  table.sort(candidates, function(a, b)
    local da, db = distance(word, a), distance(word, b)
    return da < db or (da == db and a < b)
  end)
  return candidates[1]
end

--- Why a value cannot stand for a setting, or nil.
local function fault(key, value)
  local default = M.defaults[key]
  if default == nil then
    local known = nearest(tostring(key), vim.tbl_keys(M.defaults))
    return ("there is no setting %q; did you mean %q?"):format(tostring(key), known)
  end
  if type(value) ~= type(default) then
    return ("%s must be a %s, not a %s"):format(key, type(default), type(value))
  end
  local choices = CHOICES[key]
  if choices and not vim.tbl_contains(choices, value) then
    return ('%s must be one of "%s"'):format(key, table.concat(choices, '", "'))
  end
  if key == "keys" then
    for name in pairs(value) do
      if not vim.tbl_contains(KEYS, name) then
        return ("there is no key %q; did you mean %q?"):format(
          name,
          nearest(name, { unpack(KEYS) })
        )
      end
    end
  end
  return nil
end

--- Take the user's settings. A bad one costs itself only, with a warning.
---@param given table?
---@return midfill.Config
function M.set(given)
  local merged = vim.deepcopy(M.defaults)
  for key, value in pairs(given or {}) do
    local why = fault(key, value)
    if why then
      say(why .. ".", vim.log.levels.WARN)
    elseif key == "filetypes" or key == "confidence" or key == "keys" then
      merged[key] = vim.tbl_extend("force", merged[key], value)
    else
      merged[key] = vim.deepcopy(value)
    end
  end
  M.current = merged
  return merged
end

--- Why a buffer is not served, in words for the user, or nil when it is.
---@param bufnr integer
---@return string?
function M.why_not(bufnr)
  local bo = vim.bo[bufnr]
  if bo.buftype ~= "" then
    return ("This is a special buffer (buftype %s)."):format(bo.buftype)
  elseif vim.b[bufnr].midfill == false then
    return "Midfill is off in this buffer (b:midfill is false)."
  elseif vim.api.nvim_buf_get_name(bufnr) == "" then
    return "This buffer has no file name yet."
  elseif not bo.modifiable or bo.readonly then
    return "This buffer is read-only."
  end
  local filetypes = M.current.filetypes
  local enabled = filetypes[bo.filetype]
  if enabled == nil then
    enabled = filetypes["*"]
  end
  if not enabled then
    return ("Midfill is off for the file type %q (setting filetypes)."):format(bo.filetype)
  end
  local bytes = vim.api.nvim_buf_get_offset(bufnr, vim.api.nvim_buf_line_count(bufnr))
  if bytes > M.current.max_bytes then
    return ("This buffer has %d bytes; the setting max_bytes allows %d."):format(
      bytes,
      M.current.max_bytes
    )
  end
  return nil
end

return M
