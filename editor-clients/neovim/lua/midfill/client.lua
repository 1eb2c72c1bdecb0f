--- The language server's process: started once for a Neovim, restarted when it dies, spoken to
--- here. Knows how to send; what an answer means is the callers' business.

local config = require("midfill.config")
local say = require("midfill.say").say
local status = require("midfill.status")
local text = require("midfill.text")

local M = {}

local METHOD_STYLE = vim.fn.has("nvim-0.11") == 1 -- client:request() instead of client.request()
local NAME = "midfill"
local RESTARTS = 5 -- in a row; a server that lived a minute starts the count anew
local LIVED_MS = 60 * 1000

local restarts = 0
local started_at = 0
local stopping = false
local missing_told = false
---@type integer? `vim.lsp.get_clients` hides a client that has not answered `initialize` yet
local client_id
---@type table<string, boolean> project roots that the server knows
local roots = {}
---@type table<string, fun(result: table, client: table)> notifications of the server
local listeners = {}

--- Call a function for each notification of a method.
---@param method string
---@param listener fun(result: table, client: table)
function M.on(method, listener)
  listeners[method] = listener
end

--- The running client, or nil.
---@return vim.lsp.Client?
function M.get()
  local client = client_id and vim.lsp.get_client_by_id(client_id)
  if not client then
    return nil
  end
  local stopped
  if METHOD_STYLE then
    stopped = client:is_stopped()
  else
    stopped = client.is_stopped()
  end
  return not stopped and client or nil
end

--- The client if it serves this buffer and has answered `initialize`.
---@param bufnr integer
---@return vim.lsp.Client?
function M.serving(bufnr)
  local client = M.get()
  if client and client.initialized and vim.lsp.buf_is_attached(bufnr, client.id) then
    return client
  end
  return nil
end

--- Send a request. The pending didChange goes out first: that needs the buffer's real number,
--- since the number 0 finds no pending change and the request would overtake the text.
---@param bufnr integer
---@param method string
---@param params table
---@param handler fun(err: table?, result: any)
---@return integer? id, for `cancel`; nil when no server serves the buffer
function M.request(bufnr, method, params, handler)
  local client = M.serving(bufnr)
  if not client then
    return nil
  end
  local ok, id
  if METHOD_STYLE then
    ok, id = client:request(method, params, handler, bufnr)
  else
    ok, id = client.request(method, params, handler, bufnr)
  end
  return ok and id or nil
end

---@param id integer
function M.cancel(id)
  local client = M.get()
  if not client then
    return
  elseif METHOD_STYLE then
    client:cancel_request(id)
  else
    client.cancel_request(id)
  end
end

---@param method string
---@param params table
function M.notify(method, params)
  local client = M.get()
  if not client or not client.initialized then
    return
  elseif METHOD_STYLE then
    client:notify(method, params)
  else
    client.notify(method, params)
  end
end

--- Run a command of the server, as an item of a completion asks for it.
---@param bufnr integer
---@param command lsp.Command?
function M.execute(bufnr, command)
  if command then
    local params = { command = command.command, arguments = command.arguments }
    M.request(bufnr, "workspace/executeCommand", params, function() end)
  end
end

--- Where the cursor is, in the words of the protocol.
---@param bufnr integer
---@param row integer 0-based
---@param col integer bytes
---@return lsp.Position
function M.position(bufnr, row, col)
  local client = M.get()
  local line = vim.api.nvim_buf_get_lines(bufnr, row, row + 1, false)[1] or ""
  local encoding = client and client.offset_encoding or "utf-16"
  return { line = row, character = text.from_byte(line, col, encoding) }
end

--- The version of the document that the server has after the last request.
---@param bufnr integer
---@return integer?
function M.version(bufnr)
  return vim.lsp.util.buf_versions[bufnr]
end

---@param bufnr integer
---@return string
local function root_of(bufnr)
  local name = vim.api.nvim_buf_get_name(bufnr)
  local found =
    vim.fs.find(config.current.root_markers, { path = vim.fs.dirname(name), upward = true })
  return vim.fs.dirname(found[1] or name)
end

--- One server serves all projects of this Neovim: it is told of further roots as they come.
---@param client vim.lsp.Client
---@param root string
local function add_root(client, root)
  if roots[root] then
    return
  end
  roots[root] = true
  local folder = { uri = vim.uri_from_fname(root), name = root }
  local folders = client.workspace_folders or {}
  folders[#folders + 1] = folder
  client.workspace_folders = folders
  if client.initialized then
    local event = { added = { folder }, removed = {} }
    M.notify("workspace/didChangeWorkspaceFolders", { event = event })
  end
end

local function on_exit(code, signal)
  vim.schedule(function()
    roots = {}
    if stopping or vim.v.exiting ~= vim.NIL then
      return
    end
    if vim.loop.now() - started_at > LIVED_MS then
      restarts = 0
    end
    restarts = restarts + 1
    local why = ("The language server ended (code %d, signal %d)."):format(code, signal)
    if restarts > RESTARTS then
      status.set({ state = "error", message = why .. " Start it again with :Midfill restart." })
      return
    end
    status.set({ state = "starting", message = why .. " Starting it again." })
    vim.defer_fn(M.resume, 250 * 2 ^ (restarts - 1))
  end)
end

---@return table
local function capabilities()
  local caps = vim.lsp.protocol.make_client_capabilities()
  caps.textDocument.inlineCompletion = { dynamicRegistration = false }
  return caps
end

--- Handlers for the server's notifications; each goes to the one listener, if there is any.
local function handlers()
  local out = {}
  for method in pairs(listeners) do
    out[method] = function(_, result, ctx)
      local client = ctx and vim.lsp.get_client_by_id(ctx.client_id)
      listeners[method](result or {}, client)
    end
  end
  return out
end

--- The server's settings as it is sent them; an empty table must not become a JSON list.
local function settings()
  local given = config.current.settings
  return { midfill = next(given) and given or vim.empty_dict() }
end

---@param root string
---@return table
local function client_config(root)
  local cfg = config.current
  return {
    name = NAME,
    cmd = cfg.cmd,
    cmd_env = cfg.cmd_env,
    root_dir = root,
    workspace_folders = { { uri = vim.uri_from_fname(root), name = root } },
    capabilities = capabilities(),
    init_options = vim.tbl_extend(
      "force",
      { drafts = cfg.drafts },
      cfg.settings,
      { late = not cfg.core }
    ),
    settings = settings(),
    handlers = handlers(),
    on_exit = on_exit,
    on_init = function(client)
      started_at = vim.loop.now()
      -- Who enabled Neovim's own for all servers would otherwise see two ghost texts.
      if vim.lsp.inline_completion then
        vim.lsp.inline_completion.enable(cfg.core, { client_id = client.id })
      end
    end,
    on_attach = function(_, bufnr)
      if cfg.core and vim.lsp.inline_completion then
        vim.lsp.inline_completion.enable(true, { bufnr = bufnr })
      end
    end,
  }
end

--- Serve a buffer, starting the server when it does not run. Safe to call again.
---@param bufnr integer
function M.attach(bufnr)
  if config.why_not(bufnr) then
    local client = M.get()
    if client and vim.lsp.buf_is_attached(bufnr, client.id) then
      vim.lsp.buf_detach_client(bufnr, client.id)
    end
    return
  end
  if stopping then
    return
  end
  local command = config.current.cmd[1]
  if vim.fn.executable(command) ~= 1 then
    local message = ("%s is not installed or not on PATH. See :checkhealth midfill."):format(
      command
    )
    status.set({ state = "error", message = message })
    if not missing_told then
      missing_told = true
      say(message, vim.log.levels.WARN)
    end
    return
  end
  local root = root_of(bufnr)
  local client = M.get()
  if client then
    add_root(client, root)
    vim.lsp.buf_attach_client(bufnr, client.id)
    return
  end
  started_at = vim.loop.now()
  roots = { [root] = true }
  status.set({ state = "starting", message = "The language server is starting." })
  client_id = vim.lsp.start(client_config(root), { bufnr = bufnr })
end

--- Serve every loaded buffer that is meant to be served.
local function attach_all()
  for _, bufnr in ipairs(vim.api.nvim_list_bufs()) do
    if vim.api.nvim_buf_is_loaded(bufnr) then
      M.attach(bufnr)
    end
  end
end

--- Serve all buffers, also after `stop`.
function M.resume()
  stopping = false
  attach_all()
end

--- End the server, until `resume`.
function M.stop()
  stopping = true
  status.set({ state = "off", message = "The language server was stopped." })
  local client = M.get()
  if not client then
    return
  elseif METHOD_STYLE then
    client:stop()
  else
    client.stop()
  end
end

--- End the server and start it anew.
function M.restart()
  restarts = 0
  missing_told = false
  M.stop()
  local tries = 0
  local function again()
    tries = tries + 1
    local client = M.get()
    if not client then
      M.resume()
    elseif tries < 40 then
      vim.defer_fn(again, 50)
    elseif METHOD_STYLE then -- it does not end by itself
      client:stop(true)
      vim.defer_fn(M.resume, 100)
    else
      client.stop(true)
      vim.defer_fn(M.resume, 100)
    end
  end
  again()
end

--- Send changed settings to the running server.
function M.reconfigure()
  local client = M.get()
  if client then
    client.settings = settings()
    if client.config then
      client.config.settings = client.settings
    end
    M.notify("workspace/didChangeConfiguration", { settings = client.settings })
  end
end

return M
