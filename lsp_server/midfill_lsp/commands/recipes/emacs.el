;; lsp-mode 10 or newer: ghost text, beside the language's own server.
(with-eval-after-load 'lsp-mode
  (require 'lsp-inline-completion)
  (lsp-register-client
   (make-lsp-client
    :new-connection (lsp-stdio-connection '("@MIDFILL@" "lsp"))
    :activation-fn (lambda (&rest _) t)
    :server-id 'midfill
    :notification-handlers (lsp-ht ("midfill/status" #'ignore) ("midfill/silence" #'ignore))
    :add-on? t
    :priority -2))
  (add-hook 'lsp-mode-hook #'lsp-inline-completion-mode)
  (setq lsp-inline-completion-idle-delay 0.3)
  ;; A terminal cannot send Control-Return, the default.
  (define-key lsp-inline-completion-active-map (kbd "M-RET") #'lsp-inline-completion-accept))
