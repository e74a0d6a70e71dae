(* `test_symbols OURS.a RSZSHM.a ZSTD.a FOREIGN.a OCAML` looks at the archives' symbols.

   A symbol more than our own among the exports, such as rust_eh_personality, clashes with
   another Rust library in somebody's executable. A symbol more among the imports is one that a
   program which links us may not have: libc and libgcc are in every one, OCaml's runtime in
   those that the OCaml archive is for. *)
open Test_support
module Names = Set.Make (String)

let lines command =
  let input = Unix.open_process_in command in
  let lines = In_channel.input_lines input in
  match Unix.close_process_in input with
  | WEXITED 0 -> lines
  | _ -> Alcotest.failf "%s: failed" command

(* The last word of each line, without the version that libc's symbols have behind an `@`. *)
let names command =
  let name line =
    let word =
      match String.rindex_opt line ' ' with
      | Some at -> String.sub line (at + 1) (String.length line - at - 1)
      | None -> line
    in
    List.hd (String.split_on_char '@' word)
  in
  let symbol line = line <> "" && not (String.ends_with ~suffix:":" line) in
  Names.of_list (List.map name (List.filter symbol (lines command)))

let nm flags file = names (Printf.sprintf "nm %s %s" flags (Filename.quote file))
let exports = nm "--extern-only --defined-only"
let imports = nm "--undefined-only"

(* Those that a program must have: zstd has weak ones, which it calls if somebody defines them. *)
let needs file =
  names (Printf.sprintf "nm --undefined-only %s | grep -v ' w '" (Filename.quote file))

(* Every C program has these at hand: the compiler links them without being told. *)
let system =
  lazy
    (let of_library name =
       match lines ("${CC:-cc} -print-file-name=" ^ name) with
       | [ path ] when not (Filename.is_relative path) ->
           nm "--dynamic --defined-only" path
       | _ -> Names.empty
     in
     (* The compiler puts this one into every executable and shared object itself. *)
     List.fold_left Names.union
       (Names.singleton "__dso_handle")
       (List.map of_library
          [
            "libc.so.6"; "libgcc_s.so.1"; "ld-linux-x86-64.so.2"; "ld-linux-aarch64.so.1";
          ]))

let check_empty what names = Alcotest.(check (list string)) what [] (Names.elements names)

let ours name =
  List.exists
    (fun prefix -> String.starts_with ~prefix name)
    [ "hh_"; "ancient_"; "netsys_" ]

let rszshm = String.starts_with ~prefix:"rszshm_"
let zstd name = name = "hh_zstd_functions"
let of_ocaml = String.starts_with ~prefix:"caml_"

let test_exports archive own () =
  let exports = exports archive in
  check_bool "there are some" true (Names.exists own exports);
  check_empty "not our own" (Names.filter (fun name -> not (own name)) exports)

let test_imports_of_system archive () =
  let others = Names.filter (fun name -> not (of_ocaml name)) (needs archive) in
  check_empty "not libc's or libgcc's" (Names.diff others (Lazy.force system))

(* In the runtime of native programs and in that of bytecode: what only one has would break the
   other kind of program, in bytecode perhaps only when it is called. (caml_unix_error is of the
   library unix, which ours requires.) *)
let test_imports_of_ocaml archive where () =
  let imports = Names.filter of_ocaml (imports archive) in
  check_bool "there are some" true (not (Names.is_empty imports));
  let file = Filename.concat where in
  let runtime name = exports (file name)
  and unix kind =
    let archives = [ "libunix" ^ kind ^ ".a"; "unix/libunix.a"; "libunix.a" ] in
    exports (List.find Sys.file_exists (List.map file archives))
  in
  let native = Names.union (runtime "libasmrun.a") (unix "nat")
  and bytecode = Names.union (runtime "libcamlrun.a") (unix "byt") in
  check_empty "not in the native runtime" (Names.diff imports native);
  check_empty "not in the bytecode runtime" (Names.diff imports bytecode)

(* These tests can fail: an archive as rustc leaves it has what we don't want. *)
let test_foreign archive () =
  let foreign = Names.filter (fun name -> not (ours name)) (exports archive) in
  check_bool "Rust's own" true (Names.mem "rust_eh_personality" foreign)

let () =
  let archive, c_archive, zstd_archive, foreign, where =
    match Sys.argv with
    | [| _; ours; c; zstd; foreign; where |] -> (ours, c, zstd, foreign, where)
    | _ -> failwith "test_symbols OURS.a RSZSHM.a ZSTD.a FOREIGN.a OCAML"
  in
  ignore (Unix.alarm 120);
  Alcotest.run ~argv:[| "test_symbols" |] "symbols"
    [
      ( "OCaml's archive",
        [
          test "exports our own" (test_exports archive ours);
          test "imports libc's and libgcc's" (test_imports_of_system archive);
          test "imports the runtimes'" (test_imports_of_ocaml archive where);
        ] );
      ( "C's archive",
        [
          test "exports our own" (test_exports c_archive rszshm);
          test "imports libc's and libgcc's" (test_imports_of_system c_archive);
          test "imports nothing of OCaml's" (fun () ->
              check_empty "imports" (Names.filter of_ocaml (imports c_archive)));
        ] );
      ( "zstd's archive",
        [
          test "exports our own" (test_exports zstd_archive zstd);
          test "imports libc's" (test_imports_of_system zstd_archive);
          test "imports nothing of OCaml's" (fun () ->
              check_empty "imports" (Names.filter of_ocaml (imports zstd_archive)));
        ] );
      ("another archive", [ test "would be told" (test_foreign foreign) ]);
    ]
