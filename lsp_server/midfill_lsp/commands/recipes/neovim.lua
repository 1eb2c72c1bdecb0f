-- Neovim 0.12 or newer, without a plugin. The plugin in editor-clients/neovim also runs on older
-- releases, accepts words and lines, shows confidence and drafts: require("midfill").setup({}).
vim.lsp.config("midfill", {
  cmd = { "@MIDFILL@", "lsp" },
  root_markers = { "midfill.toml", ".git" },
})
vim.lsp.enable("midfill")
vim.lsp.inline_completion.enable(true)

vim.keymap.set("i", "<Tab>", function()
  if not vim.lsp.inline_completion.get() then
    return "<Tab>"
  end
end, { expr = true, desc = "Accept the suggestion, or Tab" })
vim.keymap.set("i", "<M-]>", function()
  vim.lsp.inline_completion.select()
end, { desc = "Next suggestion" })
