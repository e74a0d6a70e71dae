(* `test_dynlink FILE.cmxs…` loads the files in this order. *)
open Test_support

let () =
  let files = List.tl (Array.to_list Sys.argv) in
  let load file () =
    try Dynlink.loadfile file
    with Dynlink.Error e -> Alcotest.fail (Dynlink.error_message e)
  in
  let used name =
    test name (fun () ->
        let result = Sys.getenv_opt ("HH_SHARED_PLUGIN_" ^ name) in
        check_string name "works" (Option.value result ~default:"was not run"))
  in
  ignore (Unix.alarm 60);
  Alcotest.run ~argv:[| "test_dynlink" |] "native Dynlink"
    [
      ("load", List.map (fun file -> test (Filename.basename file) (load file)) files);
      ( "in the plugin",
        List.map used [ "SharedMem"; "Ancient"; "Netsys_mem"; "Rszshm"; "Zstd" ] );
    ]
