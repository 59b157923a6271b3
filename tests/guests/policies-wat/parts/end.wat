;; What follows the component $Hooks of a policy that imports nothing.
(instance $hooks (instantiate $Hooks))
(export "sschat:policy/hooks@1.0.0" (instance $hooks))
