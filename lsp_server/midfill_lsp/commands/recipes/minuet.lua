-- minuet-ai.nvim asks over HTTP: keep `midfill serve` running.
require("minuet").setup({
  provider = "openai_fim_compatible",
  n_completions = 1,
  throttle = 0,
  debounce = 100,
  virtualtext = {
    auto_trigger_ft = { "*" }, -- minuet shows nothing by itself otherwise
    keymap = { accept = "<M-l>", accept_line = "<M-j>", dismiss = "<M-e>" },
  },
  provider_options = {
    openai_fim_compatible = {
      -- minuet wants the name of a variable that is set; no key is needed on this machine.
      api_key = "TERM",
      name = "Midfill",
      end_point = "http://127.0.0.1:@PORT@/v1/completions",
      model = "midfill",
      optional = { max_tokens = 96 },
    },
  },
})
