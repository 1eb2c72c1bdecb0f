--- A source for nvim-cmp:
---
---     require("cmp").register_source("midfill", require("midfill.cmp").new())
---     require("cmp").setup({ sources = { { name = "midfill" }, … } })

local source = require("midfill.source")

local M = {}
M.__index = M

function M.new()
  return setmetatable({}, M)
end

function M:get_debug_name() -- luacheck: ignore self
  return "midfill"
end

function M:is_available() -- luacheck: ignore self
  return source.available(vim.api.nvim_get_current_buf())
end

function M:complete(_, callback)
  if self.cancel then
    self.cancel()
  end
  self.cancel = source.ask(function(items)
    self.cancel = nil
    callback({ items = items, isIncomplete = true })
  end)
end

function M:execute(entry, callback) -- luacheck: ignore self
  source.taken(entry.command)
  callback(entry)
end

return M
