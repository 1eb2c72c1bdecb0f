--- What the server last said of itself, and the words for it in a status line.

local config = require("midfill.config")

local M = {}

---@class midfill.Status
---@field state "starting"|"loading"|"ready"|"busy"|"paused"|"off"|"error"
---@field message? string
---@field progress? number
---@field model? string
---@field device? string
---@field last? { ms: number, nfe: integer, source: string }

---@type midfill.Status
local current = { state = "off", message = "No buffer is served yet." }
---@type table<string, { code: string, message: string, version: integer? }> by URI
local silences = {}
---@type string? the last error of a request
local last_error

local ICONS = {
  starting = "…",
  loading = "…",
  ready = "●",
  busy = "◌",
  paused = "⏸",
  off = "○",
  error = "✗",
}

local function changed()
  vim.schedule(function()
    vim.cmd("redrawstatus")
    vim.api.nvim_exec_autocmds("User", { pattern = "MidfillStatus", modeline = false })
  end)
end

---@param status midfill.Status
function M.set(status)
  local last = current.last
  current = status
  current.last = status.last or last
  changed()
end

---@return midfill.Status
function M.get()
  return current
end

--- Remember why a document's last request showed nothing.
---@param silence { uri: string, code: string, message: string, version: integer? }
function M.silence(silence)
  silences[silence.uri] = silence
  changed()
end

---@param uri string
function M.spoke(uri)
  if silences[uri] then
    silences[uri] = nil
    changed()
  end
end

---@param uri string
function M.silence_of(uri)
  return silences[uri]
end

---@param message string
function M.set_error(message)
  last_error = message
end

---@return string?
function M.error()
  return last_error
end

--- One short piece of text for a status line, without highlighting; "" before `setup`.
--- With `require("midfill.status").line()`, or as a component of lualine.
---@return string
function M.line()
  local parts = { "midfill", ICONS[current.state] or current.state }
  if config.why_not(vim.api.nvim_get_current_buf()) then -- `:Midfill why` has the sentence
    parts = { "midfill", ICONS.off, "not here" }
  elseif current.state == "loading" and current.progress then
    parts[#parts + 1] = ("%d %%"):format(math.floor(current.progress * 100 + 0.5))
  elseif current.state == "ready" or current.state == "busy" then
    local silence = silences[vim.uri_from_bufnr(0)]
    if silence then
      parts[#parts + 1] = silence.code
    elseif current.last and current.last.ms then
      parts[#parts + 1] = ("%d ms"):format(math.floor(current.last.ms + 0.5))
    end
  elseif current.state == "starting" or current.state == "loading" then
    parts[#parts + 1] = current.state
  end
  return table.concat(parts, " ")
end

--- The same for 'statusline' itself, where a percent sign must be doubled.
---@return string
function M.statusline()
  return (M.line():gsub("%%", "%%%%"))
end

return M
