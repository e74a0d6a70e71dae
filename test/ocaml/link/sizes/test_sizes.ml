(* `test_sizes ALONE PROGRAM…`: what one of our modules adds to an executable, as `strip` leaves it.

   ALONE has OCaml's unix and Printf, which all of our modules use: a megabyte more than a program
   that does nothing, but none of it ours. *)
open Test_support

let most = 3 lsl 19 (* 1.5 MB *)

let stripped program =
  with_temp_dir (fun dir ->
      let out = Filename.concat dir "stripped" in
      let command = Filename.quote_command "strip" [ "-o"; out; program ] in
      check_int command 0 (Sys.command command);
      (Unix.stat out).st_size)

let sizes () =
  match Array.to_list Sys.argv with
  | _ :: alone :: (_ :: _ as programs) ->
      let alone = stripped alone in
      List.iter
        (fun program ->
          let more = stripped program - alone in
          let text =
            Printf.sprintf "%s: %d bytes more than %d" (Filename.basename program) more
              alone
          in
          print_endline text;
          (* One that is hardly larger has nothing of ours. *)
          check_bool text true (more > 1 lsl 19 && more < most))
        programs
  | _ -> Alcotest.fail "the programs' names are missing"

let () =
  Alcotest.run ~argv:[| "test_sizes" |] "sizes"
    [ ("stripped", [ test "less than 1.5 MB more" sizes ]) ]
