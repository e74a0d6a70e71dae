(* A native program reads what a bytecode program wrote, and the other way round. *)

open Test_support
open Values

let () =
  role "read" (fun args ->
      let md = attach ~flags:read_only args.(0) in
      check_everything (Ancient.follow (Ancient.get md 0)));
  role "write" (fun args -> ignore (Ancient.share (attach args.(0)) 0 (everything ())))

(* This test, compiled the other way. *)
let other role path =
  let ours, theirs =
    match Sys.backend_type with Sys.Bytecode -> (".bc", ".exe") | _ -> (".exe", ".bc")
  in
  let here = Sys.executable_name in
  let program = Filename.chop_suffix here ours ^ theirs in
  let stubs =
    List.fold_left Filename.concat (Filename.dirname here)
      [ ".."; ".."; ".."; "ocaml"; "stubs" ]
  in
  Unix.putenv "CAML_LD_LIBRARY_PATH" stubs;
  Unix.putenv "HH_SHARED_TEST_ROLE" role;
  let pid =
    Unix.create_process program [| program; path |] Unix.stdin Unix.stdout Unix.stderr
  in
  wait_ok pid

let both () =
  with_temp_dir (fun dir ->
      let path = Filename.concat dir "image" in
      other "write" path;
      let md = attach path in
      check_everything (Ancient.follow (Ancient.get md 0));
      ignore (Ancient.share md 0 (everything ()));
      other "read" path)

let () = run "ancient file: native and bytecode" [ ("mixed", [ test "both ways" both ]) ]
