;; Two components with a memory each, as tools that compose components make them: before a
;; message is published, the one asks the other about a text. It allows everything.
(component
  (component $Adviser
    (core module $counting
      (memory (export "memory") 1)
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
      (func (export "weigh") (param i32 i32) (result i32) (local.get 1)))
    (core instance $counting (instantiate $counting))
    (func (export "weigh") (param "text" string) (result u32)
      (canon lift (core func $counting "weigh")
        (memory (core memory $counting "memory")) (realloc (core func $counting "realloc")))))
  (instance $adviser (instantiate $Adviser))
  (component $Hooks
    (import "weigh" (func $weigh (param "text" string) (result u32)))
    (core module $room (memory (export "memory") 1))
    (core instance $room (instantiate $room))
    (core func $weigh (canon lower (func $weigh) (memory (core memory $room "memory"))))
    (core module $asking
      (import "room" "memory" (memory 1))
      (import "room" "weigh" (func $weigh (param i32 i32) (result i32)))
      (export "memory" (memory 0))
      (data (i32.const 88) "\01")
      (data (i32.const 256) "text")
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 8192))
      (func (export "post-return") (param i32))
      (func (export "on-login") (param i32 i32 i32 i32) (result i32) (i32.const 64))
      (func (export "on-rooms") (param i32 i32 i32 i32 i32 i32) (result i32)
        (i32.store (i32.const 8) (i32.const 1024))
        (i32.store (i32.const 12) (local.get 5))
        (i32.const 8))
      ;; The case of the verdict is 0, which allows, only if the text has 4 bytes.
      (func (export "on-publish") (param i32 i32 i32 i32 i32 i32) (result i32)
        (i32.store (i32.const 128)
          (i32.shl (i32.ne (call $weigh (i32.const 256) (i32.const 4)) (i32.const 4)) (i32.const 1)))
        (i32.const 128)))
    (core instance $core (instantiate $asking
      (with "room" (instance
        (export "memory" (memory $room "memory"))
        (export "weigh" (func $weigh))))))
    (; include hooks ;))
  (instance $hooks (instantiate $Hooks (with "weigh" (func $adviser "weigh"))))
  (export "sschat:policy/hooks@1.0.0" (instance $hooks)))
