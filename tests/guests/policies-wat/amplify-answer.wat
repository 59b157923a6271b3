;; Answers for rooms with 10,000 refusals whose reasons are one and the same MiB: 10 GiB
;; to a host that copies each. For one message it refuses for that reason.
(component
  (component $Hooks
    (core module $echoing
      (memory (export "memory") 33)
      (data (i32.const 88) "\01")
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 8192))
      (func (export "post-return") (param i32))
      (func $login (export "on-login") (param i32 i32 i32 i32) (result i32) (i32.const 64))
      ;; decision: verdict's case at 0, code at 4 and 8, reason at 12 and 16, until at 24.
      (func (export "on-rooms") (param i32 i32 i32 i32 i32 i32) (result i32) (local $at i32)
        (local.set $at (i32.const 1048576))
        (loop $next
          (i32.store (local.get $at) (i32.const 1))
          (i32.store offset=16 (local.get $at) (i32.const 1048576))
          (local.set $at (i32.add (local.get $at) (i32.const 40)))
          (br_if $next (i32.lt_u (local.get $at) (i32.const 1448576))))
        (i32.store (i32.const 8) (i32.const 1048576))
        (i32.store (i32.const 12) (i32.const 10000))
        (i32.const 8))
      ;; publish-decision at 64: its third case is `deny`.
      (func (export "on-publish") (param i32 i32 i32 i32 i32 i32) (result i32)
        (i32.store (i32.const 64) (i32.const 2))
        (i32.store (i32.const 80) (i32.const 1048576))
        (i32.const 64)))
    (core instance $core (instantiate $echoing))
    (; include hooks ;))
  (; include end ;))
