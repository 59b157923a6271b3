;; The smallest policy: it allows everything.
(component
  (component $Hooks
    (; include calm ;)
    (; include hooks ;))
  (; include end ;))
