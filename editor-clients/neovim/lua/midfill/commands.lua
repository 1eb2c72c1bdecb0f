--- The command `:Midfill` and the `<Plug>(midfill-…)` mappings. Names only: what they call is
--- loaded at the first use.

local M = {}

local function log_path()
  local log = require("vim.lsp.log")
  return (log.get_filename or vim.lsp.get_log_path)()
end

---@type table<string, fun(args: string[], opts: table)>
local SUBCOMMANDS = {
  why = function()
    require("midfill").why()
  end,
  inspect = function()
    require("midfill").inspect()
  end,
  status = function()
    require("midfill").show_status()
  end,
  snooze = function(args)
    require("midfill").snooze(tonumber(args[1]))
  end,
  toggle = function(args)
    require("midfill").toggle(args[1])
  end,
  fill = function(_, opts)
    local ranged = opts.range > 0
    require("midfill").fill_holes(ranged and opts.line1 or nil, ranged and opts.line2 or nil)
  end,
  restart = function()
    require("midfill").restart()
  end,
  stop = function()
    require("midfill.client").stop()
  end,
  log = function()
    vim.cmd.tabnew(vim.fn.fnameescape(log_path()))
  end,
  health = function()
    vim.cmd("checkhealth midfill")
  end,
}

---@type table<string, [string, string]> insert mode: `<Plug>` name → call, words
local PLUGS = {
  ["accept"] = { "accept()", "accept the suggestion" },
  ["accept-word"] = { "accept_word()", "accept its next word" },
  ["accept-line"] = { "accept_line()", "accept its next line" },
  ["accept-sure"] = { "accept_sure()", "accept up to the first unsure token" },
  ["next"] = { "next()", "next suggestion" },
  ["prev"] = { "prev()", "previous suggestion" },
  ["dismiss"] = { "dismiss()", "dismiss the suggestion" },
  ["complete"] = { "complete()", "ask for suggestions" },
}

local SCOPES = { "all", "language", "workspace" }

local function complete(lead, line)
  local words = vim.split(line, "%s+")
  local choices = #words > 2 and (words[2] == "toggle" and SCOPES or {})
    or vim.tbl_keys(SUBCOMMANDS)
  choices = vim.tbl_filter(function(word)
    return vim.startswith(word, lead)
  end, choices)
  table.sort(choices)
  return choices
end

local function run(opts)
  local name = opts.fargs[1] or "status"
  local subcommand = SUBCOMMANDS[name]
  if not subcommand then
    local known = table.concat(complete("", "Midfill "), ", ")
    vim.notify(
      ("midfill: there is no :Midfill %s; there are %s."):format(name, known),
      vim.log.levels.WARN
    )
    return
  end
  subcommand(vim.list_slice(opts.fargs, 2), opts)
end

--- Define all; harmless when repeated.
function M.define()
  local set = vim.keymap.set
  for name, call in pairs(PLUGS) do
    local rhs = ("<Cmd>lua require('midfill').%s<CR>"):format(call[1])
    set("i", ("<Plug>(midfill-%s)"):format(name), rhs, { desc = "Midfill: " .. call[2] })
  end
  for _, name in ipairs({ "why", "toggle" }) do
    local rhs = ("<Cmd>Midfill %s<CR>"):format(name)
    set("n", ("<Plug>(midfill-%s)"):format(name), rhs, { desc = "Midfill: " .. name })
  end
  vim.api.nvim_create_user_command("Midfill", run, {
    nargs = "*",
    range = true,
    complete = complete,
    desc = "Midfill: why, inspect, status, snooze, toggle, fill, restart, stop, log, health",
  })
end

return M
