;; Imports what nobody has heard of.
(component
  (import "example:unheard/of@1.0.0" (instance (export "say" (func (param "what" string)))))
  (component $Hooks
    (; include calm ;)
    (; include hooks ;))
  (; include end ;))
