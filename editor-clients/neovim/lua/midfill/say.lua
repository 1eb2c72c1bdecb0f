--- Tells the user something without getting in the way of typing.

local M = {}

--- Messages by their type in the protocol.
local LEVELS = {
  vim.log.levels.ERROR,
  vim.log.levels.WARN,
  vim.log.levels.INFO,
  vim.log.levels.DEBUG,
}

--- Say it. While the user types, a message that does not fit on the message line is cut: the prompt
--- "Press ENTER" would swallow keys.
---@param message string
---@param level? integer
function M.say(message, level)
  message = "midfill: " .. message
  local typing = vim.api.nvim_get_mode().mode:sub(1, 1) ~= "n"
  local room = vim.v.echospace
  if typing and vim.fn.strdisplaywidth(message) > room then
    local tail = "… (:Midfill status)"
    message = vim.fn.strcharpart(message, 0, room - vim.fn.strdisplaywidth(tail)) .. tail
  end
  vim.notify(message, level or vim.log.levels.INFO)
end

--- For `window/showMessage` of the server; it names itself in some of its messages.
---@param params { type: integer, message: string }
function M.show_message(params)
  local message = params.message:gsub("^[Mm]idfill: ", "")
  M.say(message, LEVELS[params.type])
end

return M
