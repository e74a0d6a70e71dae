(* The C library, from outside: its own checks, processes that fill a region together, and C
   and OCaml processes on the same region. *)

open Test_support

let program name = Filename.concat (Filename.dirname Sys.executable_name) name

let start name args =
  let argv = Array.of_list (program name :: args) in
  Unix.create_process argv.(0) argv Unix.stdin Unix.stdout Unix.stderr

let functions () = wait_ok (start "functions.exe" [])

(* Bytes after the counter: every one of the first [bytes] is marked, and the marks. *)
let marks_of r bytes =
  let counts = Array.make 256 0 in
  let data = Rszshm.data r in
  for i = 4 to 4 + bytes - 1 do
    let mark = Char.code data.{i} in
    counts.(mark) <- counts.(mark) + 1
  done;
  check_int "unmarked" 0 counts.(0);
  for i = 4 + bytes to Rszshm.capacity r - 1 do
    if data.{i} <> '\000' then Alcotest.failf "byte %d is marked" i
  done;
  List.filter (fun c -> counts.(Char.code c) > 0) (List.init 256 Char.chr)

let letters marks = String.concat "" (List.map (String.make 1) marks)

let fill_together () =
  with_temp_dir (fun dir ->
      let path = Filename.concat dir "region" and bytes = (4 * 1024 * 1024) - 28 in
      wait_ok (start "fill.exe" [ "make"; "8"; string_of_int bytes; path ]);
      let r = Rszshm.attach path in
      check_int "drawn" (bytes + 8) (Rszshm.load32 r 0);
      let marks = letters (marks_of r bytes) in
      check_bool
        ("marks are of A to H: " ^ marks)
        true
        (String.for_all (fun c -> c >= 'A' && c <= 'H') marks);
      Rszshm.detach r)

let rec fill r mark bytes =
  let i = Rszshm.fetch_add32 r 0 1 in
  if i < bytes then begin
    while 4 + i >= Rszshm.capacity r do
      ignore (Rszshm.grow r : bool)
    done;
    let data = Rszshm.data r in
    if data.{4 + i} <> '\000' then Alcotest.failf "byte %d is marked already" i;
    data.{4 + i} <- mark;
    fill r mark bytes
  end

let with_ocaml () =
  with_temp_dir (fun dir ->
      let path = Filename.concat dir "region" and bytes = 4_000_000 in
      let r = Rszshm.make ~path 1 in
      (* Both kinds take part, however busy the machine is: OCaml begins, and C follows before
         OCaml goes on. *)
      let begun = 1000 in
      fill r 'n' begun;
      Rszshm.store32 r 0 begun;
      let join letter = start "fill.exe" [ "join"; letter; string_of_int bytes; path ] in
      let pids = List.map join [ "c"; "d"; "e" ] in
      while Rszshm.load32 r 0 = begun do
        Unix.sleepf 0.0005
      done;
      let forked = List.map (fun c -> fork (fun () -> fill r c bytes)) [ 'o'; 'p' ] in
      fill r 'q' bytes;
      List.iter wait_ok (pids @ forked);
      ignore (Rszshm.update r : bool);
      check_int "drawn" (bytes + 6) (Rszshm.load32 r 0);
      let marks = letters (marks_of r bytes) in
      check_bool
        ("both kinds took part: " ^ marks)
        true
        (String.exists (fun c -> c <= 'e') marks && String.contains marks 'n');
      Rszshm.detach r)

let () =
  run "rszshm in C"
    [
      ( "C",
        [
          test "functions" functions;
          test "8 processes fill a region" fill_together;
          test "C and OCaml fill a region" with_ocaml;
        ] );
    ]
