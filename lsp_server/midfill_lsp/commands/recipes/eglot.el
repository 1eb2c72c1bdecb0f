;; eglot runs one server a buffer and has no inline completion: suggestions come through
;; completion-at-point (M-TAB). For ghost text beside another server take lsp-mode:
;; `midfill init emacs`.
(with-eval-after-load 'eglot
  (add-to-list 'eglot-server-programs
               ;; By name, since eglot makes the language's name from the mode's.
               '((python-mode python-ts-mode js-mode js-ts-mode typescript-ts-mode rust-mode
                  rust-ts-mode go-mode go-ts-mode c-mode c-ts-mode c++-mode c++-ts-mode
                  java-mode java-ts-mode)
                 . ("@MIDFILL@" "lsp" :initializationOptions (:completion (:enabled t))))))
