;; Makes handles of a resource of its own for ever, before it publishes.
(component
  (component $Hooks
    (type $thing (resource (rep i32)))
    (core func $new (canon resource.new $thing))
    (core module $hoarding
      (import "own" "new" (func $new (param i32) (result i32)))
      (memory (export "memory") 1)
      (data (i32.const 88) "\01")
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 8192))
      (func (export "post-return") (param i32))
      (func (export "on-login") (param i32 i32 i32 i32) (result i32) (i32.const 64))
      (func (export "on-rooms") (param i32 i32 i32 i32 i32 i32) (result i32)
        (i32.store (i32.const 8) (i32.const 1024))
        (i32.store (i32.const 12) (local.get 5))
        (i32.const 8))
      (func (export "on-publish") (param i32 i32 i32 i32 i32 i32) (result i32)
        (loop $more (drop (call $new (i32.const 1))) (br $more))
        (i32.const 128)))
    (core instance $core (instantiate $hoarding (with "own" (instance
      (export "new" (func $new))))))
    (; include hooks ;))
  (; include end ;))
