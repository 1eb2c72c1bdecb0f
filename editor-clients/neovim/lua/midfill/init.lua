--- The plugin's face: `setup`, and one function for each thing a key or a command can do.

local accept = require("midfill.accept")
local client = require("midfill.client")
local commands = require("midfill.commands")
local config = require("midfill.config")
local highlight = require("midfill.highlight")
local keys = require("midfill.keys")
local menu = require("midfill.menu")
local say = require("midfill.say").say
local show_message = require("midfill.say").show_message
local status = require("midfill.status")
local suggestion = require("midfill.suggestion")

local M = {}

local DEFAULT_SNOOZE_MIN = 15

--- Whether Neovim itself draws and asks.
local function core()
  return config.current.core and vim.lsp.inline_completion ~= nil
end

local function autocommands()
  local group = vim.api.nvim_create_augroup("midfill", { clear = true })
  local function on(events, pattern, callback)
    vim.api.nvim_create_autocmd(events, { group = group, pattern = pattern, callback = callback })
  end
  on("ColorScheme", "*", highlight.define)
  on({ "BufEnter", "FileType", "BufFilePost", "BufWritePost" }, "*", function(event)
    if vim.api.nvim_buf_is_loaded(event.buf) then
      client.attach(event.buf)
    end
  end)
  if core() then
    return
  end
  local function later()
    vim.schedule(function()
      suggestion.refresh(true)
    end)
  end
  on({ "InsertEnter", "TextChangedI", "TextChangedP" }, "*", function(event)
    local entered = event.event == "InsertEnter"
    if not entered then
      suggestion.refresh(true)
    else -- the mode is not "insert" yet
      menu.watch(later)
      later()
    end
  end)
  on("CursorMovedI", "*", function()
    suggestion.refresh(false)
  end)
  on({ "CompleteChanged", "CompleteDone" }, "*", later)
  on("User", { "BlinkCmpMenuOpen", "BlinkCmpMenuClose" }, later)
  on({ "InsertLeave", "BufLeave", "WinLeave" }, "*", suggestion.leave)
end

local function listen()
  client.on("midfill/status", status.set)
  client.on("midfill/silence", status.silence)
  client.on("midfill/draft", suggestion.draft)
  client.on("midfill/late", suggestion.late)
  client.on("window/showMessage", show_message)
end

--- Start. Needed once; calling it again takes the new settings.
---@param options? midfill.Config
function M.setup(options)
  if vim.fn.has("nvim-0.9") ~= 1 then
    say("Neovim 0.9 or newer is needed.", vim.log.levels.ERROR)
    return
  end
  config.set(options)
  highlight.define()
  listen()
  keys.apply()
  commands.define()
  autocommands()
  client.reconfigure()
  client.resume()
end

--- Accept the whole suggestion. Like its siblings it returns false when there is nothing to
--- accept, for mappings that fall back.
---@return boolean
function M.accept()
  if core() then
    return vim.lsp.inline_completion.get()
  end
  return accept.accept("all")
end

function M.accept_word()
  return accept.accept("word")
end

function M.accept_line()
  return accept.accept("line")
end

--- Accept up to the first unsure token.
function M.accept_sure()
  return accept.accept("sure")
end

--- Whether something is there to accept.
---@return boolean
function M.visible()
  return suggestion.visible()
end

--- Ask now, for several candidates, whatever the settings say about asking while typing.
function M.complete()
  return suggestion.complete()
end

function M.next()
  suggestion.cycle(1)
end

function M.prev()
  suggestion.cycle(-1)
end

--- Hide the suggestion; it stays away until the text changes.
function M.dismiss()
  return suggestion.dismiss()
end

--- Ask the server something about the current buffer, and say why when that is not possible.
local function ask(method, params, answer)
  local bufnr = vim.api.nvim_get_current_buf()
  local sent = client.request(bufnr, method, params, function(err, result)
    if err then
      say(err.message or tostring(err), vim.log.levels.WARN)
    else
      answer(result ~= vim.NIL and result or nil)
    end
  end)
  if not sent then
    say(config.why_not(bufnr) or status.get().message or "The language server does not run.")
  end
end

--- Say why nothing is shown.
function M.why()
  ask("midfill/why", { textDocument = { uri = vim.uri_from_bufnr(0) } }, function(reason)
    say(reason and reason.message or "The last request was answered with a suggestion.")
  end)
end

--- Show the last request of this buffer: what was sent, each step, what came back.
function M.inspect()
  ask("midfill/inspect", { textDocument = { uri = vim.uri_from_bufnr(0) } }, function(told)
    if told then
      require("midfill.inspect").open(told)
    else
      say("Nothing was asked in this buffer yet.")
    end
  end)
end

--- Rest for some minutes; 0 ends the rest.
---@param minutes? number
function M.snooze(minutes)
  minutes = minutes or DEFAULT_SNOOZE_MIN
  suggestion.leave()
  ask("midfill/snooze", { minutes = minutes }, function(now)
    if now then
      status.set(now)
    end
    say(minutes > 0 and ("Resting for %g min."):format(minutes) or "Awake again.")
  end)
end

--- Switch completions on or off.
---@param scope? "all"|"language"|"workspace"
---@param enabled? boolean the opposite of what it is, when left out
function M.toggle(scope, enabled)
  scope = scope or "all"
  local language = scope == "language" and vim.bo.filetype or nil
  suggestion.leave()
  ask("midfill/toggle", { scope = scope, language = language, enabled = enabled }, function(now)
    local what = ({ all = "Completion", workspace = "Completion in this workspace" })[scope]
    say(
      ("%s is %s."):format(what or ("Completion for " .. language), now.enabled and "on" or "off")
    )
  end)
end

--- Fill every `___` between two lines, 1-based and inclusive.
---@param first? integer
---@param last? integer
function M.fill_holes(first, last)
  local bufnr = vim.api.nvim_get_current_buf()
  first = first or 1
  last = last or vim.api.nvim_buf_line_count(bufnr)
  local text = vim.api.nvim_buf_get_lines(bufnr, last - 1, last, false)[1] or ""
  local tick = vim.api.nvim_buf_get_changedtick(bufnr)
  local params = {
    textDocument = { uri = vim.uri_from_bufnr(bufnr) },
    range = {
      start = { line = first - 1, character = 0 },
      ["end"] = client.position(bufnr, last - 1, #text),
    },
  }
  ask("midfill/fillHoles", params, function(edit)
    if not edit then
      say("Nothing was filled; :Midfill why may say more.")
    elseif vim.api.nvim_buf_get_changedtick(bufnr) ~= tick then
      say("The text changed meanwhile; nothing was filled.")
    else
      local lsp = client.get()
      vim.lsp.util.apply_workspace_edit(edit, lsp and lsp.offset_encoding or "utf-16")
    end
  end)
end

---@return midfill.Status
function M.status()
  return status.get()
end

--- Say what the server says of itself.
function M.show_status()
  local now = status.get()
  local parts = { now.state }
  if now.message and now.message ~= "" then
    parts[#parts + 1] = now.message
  end
  if now.model then
    parts[#parts + 1] = ("%s on %s"):format(now.model, now.device or "an unknown device")
  end
  if now.last and now.last.ms then
    parts[#parts + 1] = ("last %.0f ms, %d forwards"):format(now.last.ms, now.last.nfe or 0)
  end
  say(table.concat(parts, " · "))
end

--- End the language server and start it anew.
function M.restart()
  suggestion.leave()
  client.restart()
end

return M
