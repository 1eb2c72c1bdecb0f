std = "luajit"
read_globals = { "vim" }
globals = { "vim.bo", "vim.b", "vim.o", "vim.g", "vim.opt" }
max_line_length = 100
