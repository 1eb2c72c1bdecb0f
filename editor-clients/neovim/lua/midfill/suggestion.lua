--- What is suggested at the cursor: asked for, shown, typed along with, forgotten.
---
--- One suggestion lives at a time. The buffer decides whether it still holds: the text between
--- its start and the cursor must be the beginning of the candidate. So a key that agrees is
--- answered from here at once, whatever else is under way, and an acceptance can never meet a
--- stale text.

local client = require("midfill.client")
local config = require("midfill.config")
local ghost = require("midfill.ghost")
local item = require("midfill.item")
local menu = require("midfill.menu")
local status = require("midfill.status")
local text = require("midfill.text")

local M = {}

local INVOKED, AUTOMATIC = 1, 2 -- InlineCompletionTriggerKind

---@class midfill.Suggestion
---@field bufnr integer
---@field row integer          Where the candidates' text starts.
---@field col integer
---@field head string          The line's text before that.
---@field replaced string      Text right of the cursor that the candidates stand for.
---@field rest string          Text right of that.
---@field items midfill.Item[]
---@field index integer
---@field told table<string, boolean>  Ids that the server knows to have been seen.
---@field chosen? boolean      The user stepped to this candidate.

---@class midfill.Asked
---@field sequence integer
---@field id? integer          Of the request.
---@field bufnr integer
---@field tick integer         The buffer's changedtick.
---@field row integer
---@field col integer
---@field version? integer

---@type midfill.Suggestion?
local shown
---@type midfill.Asked?
local asked
---@type midfill.Asked? the last one, answered or not: one event loop's events are one key
local latest
local sequence = 0
---@type { bufnr: integer, tick: integer }? nothing is shown there until the text changes
local dismissed

---@return boolean
local function inserting()
  return vim.api.nvim_get_mode().mode:sub(1, 1) == "i"
end

---@return integer bufnr, integer row, integer col, integer tick
local function place()
  local bufnr = vim.api.nvim_get_current_buf()
  local cursor = vim.api.nvim_win_get_cursor(0)
  return bufnr, cursor[1] - 1, cursor[2], vim.api.nvim_buf_get_changedtick(bufnr)
end

--- Text between two places of a buffer, or nil when they are not there (any more).
local function between(bufnr, row, col, to_row, to_col)
  local ok, lines = pcall(vim.api.nvim_buf_get_text, bufnr, row, col, to_row, to_col, {})
  return ok and table.concat(lines, "\n") or nil
end

--- Bytes of the candidate that the buffer holds before the cursor; nil when the two disagree.
---@param s midfill.Suggestion
---@param candidate midfill.Item
---@return integer?
local function held(s, candidate)
  local bufnr, row, col = place()
  if bufnr ~= s.bufnr or row < s.row or (row == s.row and col < s.col) then
    return nil
  end
  local first = vim.api.nvim_buf_get_lines(bufnr, s.row, s.row + 1, false)[1]
  local typed = between(bufnr, s.row, s.col, row, col)
  if not first or not typed or first:sub(1, s.col) ~= s.head then
    return nil
  end
  local after = vim.api.nvim_get_current_line():sub(col + 1)
  local left = after:sub(1, #after - #s.rest)
  if not vim.endswith(after, s.rest) or not vim.endswith(s.replaced, left) then
    return nil
  end
  return vim.startswith(candidate.text, typed) and #typed or nil
end

--- The current candidate and how much of it the buffer holds, when something is left to show.
---@return midfill.Item?, integer?
local function live()
  if not shown or not inserting() then
    return nil
  end
  local candidate = shown.items[shown.index]
  local n = held(shown, candidate)
  if n and n < #candidate.text then
    return candidate, n
  end
  return nil
end

--- Text right of the cursor that accepting would replace.
local function replaced_now(s)
  local _, _, col = place()
  local after = vim.api.nvim_get_current_line():sub(col + 1)
  return after:sub(1, #after - #s.rest)
end

local function draw(candidate, n)
  local many = #shown.items > 1 and ("%d/%d"):format(shown.index, #shown.items) or nil
  ghost.draw({ lines = item.lines(candidate, n), replaced = replaced_now(shown), hint = many })
  if candidate.id and not shown.told[candidate.id] then
    shown.told[candidate.id] = true
    client.notify("midfill/didShow", { id = candidate.id })
  end
end

function M.forget()
  shown = nil
  ghost.clear()
end

function M.cancel()
  if asked and asked.id then
    client.cancel(asked.id)
  end
  asked = nil
end

--- The server's items as a suggestion at the cursor; those that disagree with the buffer are
--- dropped.
---@param bufnr integer
---@param result table?
---@return midfill.Suggestion?
local function receive(bufnr, result)
  local list = type(result) == "table" and (result.items or result) or {}
  local lsp = client.get()
  local first = list[1]
  if not first or not lsp then
    return nil
  end
  local _, row, col = place()
  local line = vim.api.nvim_get_current_line()
  local from, to = col, col
  if first.range then
    row = first.range.start.line
    line = vim.api.nvim_buf_get_lines(bufnr, row, row + 1, false)[1] or ""
    from = text.to_byte(line, first.range.start.character, lsp.offset_encoding)
    to = text.to_byte(line, first.range["end"].character, lsp.offset_encoding)
  end
  local s = {
    bufnr = bufnr,
    row = row,
    col = from,
    head = line:sub(1, from),
    replaced = line:sub(col + 1, math.max(col, to)),
    rest = line:sub(math.max(col, to) + 1),
    items = {},
    index = 1,
    told = {},
  }
  for _, raw in ipairs(list) do
    local candidate = item.from_lsp(raw)
    local n = candidate and held(s, candidate)
    if n and n < #candidate.text then
      s.items[#s.items + 1] = candidate
    end
  end
  return #s.items > 0 and s or nil
end

--- Show an answer. Nothing does not contradict what is typed along with: that stays; and so does
--- a candidate that the user chose among several.
local function answer(bufnr, result, kind)
  local s = receive(bufnr, result)
  if kind == AUTOMATIC and shown and shown.chosen and live() then
    M.show()
    return
  elseif s then
    if shown then
      s.told = shown.told
    end
    shown = s
    status.spoke(vim.uri_from_bufnr(bufnr))
  elseif kind == INVOKED and not live() then
    shown = nil
  end
  M.show()
end

---@param mine midfill.Asked
local function on_answer(mine, kind, err, result, done)
  if not asked or asked.sequence ~= mine.sequence then
    return
  end
  asked = nil
  local bufnr, row, col, tick = place()
  local moved = bufnr ~= mine.bufnr or tick ~= mine.tick or row ~= mine.row or col ~= mine.col
  if moved or not inserting() then
    return
  end
  if err then
    status.set_error(err.message or tostring(err))
    result = nil
  end
  answer(bufnr, result, kind)
  if done then
    done()
  end
end

--- Ask for completions at the cursor; whatever was being asked is cancelled first.
---@param kind integer
---@param done? fun() called once an answer has been taken
---@return boolean asked
local function ask(kind, done)
  local bufnr, row, col, tick = place()
  M.cancel()
  if not client.serving(bufnr) then
    return false
  end
  sequence = sequence + 1
  local mine = { sequence = sequence, bufnr = bufnr, tick = tick, row = row, col = col }
  asked, latest = mine, mine
  local params = {
    textDocument = { uri = vim.uri_from_bufnr(bufnr) },
    position = client.position(bufnr, row, col),
    context = { triggerKind = kind, selectedCompletionInfo = menu.selected(bufnr, row, col) },
  }
  mine.id = client.request(bufnr, "textDocument/inlineCompletion", params, function(err, result)
    on_answer(mine, kind, err, result, done)
  end)
  mine.version = client.version(bufnr)
  return mine.id ~= nil
end

--- Whether this place and text were asked about already.
local function known()
  local bufnr, row, col, tick = place()
  local l = latest
  return l and l.bufnr == bufnr and l.tick == tick and l.row == row and l.col == col
end

--- Draw what still holds, forget what does not. Cheap: called for every key.
---@return boolean visible
function M.show()
  local candidate, n = live()
  if not candidate then
    M.forget()
    return false
  elseif menu.in_the_way() then
    ghost.clear()
    return false
  end
  draw(candidate, n)
  return true
end

--- Whether nothing is to be asked here by itself.
local function silent()
  local bufnr, _, _, tick = place()
  return not config.current.auto
    or vim.b[bufnr].midfill == false
    or vim.fn.reg_executing() ~= ""
    or menu.in_the_way()
    or (dismissed and dismissed.bufnr == bufnr and dismissed.tick == tick)
end

--- A key was typed, the menu moved, or insert mode began: redraw now, ask when the text is new.
---@param changed boolean whether the text changed (moving about asks nothing)
function M.refresh(changed)
  if not inserting() then
    return
  end
  M.show()
  if known() then
    return
  elseif not changed then
    M.cancel()
    return
  end
  if silent() then
    M.cancel()
  else
    ask(AUTOMATIC)
  end
end

--- Leave insert mode or the buffer.
function M.leave()
  M.cancel()
  M.forget()
  latest = nil
end

--- Ask now, for several candidates.
---@param done? fun()
---@return boolean
function M.complete(done)
  dismissed = nil
  return inserting() and ask(INVOKED, done)
end

local function choose(step)
  shown.index = (shown.index - 1 + step) % #shown.items + 1
  shown.chosen = true
  M.show()
end

--- Step through the candidates, asking for more when there is only one.
---@param step integer
function M.cycle(step)
  if live() and #shown.items > 1 then
    choose(step)
    return
  end
  local before = shown and shown.items[shown.index].text
  M.complete(function()
    if shown and #shown.items > 1 and shown.items[shown.index].text == before then
      choose(step)
    end
  end)
end

--- Hide it, here, until the text changes.
---@return boolean something was shown or being asked
function M.dismiss()
  local bufnr, row, col, tick = place()
  local candidate = live()
  if not candidate and not asked then
    return false
  end
  local position = client.position(bufnr, row, col)
  local id = candidate and candidate.id
  client.notify(
    "midfill/didDismiss",
    { uri = vim.uri_from_bufnr(bufnr), position = position, id = id }
  )
  dismissed = { bufnr = bufnr, tick = tick }
  M.cancel()
  M.forget()
  return true
end

--- What an acceptance needs; checked against the buffer as it is now.
---@return { suggestion: midfill.Suggestion, item: midfill.Item, held: integer, replaced: string }?
function M.current()
  local candidate, n = live()
  if not candidate or menu.in_the_way() then
    return nil
  end
  return { suggestion = shown, item = candidate, held = n, replaced = replaced_now(shown) }
end

---@return boolean
function M.visible()
  return M.current() ~= nil
end

--- What was not ready in time, or only in part, is known now: ask once more, if the user still
--- rests there.
---@param told { uri: string }
function M.late(told)
  local rests = inserting() and not asked and known() and told.uri == vim.uri_from_bufnr(0)
  if rests and not silent() then
    ask(AUTOMATIC)
  end
end

--- Draw a denoising step of the pending request, unless something better is shown.
---@param draft { uri: string, version: integer, text: string, tokens: table[] }
function M.draft(draft)
  if not asked or live() or not inserting() or menu.in_the_way() then
    return
  end
  local bufnr, row, col, tick = place()
  local same = asked.bufnr == bufnr and asked.tick == tick and asked.row == row and asked.col == col
  if not same or draft.uri ~= vim.uri_from_bufnr(bufnr) then
    return
  elseif asked.version and draft.version ~= asked.version then
    return
  end
  local candidate = item.from_draft(draft)
  if candidate.text ~= "" then
    ghost.draw({ lines = item.lines(candidate, 0), replaced = "" })
  end
end

return M
