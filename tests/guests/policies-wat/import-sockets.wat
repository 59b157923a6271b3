;; Imports the network, which no policy is offered.
(component
  (import "wasi:sockets/network@0.2.0" (instance $network
    (export "network" (type (sub resource)))))
  (alias export $network "network" (type $handle))
  (import "wasi:sockets/instance-network@0.2.0" (instance
    (alias outer 1 $handle (type $outer))
    (export "network" (type $network (eq $outer)))
    (export "instance-network" (func (result (own $network))))))
  (component $Hooks
    (; include calm ;)
    (; include hooks ;))
  (; include end ;))
