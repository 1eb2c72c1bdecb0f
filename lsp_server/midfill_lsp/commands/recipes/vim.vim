" With the plugin vim-lsp. Vim has no inline completion: suggestions come in the completion menu.
" For ghost text take llama.vim: `midfill init llama.vim`.
" One line at a time: vim-lsp puts the line ends of a longer entry into the buffer as ^@.
augroup midfill
  autocmd!
  autocmd User lsp_setup call lsp#register_server({
        \ 'name': 'midfill',
        \ 'cmd': {server_info->['@MIDFILL@', 'lsp']},
        \ 'allowlist': ['*'],
        \ 'initialization_options': {'completion': {'enabled': v:true}, 'multiline': v:false},
        \ })
augroup END
