(* A program that doesn't link hh_shared.zstd: it cannot store with zstd, nor read what another
   process has stored so, and is told what to link. All else works. *)
open Test_support
open Zstd_tables

let says_what_to_link what f =
  match f () with
  | _ -> Alcotest.failf "%s was not refused" what
  | exception Invalid_argument text ->
      let suffix = "this program has no zstd: link the library hh_shared.zstd" in
      check_bool text true (String.ends_with ~suffix text)

let kind : [ `text ] SharedMem.NewAPI.Kind.serialized =
  SharedMem.NewAPI.Kind.serialized ~tag:63 "text"

let alone f = wait_ok (fork f)

let storing () =
  alone (fun () ->
      ignore (make ());
      says_what_to_link "add" (fun () -> Fast.add "a" "value");
      says_what_to_link "add" (fun () -> Small.add "a" "value");
      says_what_to_link "prepare_write_compressed" (fun () ->
          SharedMem.NewAPI.prepare_write_compressed ~compression:(Zstd 22) kind "value");
      check_int "nothing was stored" 0 (SharedMem.heap_size ());
      check_bool "nothing was added" false (Fast.mem "a");
      Lz4.add "a" "value";
      check_bool "LZ4" true (Lz4.get "a" = Some "value"))

let another_process () =
  alone (fun () ->
      let handle = make () in
      let program =
        Filename.concat (Filename.dirname Sys.executable_name) "with_zstd.exe"
      in
      let arguments = [| program; SharedMem.handle_to_string handle |] in
      wait_ok (Unix.create_process program arguments Unix.stdin Unix.stdout Unix.stderr);
      let check () =
        check_bool "plain" true (Plain.get "other" = Some (text 10_000));
        check_bool "LZ4" true (Lz4.get "other" = Some (text 10_000));
        check_bool "there" true (Fast.mem "other" && Small.mem "other");
        says_what_to_link "get" (fun () -> Fast.get "other");
        says_what_to_link "get" (fun () -> Small.get "other")
      in
      check ();
      (* A collector need not know what is in it. *)
      SharedMem.compact ();
      check ();
      Fast.remove "other";
      check_bool "removed" true (Fast.get "other" = None))

let () =
  run ~seconds:120 "without zstd"
    [
      ( "zstd",
        [
          test "storing is refused" storing;
          test "so is reading what another process stored" another_process;
        ] );
    ]
