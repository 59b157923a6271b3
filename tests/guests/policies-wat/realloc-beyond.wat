;; Hands the host a place beyond its memory to put the arguments at.
(component
  (component $Hooks
    (core module $liar
      (memory (export "memory") 1)
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0xfffffff0))
      (func (export "post-return") (param i32))
      (func (export "on-login") (param i32 i32 i32 i32) (result i32) (i32.const 64))
      (func $six (export "on-rooms") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 64))
      (export "on-publish" (func $six)))
    (core instance $core (instantiate $liar))
    (; include hooks ;))
  (; include end ;))
