--- `:checkhealth midfill`: what is there, what is missing, and what to do about it.

local client = require("midfill.client")
local config = require("midfill.config")
local status = require("midfill.status")

local M = {}

local VERSION_LIMIT_MS = 10000

local health = vim.health
local start = health.start or health.report_start
local ok = health.ok or health.report_ok
local info = health.info or health.report_info
local warn = health.warn or health.report_warn
local fail = health.error or health.report_error

---@param command string[]
---@return string? output nil when it failed
local function output_of(command)
  if vim.system then
    local done = vim.system(command, { text = true }):wait(VERSION_LIMIT_MS)
    return done.code == 0 and done.stdout or nil
  end
  local text = vim.fn.system(command)
  return vim.v.shell_error == 0 and text or nil
end

local function check_neovim()
  start("Neovim")
  local version = vim.version()
  local words = ("%d.%d.%d"):format(version.major, version.minor, version.patch)
  if vim.fn.has("nvim-0.9") ~= 1 then
    fail("Neovim " .. words .. " is too old; 0.9 or newer is needed.")
  elseif vim.fn.has("nvim-0.10") ~= 1 then
    warn(
      "Neovim " .. words .. ": without inline virtual text, text right of the cursor is redrawn."
    )
  else
    ok("Neovim " .. words)
  end
end

local function check_command()
  start("Command")
  local command = config.current.cmd[1]
  local path = vim.fn.exepath(command)
  if path == "" then
    fail(command .. " is not installed or not on PATH.", {
      "Install it: pip install 'midfill[engine]'",
      "Or give its path: require('midfill').setup({ cmd = { '/path/to/midfill', 'lsp' } })",
    })
    return
  end
  if vim.fn.fnamemodify(command, ":t") ~= "midfill" then
    info("The language server is started with: " .. table.concat(config.current.cmd, " "))
    return
  end
  local version = output_of({ path, "--version" })
  if version then
    ok(vim.trim(version) .. " at " .. path)
    info("`midfill doctor` examines the engine, the model and the device.")
  else
    fail(path .. " does not run.", { "Run `midfill doctor` in a terminal." })
  end
end

local function check_server()
  start("Language server")
  local lsp = client.get()
  if not lsp then
    local message = "The language server does not run: " .. (status.get().message or "")
    warn(message, { "It starts with the first file that is served.", "Or: :Midfill restart" })
    return
  end
  ok(("runs; positions in %s"):format(lsp.offset_encoding))
  local served = 0
  for _, bufnr in ipairs(vim.api.nvim_list_bufs()) do
    if vim.lsp.buf_is_attached(bufnr, lsp.id) then
      served = served + 1
    end
  end
  info(("serves %d buffer%s"):format(served, served == 1 and "" or "s"))
  local before = vim.fn.bufnr("#")
  local why = before > 0 and config.why_not(before)
  if why then
    info("The buffer you came from is not served: " .. why)
  end
  if status.error() then
    warn("The last failed request said: " .. status.error(), { ":Midfill log" })
  end
end

local function check_engine()
  start("Engine")
  local now = status.get()
  local words = now.state .. (now.message and now.message ~= "" and ": " .. now.message or "")
  if now.state == "error" then
    fail(words, { "Run `midfill doctor` in a terminal." })
  elseif now.state == "ready" or now.state == "busy" then
    ok(words)
  else
    info(words)
  end
  if now.model then
    info(("model %s on %s"):format(now.model, now.device or "an unknown device"))
  end
  if now.last and now.last.ms then
    info(("last answer: %.0f ms, %d forwards"):format(now.last.ms, now.last.nfe or 0))
  end
end

local function check_neighbours()
  start("Neighbours")
  local found = false
  local function note(message, advice)
    found = true
    warn(message, advice)
  end
  for module, name in pairs({ copilot = "copilot.lua", supermaven_nvim = "supermaven-nvim" }) do
    if package.loaded[module] then
      note(name .. " is loaded: two ghost texts may be drawn over each other.")
    end
  end
  if vim.g.loaded_copilot == 1 then
    note("copilot.vim is loaded: two ghost texts may be drawn over each other.")
  end
  local cmp = package.loaded["cmp"]
  if type(cmp) == "table" and cmp.get_config and cmp.get_config().experimental.ghost_text then
    note("nvim-cmp draws ghost text, too.", { "Set experimental.ghost_text = false." })
  end
  local blink = package.loaded["blink.cmp.config"]
  if type(blink) == "table" and vim.tbl_get(blink, "completion", "ghost_text", "enabled") then
    note("blink.cmp draws ghost text, too.", { "Set completion.ghost_text.enabled = false." })
  end
  if not found then
    ok("no other plugin draws ghost text")
  end
end

function M.check()
  check_neovim()
  check_command()
  check_server()
  check_engine()
  check_neighbours()
end

return M
