(* Runs the two programs of examples/demo on a small input and checks the facts in what they
   print. The programs themselves compare what they read back with what they wrote, and fail
   if it differs; here it is seen that they do so for every file and word, and that they fail
   when a worker dies. *)

open Test_support

type outcome = { status : Unix.process_status; out : string; err : string }

let program variable =
  let path = Sys.getenv variable in
  if Filename.is_relative path then Filename.concat (Sys.getcwd ()) path else path

(* Starts a program and gives its process id and what returns its outcome. *)
let start ~dir program args =
  let file name = Filename.concat dir name in
  let create name = Unix.openfile (file name) [ O_WRONLY; O_CREAT; O_TRUNC ] 0o600 in
  let out = create "out" and err = create "err" in
  let argv = Array.of_list (program :: args) in
  let pid = Unix.create_process program argv Unix.stdin out err in
  Unix.close out;
  Unix.close err;
  let read name = In_channel.with_open_bin (file name) In_channel.input_all in
  let finish () =
    let status = wait pid in
    { status; out = read "out"; err = read "err" }
  in
  (pid, finish)

let check_ok outcome =
  if outcome.status <> WEXITED 0 then
    Alcotest.failf "failed:\n%s%s" outcome.out outcome.err

let contains text part =
  let n = String.length part in
  let rec from i =
    i + n <= String.length text && (String.sub text i n = part || from (i + 1))
  in
  from 0

let check_says outcome part =
  if not (contains outcome.out part) then
    Alcotest.failf "it doesn't print %S but:\n%s" part outcome.out

let write path text = Out_channel.with_open_bin path (fun c -> output_string c text)

let sources dir =
  let sources = Filename.concat dir "sources" in
  let below = Filename.concat sources "below" in
  List.iter (fun d -> Unix.mkdir d 0o700) [ sources; below ];
  List.iter
    (fun (name, text) -> write (Filename.concat sources name) text)
    [
      ("a.ml", "let x = 1\nlet y, z = (2, let local = 3 in local)\n");
      ("a.mli", "val x : int\nval y : 'a -> 'a list\ntype t = A | B of int * string\n");
      ("below/b.ml", "module M = struct let deep = () end\ntype r = { one : int }\n");
      ("wrong.ml", "let let let\n");
      ("other.txt", "let not_counted = 0\n");
    ];
  sources

let test_parse_farm () =
  with_temp_dir @@ fun dir ->
  let _, finish = start ~dir (program "PARSE_FARM") [ sources dir ] in
  let outcome = finish () in
  check_ok outcome;
  (* x y z; x y; deep *)
  check_says outcome "4 files, ";
  check_says outcome " 6 values; 1 file cannot be parsed\n";
  check_says outcome "\n1 worker ";
  check_says outcome "\n2 workers ";
  check_says outcome "read back 4 files twice: as in the sequential run\n"

let test_no_file () =
  with_temp_dir @@ fun dir ->
  let _, finish = start ~dir (program "PARSE_FARM") [ Filename.concat dir "absent" ] in
  let outcome = finish () in
  check_ok outcome;
  check_says outcome "read back 0 files twice"

let children pid =
  let path = Printf.sprintf "/proc/%d/task/%d/children" pid pid in
  match In_channel.with_open_bin path In_channel.input_all with
  | exception Sys_error _ -> []
  | text -> List.filter_map int_of_string_opt (String.split_on_char ' ' text)

(* Parsing one large file takes a worker long enough to be found and killed. *)
let test_worker_killed () =
  with_temp_dir @@ fun dir ->
  let sources = Filename.concat dir "sources" in
  Unix.mkdir sources 0o700;
  let line i = Printf.sprintf "val f%d : 'a -> ('a * int) list -> 'a list\n" i in
  write (Filename.concat sources "large.mli") (String.concat "" (List.init 30_000 line));
  let pid, finish = start ~dir (program "PARSE_FARM") [ sources ] in
  let rec kill_first () =
    match children pid with
    | worker :: _ -> Unix.kill worker Sys.sigkill
    | [] ->
        Unix.sleepf 0.002 (* a program that never starts one: the watchdog *);
        kill_first ()
  in
  kill_first ();
  let outcome = finish () in
  if outcome.status = WEXITED 0 then Alcotest.fail "nobody noticed the dead worker";
  if not (contains outcome.err "worker 1 was killed by signal SIGKILL") then
    Alcotest.failf "the dead worker isn't named but:\n%s" outcome.err

let word i = Printf.sprintf "%s%d" (if i mod 2 = 0 then "even" else "odd") (i * 7919)

let test_dictionary () =
  with_temp_dir @@ fun dir ->
  let list = Filename.concat dir "words" in
  write list (String.concat "" (List.init 1000 (fun i -> word i ^ "\n")));
  let _, finish = start ~dir (program "DICTIONARY") [ list ] in
  let outcome = finish () in
  check_ok outcome;
  check_says outcome " 1,000 words\n";
  List.iter
    (fun reader ->
      check_says outcome (reader ^ ": open ");
      check_says outcome (reader ^ ": 1,000 words looked up, "))
    [ "reader 1"; "reader 2" ]

let () =
  run "demo"
    [
      ( "parse_farm",
        [
          test "files read back as in the sequential run" test_parse_farm;
          test "no file at all" test_no_file;
          test "a killed worker is reported" test_worker_killed;
        ] );
      ("dictionary", [ test "two other processes find every word" test_dictionary ]);
    ]
