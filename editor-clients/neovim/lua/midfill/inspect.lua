--- Shows, in a window of its own, what `midfill/inspect` tells of a document's last question.
--- Knows the form of that answer; asks nothing itself.

local highlight = require("midfill.highlight")

local M = {}

local NAMESPACE = vim.api.nvim_create_namespace("midfill.inspect")

--- Lines, and where they have which highlight group.
local function page()
  return { lines = {}, marks = {} }
end

local function add(p, text)
  vim.list_extend(p.lines, vim.split(text, "\n", { plain = true }))
end

local function heading(p, text)
  if #p.lines > 0 then
    add(p, "")
  end
  add(p, text)
  p.marks[#p.marks + 1] = { #p.lines - 1, 0, #text, "Title" }
end

--- Tokens as they would be drawn, indented.
---@param tokens table[] {text, confidence, committed}
local function add_tokens(p, tokens)
  p.lines[#p.lines + 1] = "  "
  for _, token in ipairs(tokens) do
    local group = token[3] == 0 and "MidfillOpen" or highlight.group(token[2])
    for i, part in ipairs(vim.split(token[1], "\n", { plain = true })) do
      if i > 1 then
        p.lines[#p.lines + 1] = "  "
      end
      local line = p.lines[#p.lines]
      p.lines[#p.lines] = line .. part
      p.marks[#p.marks + 1] = { #p.lines - 1, #line, #line + #part, group }
    end
  end
end

--- Names and values, sorted.
local function add_values(p, values)
  local names = vim.tbl_keys(values)
  table.sort(names)
  for _, name in ipairs(names) do
    local value = values[name]
    if type(value) ~= "table" and value ~= vim.NIL then
      add(p, ("  %s: %s"):format(name, tostring(value)))
    end
  end
end

local function add_request(p, request)
  local context = request.context
  heading(p, request.ahead and "Request, sent ahead" or "Request")
  add_values(p, request.parameters)
  add_values(p, { path = context.path, language = context.language })
  for _, draft in ipairs(request.drafts) do
    heading(p, ("Step %d, after %g ms"):format(draft.step, draft.ms))
    add_tokens(p, draft.tokens)
  end
  if type(request.fill) == "table" then
    heading(p, "Answer of the engine")
    add_values(p, request.fill)
    for _, middle in ipairs(request.fill.middles or {}) do
      add_tokens(p, middle.tokens)
    end
  end
  heading(p, "Before the cursor")
  add(p, context.prefix)
  heading(p, "After the cursor")
  add(p, context.suffix)
  for _, snippet in ipairs(context.snippets) do
    heading(p, "From " .. snippet.path)
    add(p, snippet.text)
  end
end

---@param told { answer: table, request: table? }
local function page_of(told)
  local p, answer = page(), told.answer
  heading(p, ("Last question: line %d, %g ms"):format(answer.line + 1, answer.ms))
  if answer.code then
    add(p, ("  %s: %s"):format(answer.code, answer.message))
  else
    add(p, "  source: " .. answer.source)
    for _, tokens in ipairs(answer.shown) do
      add_tokens(p, tokens)
    end
  end
  if type(told.request) == "table" then
    add_request(p, told.request)
  end
  return p
end

--- Open the window; `q` closes it.
---@param told { answer: table, request: table? }
function M.open(told)
  local p = page_of(told)
  local bufnr = vim.api.nvim_create_buf(false, true)
  vim.api.nvim_buf_set_lines(bufnr, 0, -1, false, p.lines)
  for _, mark in ipairs(p.marks) do
    local row, from, to, group = unpack(mark)
    local options = { end_col = to, hl_group = group }
    vim.api.nvim_buf_set_extmark(bufnr, NAMESPACE, row, from, options)
  end
  vim.bo[bufnr].modifiable = false
  vim.bo[bufnr].bufhidden = "wipe"
  vim.cmd("botright vsplit")
  vim.api.nvim_win_set_buf(0, bufnr)
  vim.keymap.set("n", "q", "<Cmd>close<CR>", { buffer = bufnr, desc = "Close" })
end

return M
