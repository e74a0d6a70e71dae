external setup : unit -> unit = "hh_shared_setup"

let () =
  setup ();
  Unix.putenv "HH_SHARED_PLUGIN_RAN" "yes"
