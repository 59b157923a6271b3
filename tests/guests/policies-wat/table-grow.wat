;; Grows a table until it is refused, and then allows; in a core module's start function, so
;; that it happens whichever hook is called.
(component
  (component $Hooks
    (core module $growing
      (table $t 0 funcref)
      (func $grow
        (loop $more
          (br_if $more (i32.ne
            (table.grow $t (ref.null func) (i32.const 65536))
            (i32.const -1)))))
      (start $grow))
    (core instance (instantiate $growing))
    (; include calm ;)
    (; include hooks ;))
  (; include end ;))
