" With the plugin vim-lsp. Vim has no inline completion: suggestions come in the completion menu.
" For ghost text take llama.vim: `midfill init llama.vim`.
augroup midfill
  autocmd!
  autocmd User lsp_setup call lsp#register_server({
        \ 'name': 'midfill',
        \ 'cmd': {server_info->['@MIDFILL@', 'lsp']},
        \ 'allowlist': ['*'],
        \ 'initialization_options': {'completion': {'enabled': v:true}},
        \ })
augroup END
