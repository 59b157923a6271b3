;; Answers with places beyond its memory, and a list longer than any memory.
(component
  (component $Hooks
    (core module $liar
      (memory (export "memory") 1)
      (data (i32.const 8) "\00\04\00\00\ff\ff\ff\07")
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 8192))
      (func (export "post-return") (param i32))
      (func (export "on-login") (param i32 i32 i32 i32) (result i32) (i32.const 0x7ffffff8))
      (func (export "on-rooms") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 8))
      (func (export "on-publish") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 0xfffffff8)))
    (core instance $core (instantiate $liar))
    (; include hooks ;))
  (; include end ;))
