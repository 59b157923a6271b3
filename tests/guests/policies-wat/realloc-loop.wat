;; Goes round for ever while the host hands over the arguments: in `realloc`.
(component
  (component $Hooks
    (core module $endless
      (memory (export "memory") 1)
      (func (export "realloc") (param i32 i32 i32 i32) (result i32)
        (loop $again (br $again)) unreachable)
      (func (export "post-return") (param i32))
      (func (export "on-login") (param i32 i32 i32 i32) (result i32) (i32.const 64))
      (func $six (export "on-rooms") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 64))
      (export "on-publish" (func $six)))
    (core instance $core (instantiate $endless))
    (; include hooks ;))
  (; include end ;))
