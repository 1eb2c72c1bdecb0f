--- A source for blink.cmp:
---
---     sources = {
---       default = { "lsp", "midfill" },
---       providers = { midfill = { name = "Midfill", module = "midfill.blink", async = true } },
---     }

local source = require("midfill.source")

local M = {}
M.__index = M

function M.new()
  return setmetatable({}, M)
end

function M:enabled() -- luacheck: ignore self
  return source.available(vim.api.nvim_get_current_buf())
end

function M:get_completions(_, callback) -- luacheck: ignore self
  return source.ask(function(items)
    callback({ items = items, is_incomplete_forward = true, is_incomplete_backward = true })
  end)
end

function M:execute(_, entry, callback, default) -- luacheck: ignore self
  if default then
    default()
  end
  source.taken(entry.command)
  callback()
end

return M
