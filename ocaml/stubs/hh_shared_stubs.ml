external setup : unit -> unit = "hh_shared_setup"

let () = setup ()
