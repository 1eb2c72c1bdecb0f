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

  ;; lsp-mode accepts whole suggestions only; these take the beginning.
  (defun midfill--accept-part (pattern)
    (let* ((item (elt lsp-inline-completion--items lsp-inline-completion--current))
           (range (lsp:inline-completion-item-range? item))
           (point lsp-inline-completion--start-point)
           (start (if range (lsp--position-to-point (lsp:range-start range)) point))
           (rest (substring (lsp:inline-completion-item-insert-text item) (- point start))))
      (lsp-inline-completion-cancel)
      (when (string-match pattern rest)
        (insert (match-string 0 rest)))))
  (defun midfill-accept-word ()
    "Accept the next word of the suggestion."
    (interactive)
    (midfill--accept-part "\\`[[:space:]\n]*\\(\\w+\\|[^[:space:]]\\)"))
  (defun midfill-accept-line ()
    "Accept the next line of the suggestion."
    (interactive)
    (midfill--accept-part "\\`\n?.*"))

  (dolist (key '(("M-RET" . lsp-inline-completion-accept) ; a terminal cannot send C-<return>
                 ("M-f" . midfill-accept-word)
                 ("M-e" . midfill-accept-line)))
    (put (cdr key) 'lsp-inline-completion-keep t)
    (define-key lsp-inline-completion-active-map (kbd (car key)) (cdr key))))
