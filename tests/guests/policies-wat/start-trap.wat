;; Traps before any hook can be called: in a core module's start function.
(component
  (component $Hooks
    (core module $fatal
      (func $trap unreachable)
      (start $trap))
    (core instance (instantiate $fatal))
    (; include calm ;)
    (; include hooks ;))
  (; include end ;))
