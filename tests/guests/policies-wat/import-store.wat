;; Imports the whole store, which is offered to the REST components alone.
(component
  (import "wasi:keyvalue/store@0.2.0-draft2" (instance
    (export "bucket" (type $bucket (sub resource)))
    (type $error' (variant (case "no-such-store") (case "access-denied") (case "other" string)))
    (export "error" (type $error (eq $error')))
    (export "open" (func
      (param "identifier" string) (result (result (own $bucket) (error $error)))))))
  (component $Hooks
    (; include calm ;)
    (; include hooks ;))
  (; include end ;))
