(* `test_dynlink FILE.cmxs…` loads the files in this order. *)
open Test_support

let () =
  let files = List.tl (Array.to_list Sys.argv) in
  let load file () =
    try Dynlink.loadfile file
    with Dynlink.Error e -> Alcotest.fail (Dynlink.error_message e)
  in
  let marker = "HH_SHARED_PLUGIN_RAN" in
  ignore (Unix.alarm 60);
  Alcotest.run ~argv:[| "test_dynlink" |] "native Dynlink"
    [
      ("load", List.map (fun file -> test (Filename.basename file) (load file)) files);
      ( "plugin",
        [
          test "ran, and called into the archive" (fun () ->
              check_string marker "yes" (try Unix.getenv marker with Not_found -> "no"));
        ] );
    ]
