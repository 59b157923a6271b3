;; Declares a memory that is 4 GiB large from the start.
(component
  (component $Hooks
    (core module $huge (memory 65536))
    (core instance (instantiate $huge))
    (; include calm ;)
    (; include hooks ;))
  (; include end ;))
