-- Only names: nothing starts before `require("midfill").setup()`.
if vim.g.loaded_midfill or vim.fn.has("nvim-0.9") ~= 1 then
  return
end
vim.g.loaded_midfill = true

require("midfill.commands").define()
