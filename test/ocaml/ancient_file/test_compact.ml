(* Making a file shorter. *)

open Test_support
open Values

let in_file f () = with_temp_dir (fun dir -> f (Filename.concat dir "image"))
let length path = (Unix.stat path).st_size
let edit path = Ancient.open_file ~mode:Create ~durable:false path
let verify_ok md = check_bool "verify" true (Ancient.verify md = Ok ())
let value n = (n, List.init (50 + (n * 7 mod 300)) (fun i -> string_of_int (n + i)))

type value = int * string list

let key n = if n land 1 = 0 then Ancient.Int n else Name (Printf.sprintf "name %d" n)

let check_value md n =
  if (Ancient.follow (Ancient.get_key md (key n)) : value) <> value n then
    Alcotest.failf "value %d" n

(* Keys [0 … n - 1], of which only every [step]th is left. *)
let holes path n step =
  wait_ok
    (fork (fun () ->
         let md = edit path in
         for i = 0 to n - 1 do
           ignore (Ancient.share_key md (key i) (value i))
         done;
         for i = 0 to n - 1 do
           if i mod step <> 0 then ignore (Ancient.remove md (key i))
         done))

let left n step = List.filter (fun i -> i mod step = 0) (List.init n Fun.id)

let () =
  role "compact" (fun args -> Ancient.compact (edit args.(0)));
  role "check" (fun args ->
      let md =
        Ancient.open_file
          ~verify:(args.(3) = "verify")
          ~relocate:(args.(3) = "relocate")
          args.(0)
      in
      let left = left (int_of_string args.(1)) (int_of_string args.(2)) in
      check_bool "keys" true (Ancient.keys md = List.sort compare (List.map key left));
      List.iter (check_value md) left;
      verify_ok md);
  role "hold" (fun args ->
      (* Holds some values, some of them not followed yet, while others compact. *)
      let md = Ancient.open_file args.(0) in
      let followed : (int * value) list =
        List.map (fun n -> (n, Ancient.follow (Ancient.get_key md (key n)))) [ 40; 90 ]
      in
      let proxies : (int * value Ancient.ancient) list =
        List.map (fun n -> (n, Ancient.get_key md (key n))) [ 60; 70 ]
      in
      print_char 'k';
      flush stdout;
      ignore (Unix.read Unix.stdin (Bytes.create 1) 0 1);
      List.iter (fun (n, v) -> if v <> value n then failwith "followed") followed;
      List.iter
        (fun (n, p) -> if Ancient.follow p <> value n then failwith "proxy")
        proxies;
      List.iter (check_value md) (left 100 10))

let shorter path =
  holes path 100 10;
  let before = length path in
  wait_ok (spawn "compact" [ path ]);
  let after = length path in
  (* Ten values of whole pages, two nodes of the key table, the header. *)
  check_bool "a fraction" true (after < before / 3);
  wait_ok
    (fork (fun () ->
         let values = (Ancient.file_info (edit path)).values_size in
         check_bool "little more than the values" true
           (after < values + (10 * 4096) + 40_000)));
  List.iter
    (fun how -> wait_ok (spawn "check" [ path; "100"; "10"; how ]))
    [ ""; "verify" ];
  (* Again: nothing to do, nothing lost. *)
  wait_ok (spawn "compact" [ path ]);
  check_int "as short as it gets" after (length path);
  wait_ok (spawn "check" [ path; "100"; "10"; "" ])

let empty path =
  let md = edit path in
  Ancient.compact md;
  check_int "the header" 8192 (length path);
  ignore (Ancient.share md 0 (List.init 10_000 Fun.id));
  Ancient.detach md;
  wait_ok
    (fork (fun () ->
         let md = edit path in
         ignore (Ancient.remove md (Int 0));
         Ancient.compact md));
  (* This process's proxy holds it, until it is collected; and so did the child. *)
  Gc.full_major ();
  wait_ok (spawn "compact" [ path ]);
  check_int "the header" 8192 (length path);
  wait_ok
    (fork (fun () ->
         let md = edit path in
         ignore (Ancient.share md 0 (List.init 10_000 Fun.id))));
  wait_ok
    (fork (fun () ->
         let md = edit path in
         ignore (Ancient.remove md (Int 0));
         Ancient.compact md;
         check_bool "no keys" true (Ancient.keys md = []);
         verify_ok md));
  check_int "the header again" 8192 (length path);
  wait_ok
    (fork (fun () ->
         let md = edit path in
         ignore (Ancient.share md 0 "and on");
         Ancient.compact md;
         check_string "and on" "and on" (Ancient.follow (Ancient.get md 0))))

let while_read path =
  holes path 100 10;
  let stdin_r, stdin_w = Unix.pipe ~cloexec:true () in
  let stdout_r, stdout_w = Unix.pipe ~cloexec:true () in
  let before = length path in
  let child = spawn ~stdin:stdin_r ~stdout:stdout_w "hold" [ path ] in
  check_int "ready" 1 (Unix.read stdout_r (Bytes.create 1) 0 1);
  wait_ok (spawn "compact" [ path ]);
  let held = length path in
  wait_ok (spawn "check" [ path; "100"; "10"; "" ]);
  (* What the reader holds is not written over, either. *)
  wait_ok
    (fork (fun () ->
         let md = edit path in
         for i = 1 to 30 do
           ignore (Ancient.share md 1000 (List.init (i * 100) Fun.id))
         done;
         ignore (Ancient.remove md (Int 1000))));
  ignore (Unix.write_substring stdin_w "k" 0 1);
  wait_ok child;
  wait_ok (spawn "compact" [ path ]);
  check_bool "shorter, but for what is held" true (held <= before);
  check_bool "and without readers" true (length path < held);
  check_bool "a fraction" true (length path < before / 3);
  List.iter
    (fun how -> wait_ok (spawn "check" [ path; "100"; "10"; how ]))
    [ ""; "verify" ]

(* A process that has values of the file goes on with them, and with the new ones. *)
let in_place path =
  holes path 100 10;
  let md = edit path in
  let kept : value = Ancient.follow (Ancient.get_key md (key 90)) in
  let proxy : value Ancient.ancient = Ancient.get_key md (key 50) in
  Ancient.compact md;
  check_bool "followed" true (kept = value 90);
  check_bool "proxy" true (Ancient.follow proxy = value 50);
  List.iter (check_value md) (left 100 10);
  for i = 0 to 20 do
    ignore (Ancient.share_key md (key (10 * i)) (value (10 * i)));
    Ancient.compact md
  done;
  check_bool "followed" true (kept = value 90);
  List.iter (check_value md) (left 210 10);
  verify_ok md;
  Ancient.detach md;
  wait_ok (spawn "compact" [ path ]);
  wait_ok (spawn "check" [ path; "210"; "10"; "" ]);
  check_bool "still" true (length path < 1_000_000)

let everything_moves path =
  wait_ok
    (fork (fun () ->
         let md = edit path in
         ignore (Ancient.share md 0 (List.init 30_000 string_of_int));
         ignore (Ancient.share md 1 (everything ()));
         let description = "everything" in
         let key = Ancient.Key.make "typed" ~description in
         ignore (Ancient.Key.share md key (everything ()));
         let rec cycle = 1 :: 2 :: cycle in
         ignore (Ancient.share md 2 cycle);
         ignore (Ancient.share md 3 ());
         ignore (Ancient.remove md (Int 0))));
  let before = length path in
  wait_ok (spawn "compact" [ path ]);
  check_bool "shorter" true (length path < 100_000 && before > 1_000_000);
  List.iter
    (fun verify ->
      wait_ok
        (fork (fun () ->
             let md = Ancient.open_file ~verify path in
             check_everything (Ancient.follow (Ancient.get md 1));
             let key = Ancient.Key.make "typed" ~description:"everything" in
             check_everything (Ancient.follow (Ancient.Key.get md key));
             let cycle : int list = Ancient.follow (Ancient.get md 2) in
             check_bool "cycle" true (List.tl (List.tl cycle) == cycle);
             check_bool "unit" true (Ancient.follow (Ancient.get md 3) = ());
             check_string "description" "everything"
               (Ancient.info md (Name "typed")).description;
             verify_ok md)))
    [ false; true ]

let at_once path =
  (* Writers, readers and those who compact, all at once. *)
  holes path 60 3;
  let stop = Unix.gettimeofday () +. 1. in
  let until f () =
    let n = ref 0 in
    while Unix.gettimeofday () < stop || !n < 5 do
      incr n;
      f !n
    done
  in
  let compact () =
    let md = edit path in
    until (fun _ -> Ancient.compact md) ()
  in
  let write () =
    let md = edit path in
    until
      (fun n -> ignore (Ancient.share_key md (key (61 + (n mod 20 * 2))) (value n)))
      ()
  in
  let read () =
    let md = Ancient.open_file path in
    until
      (fun n ->
        List.iter (check_value md) (left 60 3);
        match
          (Ancient.get_key md (key (61 + (n mod 20 * 2))) : value Ancient.ancient)
        with
        | exception Not_found -> ()
        | p ->
            let ((n, _) as v) = Ancient.follow p in
            if v <> value n then failwith "a mixture")
      ()
  in
  let fresh () = until (fun _ -> wait_ok (spawn "check-some" [ path ])) () in
  List.iter wait_ok (List.map fork [ compact; write; read; compact; fresh ]);
  verify_ok (edit path);
  List.iter (check_value (edit path)) (left 60 3)

let () =
  role "check-some" (fun args ->
      let md = Ancient.open_file args.(0) in
      List.iter (check_value md) (left 60 3));
  run "ancient file: compact"
    [
      ( "compact",
        [
          test "the file is shorter" (in_file shorter);
          test "an empty file" (in_file empty);
          test "while a reader holds values" (in_file while_read);
          test "by who holds values" (in_file in_place);
          test "every kind of value moves" (in_file everything_moves);
          test "with writers and readers at once" (in_file at_once);
        ] );
    ]
