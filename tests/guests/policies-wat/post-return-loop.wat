;; Answers at once (yes to all), and then goes round for ever in the clean-up after the answer.
(component
  (component $Hooks
    (core module $lingering
      (memory (export "memory") 1)
      (data (i32.const 88) "\01")
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 8192))
      (func (export "post-return") (param i32) (loop $again (br $again)))
      (func (export "on-login") (param i32 i32 i32 i32) (result i32) (i32.const 64))
      (func (export "on-rooms") (param i32 i32 i32 i32 i32 i32) (result i32)
        (i32.store (i32.const 8) (i32.const 1024))
        (i32.store (i32.const 12) (local.get 5))
        (i32.const 8))
      (func (export "on-publish") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 128)))
    (core instance $core (instantiate $lingering))
    (; include hooks ;))
  (; include end ;))
