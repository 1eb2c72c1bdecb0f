--- Offsets: UTF-16 units and the client's encoding on one side, bytes on the other.
--- Owns nothing; hides that vim.str_byteindex changed its signature in Neovim 0.11.

local M = {}

local NEW = vim.fn.has("nvim-0.11") == 1

--- Byte offset of a position that is counted in another encoding; clamped to the text.
---@param text string
---@param units integer
---@param encoding "utf-8"|"utf-16"|"utf-32"
---@return integer
function M.to_byte(text, units, encoding)
  if encoding == "utf-8" then
    return math.min(units, #text)
  elseif NEW then
    return vim.str_byteindex(text, encoding, units, false)
  end
  local utf32, utf16 = vim.str_utfindex(text)
  local most = encoding == "utf-16" and utf16 or utf32
  return vim.str_byteindex(text, math.min(units, most), encoding == "utf-16")
end

--- The opposite of `to_byte`.
---@param text string
---@param byte integer
---@param encoding "utf-8"|"utf-16"|"utf-32"
---@return integer
function M.from_byte(text, byte, encoding)
  if encoding == "utf-8" then
    return math.min(byte, #text)
  elseif NEW then
    return vim.str_utfindex(text, encoding, byte, false)
  end
  local utf32, utf16 = vim.str_utfindex(text, math.min(byte, #text))
  return encoding == "utf-16" and utf16 or utf32
end

--- Text without carriage returns: a buffer never holds the ones of its line ends.
---@param text string
---@return string
function M.unix(text)
  return (text:gsub("\r\n?", "\n"))
end

--- Byte offsets in `unix(text)` of ends that are counted in UTF-16 units of `text`, ascending.
---@param text string
---@param ends integer[]
---@return integer[]
function M.boundaries(text, ends)
  local out = {}
  for i, units in ipairs(ends) do
    local byte = M.to_byte(text, units, "utf-16")
    out[i] = #M.unix(text:sub(1, byte))
  end
  return out
end

return M
