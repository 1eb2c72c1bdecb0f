;; eglot runs one server a buffer and has no inline completion: suggestions come through
;; completion-at-point (M-TAB). For ghost text beside another server take lsp-mode:
;; `midfill init emacs`.
(with-eval-after-load 'eglot
  (add-to-list 'eglot-server-programs
               '((prog-mode) . ("@MIDFILL@" "lsp"
                                :initializationOptions (:completion (:enabled t))))))
