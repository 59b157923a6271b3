;; Lacks three of the four hooks, and has the fourth with another type.
(component
  (component $Hooks
    (core module $calm (func (export "on-publish") (result i32) (i32.const 1)))
    (core instance $core (instantiate $calm))
    (func $publish (result bool) (canon lift (core func $core "on-publish")))
    (export "on-publish" (func $publish)))
  (; include end ;))
