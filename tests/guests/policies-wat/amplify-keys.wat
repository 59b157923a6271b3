;; Before it publishes, it reads 10,000 keys that are one and the same MiB: 10 GiB to a
;; host that copies the keys before it counts them.
(component
  (type $State (instance
    (type $error' (variant (case "store" string) (case "limit")))
    (export "error" (type $error (eq $error')))
    (export "get-many" (func
      (param "keys" (list string)) (result (result (list (option (list u8))) (error $error)))))))
  (import "sschat:policy/state@1.0.0" (instance $state (type $State)))
  (component $Hooks
    (import "state" (instance $state (type $State)))
    (core module $room-to-speak
      (memory (export "memory") 64)
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 2097152)))
    (core instance $room (instantiate $room-to-speak))
    (core func $get-many (canon lower (func $state "get-many")
      (memory (core memory $room "memory")) (realloc (core func $room "realloc"))))
    (core module $asking
      (import "room" "memory" (memory 64))
      (import "room" "get-many" (func $get-many (param i32 i32 i32)))
      (export "memory" (memory 0))
      (data (i32.const 88) "\01")
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 8192))
      (func (export "post-return") (param i32))
      (func (export "on-login") (param i32 i32 i32 i32) (result i32) (i32.const 64))
      (func (export "on-rooms") (param i32 i32 i32 i32 i32 i32) (result i32)
        (i32.store (i32.const 8) (i32.const 1024))
        (i32.store (i32.const 12) (local.get 5))
        (i32.const 8))
      (func (export "on-publish") (param i32 i32 i32 i32 i32 i32) (result i32) (local $at i32)
        (local.set $at (i32.const 1048576))
        (loop $next
          (i32.store offset=4 (local.get $at) (i32.const 1048576))
          (local.set $at (i32.add (local.get $at) (i32.const 8)))
          (br_if $next (i32.lt_u (local.get $at) (i32.const 1128576))))
        (call $get-many (i32.const 1048576) (i32.const 10000) (i32.const 512))
        (i32.const 128)))
    (core instance $core (instantiate $asking
      (with "room" (instance
        (export "memory" (memory $room "memory"))
        (export "get-many" (func $get-many))))))
    (; include hooks ;))
  (instance $hooks (instantiate $Hooks (with "state" (instance $state))))
  (export "sschat:policy/hooks@1.0.0" (instance $hooks)))
