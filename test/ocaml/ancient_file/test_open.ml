(* Opening a file by its path: modes, permissions, what can't be opened, the maximum size. *)

open Test_support
open Values

let in_dir f () = with_temp_dir f

let raises_failure what words f =
  match f () with
  | _ -> Alcotest.failf "%s: no exception, wanted Failure" what
  | exception Failure text ->
      List.iter
        (fun word ->
          if not (contains word text) then Alcotest.failf "%s: %S lacks %S" what text word)
        words

let modes dir =
  let path = Filename.concat dir "image" in
  raises_unix "read only, missing" ENOENT (fun () -> Ancient.open_file path);
  raises_unix "read-write, missing" ENOENT (fun () ->
      Ancient.open_file ~mode:Read_write path);
  check_bool "not made" false (Sys.file_exists path);
  raises_unix "in no directory" ENOENT (fun () ->
      Ancient.open_file ~mode:Create (Filename.concat path "x"));
  let md = Ancient.open_file ~mode:Create path in
  ignore (Ancient.share md 0 "zero");
  Ancient.detach md;
  let md = Ancient.open_file path in
  check_string "read only" "zero" (Ancient.follow (Ancient.get md 0));
  raises_invalid "share" (fun () -> Ancient.share md 0 "one");
  raises_invalid "remove" (fun () -> Ancient.remove md (Int 0));
  raises_invalid "compact" (fun () -> Ancient.compact md);
  let writer = Ancient.open_file ~mode:Read_write path in
  ignore (Ancient.share writer 1 "one");
  check_string "seen by the reader" "one" (Ancient.follow (Ancient.get md 1));
  let creator = Ancient.open_file ~mode:Create path in
  check_string "what is there is kept" "zero" (Ancient.follow (Ancient.get creator 0));
  List.iter Ancient.detach [ md; writer; creator ];
  (* Empty: nobody has shared anything, and nobody may. *)
  let empty = Filename.concat dir "empty" in
  close_out (open_out empty);
  raises_failure "read only, empty" [ empty; "empty" ] (fun () -> Ancient.open_file empty);
  Ancient.detach (Ancient.open_file ~mode:Read_write empty);
  check_int "made ready" 8192 (Unix.stat empty).st_size

let permissions dir =
  let mask = Unix.umask 0o027 in
  Fun.protect
    ~finally:(fun () -> ignore (Unix.umask mask))
    (fun () ->
      let made ?permissions name =
        let path = Filename.concat dir name in
        Ancient.detach (Ancient.open_file ~mode:Create ?permissions path);
        (Unix.stat path).st_perm
      in
      check_int "default" 0o640 (made "default");
      check_int "as asked" 0o600 (made ~permissions:0o600 "asked");
      check_int "masked" 0o750 (made ~permissions:0o777 "masked");
      (* Of a file that exists, they are left. *)
      check_int "as it was" 0o600 (made ~permissions:0o666 "asked"))

(* Runs [f] as a user who owns nothing here; as root, who may do anything, the child becomes one.
   Elsewhere it is one already, if the files' modes say so. *)
let as_nobody f =
  wait_ok
    (fork (fun () ->
         if Unix.geteuid () = 0 then begin
           Unix.setgid 65534;
           Unix.setuid 65534
         end;
         f ()))

let read_only_place dir =
  Unix.chmod dir 0o755;
  let place = Filename.concat dir "place" in
  Unix.mkdir place 0o755;
  let path = Filename.concat place "image" in
  let md = Ancient.open_file ~mode:Create path in
  let table = Hashtbl.create 10 in
  for i = 1 to 500 do
    Hashtbl.replace table (string_of_int i) i
  done;
  ignore (Ancient.share md 0 table);
  Ancient.detach md;
  Unix.chmod path 0o444;
  Unix.chmod place 0o555;
  let digest = Digest.file path in
  as_nobody (fun () ->
      raises_unix "to write" EACCES (fun () -> Ancient.open_file ~mode:Read_write path);
      raises_unix "to create, there" EACCES (fun () ->
          Ancient.open_file ~mode:Create path);
      raises_unix "to create, missing" EACCES (fun () ->
          Ancient.open_file ~mode:Create (path ^ "2"));
      List.iter
        (fun verify ->
          let md = Ancient.open_file ~verify path in
          let table : (string, int) Hashtbl.t = Ancient.follow (Ancient.get md 0) in
          let sum = ref 0 in
          Hashtbl.iter (fun _ i -> sum := !sum + i) table;
          check_int "iter" 125250 !sum;
          check_int "fold" 500 (Hashtbl.fold (fun _ _ n -> n + 1) table 0);
          if Ancient.verify md <> Ok () then failwith "verify";
          Ancient.detach md)
        [ false; true ]);
  Unix.chmod place 0o755;
  check_string "untouched" (Digest.to_hex digest) (Digest.to_hex (Digest.file path))

let not_files dir =
  let all = [ Ancient.Read_only; Read_write; Create ] in
  let refuses what path =
    List.iter
      (fun mode -> raises_invalid what (fun () -> Ancient.open_file ~mode path))
      all
  in
  refuses "directory" dir;
  let socket = Filename.concat dir "socket" in
  let s = Unix.(socket PF_UNIX SOCK_STREAM 0) in
  Unix.bind s (ADDR_UNIX socket);
  refuses "socket" socket;
  Unix.close s;
  (* With nobody at the other end, opening it must not wait, either. *)
  let fifo = Filename.concat dir "fifo" in
  Unix.mkfifo fifo 0o600;
  refuses "fifo" fifo;
  refuses "device" "/dev/null";
  List.iter
    (fun mode ->
      raises_unix "a zero byte" ENOENT (fun () ->
          Ancient.open_file ~mode (Filename.concat dir "a\000b")))
    all;
  raises_unix "no name" ENOENT (fun () -> Ancient.open_file ~mode:Create "");
  raises_unix "a long name" ENAMETOOLONG (fun () ->
      Ancient.open_file ~mode:Create (Filename.concat dir (String.make 300 'x')));
  Unix.symlink "loop" (Filename.concat dir "loop");
  raises_unix "a loop" ELOOP (fun () -> Ancient.open_file (Filename.concat dir "loop"));
  let others = List.sort compare (Array.to_list (Sys.readdir dir)) in
  Alcotest.(check (list string)) "nothing made" [ "fifo"; "loop"; "socket" ] others

let () =
  role "open" (fun args ->
      let md = Ancient.open_file args.(0) in
      Printf.printf "%nx" (Ancient.file_info md).base);
  role "fill" (fun args ->
      let md = Ancient.open_file ~mode:Read_write args.(0) in
      let rec fill n =
        match Ancient.share md n (n, String.make 3000 'y') with
        | _ -> fill (n + 1)
        | exception Failure _ -> n
      in
      let n = fill 1 in
      check_bool "some" true (n > 10);
      for k = 1 to n - 1 do
        check_int "there" k (fst (Ancient.follow (Ancient.get md k) : int * string))
      done;
      check_bool "verify" true (Ancient.verify md = Ok ()));
  role "make room" (fun args ->
      let md = Ancient.open_file ~mode:Read_write args.(0) in
      check_bool "remove" true (Ancient.remove md (Int 1) && Ancient.remove md (Int 2));
      ignore (Ancient.share md 1000 (String.make 3000 'z'));
      check_bool "verify" true (Ancient.verify md = Ok ()))

let maximum dir =
  let path = Filename.concat dir "small" in
  let wrong max_size () = Ancient.open_file ~mode:Create ~max_size path in
  raises_invalid "negative" (wrong (-1));
  raises_invalid "above 16 TB" (wrong ((16 lsl 40) + 1));
  raises_invalid "far above" (wrong max_int);
  let md = Ancient.open_file ~mode:Create ~max_size:100_001 path in
  check_int "whole pages" 102_400 (Ancient.file_info md).max_size;
  let small = List.init 100 string_of_int in
  ignore (Ancient.share md 0 small);
  let before = Ancient.file_info md and digest = Digest.file path in
  let too_large () = Ancient.share md 0 (String.make 150_000 'x') in
  raises_failure "too large" [ path; "102400" ] too_large;
  raises_failure "too large by one page" [ path ] (fun () ->
      Ancient.share md 1 (String.make (102_400 - 8192 - 4096) 'x'));
  check_string "the same bytes" (Digest.to_hex digest) (Digest.to_hex (Digest.file path));
  check_bool "the same" true (before = Ancient.file_info md);
  check_bool "the value" true (Ancient.follow (Ancient.get md 0) = small);
  Ancient.detach md;
  (* Values until there is no more room; then all of them are there, and one less makes room. In
     processes of their own: what they share, they hold. *)
  wait_ok (spawn "fill" [ path ]);
  wait_ok (spawn "make room" [ path ]);
  check_bool "not beyond" true ((Unix.stat path).st_size <= 102_400);
  (* As large as asks for no room that the process doesn't have. *)
  let md = Ancient.open_file ~mode:Create ~max_size:(1 lsl 40) (path ^ "2") in
  check_int "a terabyte" (1 lsl 40) (Ancient.file_info md).max_size;
  check_int "of addresses only" 8192 (Unix.stat (path ^ "2")).st_size;
  let default = Ancient.open_file ~mode:Create (path ^ "3") in
  check_int "default" (64 lsl 30) (Ancient.file_info default).max_size;
  (* Once made, it keeps what it got. *)
  let again = Ancient.open_file ~max_size:4096 path in
  check_int "as made" 102_400 (Ancient.file_info again).max_size

(* An address with nothing for 2 TB: what earlier tests opened stays where it is, a file of a
   terabyte at an address of its own among it. *)
let free_address () =
  let mapped line = Scanf.sscanf line "%nx-%nx" (fun start stop -> (start, stop)) in
  let maps = In_channel.with_open_bin "/proc/self/maps" In_channel.input_lines in
  let maps = List.map mapped maps and two_tb = Nativeint.shift_left 1n 41 in
  let rec search at =
    let disjoint (start, stop) = stop <= at || start >= Nativeint.add at two_tb in
    if List.for_all disjoint maps then at else search (Nativeint.add at two_tb)
  in
  search 0x1234_5600_0000n

let address dir =
  let path = Filename.concat dir "image" in
  let base = free_address () in
  let md = Ancient.open_file ~mode:Create ~base path in
  check_bool "where it was asked for" true ((Ancient.file_info md).base = base);
  check_bool "its own" false (Ancient.file_info md).relocated;
  let r, w = Unix.pipe ~cloexec:true () in
  wait_ok (spawn ~stdout:w "open" [ path ]);
  Unix.close w;
  check_string "in any process" (Printf.sprintf "%nx" base)
    (In_channel.input_all (Unix.in_channel_of_descr r))

let () =
  run "ancient file: open"
    [
      ( "open",
        [
          test "modes" (in_dir modes);
          test "permissions" (in_dir permissions);
          test "where only reading is allowed" (in_dir read_only_place);
          test "what is no file" (in_dir not_files);
          test "maximum size" (in_dir maximum);
          test "address" (in_dir address);
        ] );
    ]
