module Dictionary = Map.Make (String)

type entry = { number : int; notes : string list }

let key : entry Dictionary.t Ancient.Key.t =
  Ancient.Key.make "words" ~description:"entry Dictionary.t, v1"
