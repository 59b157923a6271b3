;; Declares ten tables of ten million elements, the most that validates.
(component
  (component $Hooks
    (core module $wide
      (table 10000000 funcref) (table 10000000 funcref) (table 10000000 funcref)
      (table 10000000 funcref) (table 10000000 funcref) (table 10000000 funcref)
      (table 10000000 funcref) (table 10000000 funcref) (table 10000000 funcref)
      (table 10000000 funcref))
    (core instance (instantiate $wide))
    (; include calm ;)
    (; include hooks ;))
  (; include end ;))
