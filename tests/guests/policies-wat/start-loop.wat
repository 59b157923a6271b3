;; Goes round for ever before any hook can be called: in a core module's start function.
(component
  (component $Hooks
    (core module $endless
      (func $spin (loop $again (br $again)))
      (start $spin))
    (core instance (instantiate $endless))
    (; include calm ;)
    (; include hooks ;))
  (; include end ;))
