" llama.vim asks over HTTP: keep `midfill serve` running. Before the plugin is loaded:
let g:llama_config = {
      \ 'endpoint_fim': 'http://127.0.0.1:@PORT@/infill',
      \ 'endpoint_inst': '',
      \ 'n_predict': 96,
      \ }
