(* Every function of Rszshm and every error, in one process. *)

open Test_support
module A = Bigarray.Array1

let nativeint = Alcotest.testable (fun ppf -> Format.fprintf ppf "%#nx") Nativeint.equal
let read_file path = In_channel.with_open_bin path In_channel.input_all
let page = 4096
let header = 64
let gib = 1 lsl 30
let small_scan = { Rszshm.default_scan with len = 5 * page }

let with_region ?scan ?(len = page) f =
  with_temp_dir (fun dir ->
      let r = Rszshm.make ?scan ~path:(Filename.concat dir "region") len in
      Fun.protect ~finally:(fun () -> Rszshm.detach r) (fun () -> f r))

let attach_again r =
  Rszshm.detach r;
  Rszshm.attach (Rszshm.path r)

let make_and_look () =
  with_region (fun r ->
      check_int "capacity" ((2 * page) - header) (Rszshm.capacity r);
      check_int "max_capacity" ((4 * gib) - header) (Rszshm.max_capacity r);
      Alcotest.check nativeint "address"
        (Nativeint.add Rszshm.default_scan.start 64n)
        (Rszshm.address r);
      let d = Rszshm.data r in
      check_int "dim" (Rszshm.capacity r) (A.dim d);
      for i = 0 to A.dim d - 1 do
        if d.{i} <> '\000' then Alcotest.failf "byte %d is not zero" i
      done;
      d.{0} <- 'a';
      d.{A.dim d - 1} <- 'z';
      let r' = attach_again r in
      check_string "path" (Rszshm.path r) (Rszshm.path r');
      let d' = Rszshm.data r' in
      check_string "kept" "az" (Printf.sprintf "%c%c" d'.{0} d'.{A.dim d' - 1});
      Rszshm.detach r')

let default_path_and_remove () =
  let r = Rszshm.make 1 in
  let path = Rszshm.path r in
  check_bool "template" true (String.starts_with ~prefix:"/dev/shm/rszshm_" path);
  check_int "file's permissions" 0o600 ((Unix.stat path).st_perm land 0o777);
  check_int "directory's" 0o700 ((Unix.stat (Filename.dirname path)).st_perm land 0o777);
  raises_unix "rmdir first" Unix.ENOTEMPTY (fun () -> Rszshm.rmdir r);
  Rszshm.remove r;
  check_bool "gone" false (Sys.file_exists (Filename.dirname path));
  raises_unix "unlink again" Unix.ENOENT (fun () -> Rszshm.unlink r);
  raises_unix "rmdir again" Unix.ENOENT (fun () -> Rszshm.rmdir r);
  check_bool "grows without a name" true (Rszshm.grow r);
  Rszshm.detach r

let no_directory () =
  with_temp_dir (fun dir ->
      let here = Sys.getcwd () in
      Fun.protect
        ~finally:(fun () -> Sys.chdir here)
        (fun () ->
          Sys.chdir dir;
          let r = Rszshm.make ~path:"bare" 1 in
          raises_unix "rmdir" Unix.ENOTDIR (fun () -> Rszshm.rmdir r);
          raises_unix "remove" Unix.ENOTDIR (fun () -> Rszshm.remove r);
          Rszshm.detach r))

let scans () =
  let start = 0x3456_0000_0000n in
  let scan = { Rszshm.start; len = 64 * page; hop = gib; iter = 3 } in
  with_temp_dir (fun dir ->
      let make n = Rszshm.make ~scan ~path:(Filename.concat dir (string_of_int n)) 1 in
      let base r = Nativeint.sub (Rszshm.address r) 64n in
      let rs = List.map make [ 1; 2; 3 ] in
      let hop = Nativeint.of_int gib in
      Alcotest.check (Alcotest.list nativeint) "spiral"
        [ start; Nativeint.sub start hop; Nativeint.add start hop ]
        (List.map base rs);
      raises_unix "all taken" Unix.ENOSPC (fun () -> make 4);
      check_bool "no file left" false (Sys.file_exists (Filename.concat dir "4"));
      List.iter Rszshm.detach rs;
      let again = make 5 in
      Alcotest.check nativeint "the first again" start (base again);
      Rszshm.detach again)

let bad_arguments () =
  with_temp_dir (fun dir ->
      let path = Filename.concat dir "x_XXXXXX/0" in
      let refused what code ?(scan = Rszshm.default_scan) ?(len = page) () =
        raises_unix what code (fun () -> Rszshm.make ~scan ~path len);
        check_int (what ^ " leaves nothing") 0 (Array.length (Sys.readdir dir))
      in
      let d = Rszshm.default_scan in
      refused "len 0" Unix.EINVAL ~len:0 ();
      refused "len -1" Unix.EINVAL ~len:(-1) ();
      refused "len max_int" Unix.EINVAL ~len:max_int ();
      refused "more than the span" Unix.EINVAL ~len:(4 * gib) ();
      refused "start 0" Unix.EINVAL ~scan:{ d with start = 0n } ();
      refused "start -1" Unix.EINVAL ~scan:{ d with start = -1n } ();
      refused "start no int" Unix.EINVAL ~scan:{ d with start = Nativeint.max_int } ();
      refused "start unaligned" Unix.EINVAL ~scan:{ d with start = 0x4000_0000_0001n } ();
      refused "span 0" Unix.EINVAL ~scan:{ d with len = 0 } ();
      refused "span -1" Unix.EINVAL ~scan:{ d with len = -1 } ();
      refused "hop 0" Unix.EINVAL ~scan:{ d with hop = 0 } ();
      refused "hop -1" Unix.EINVAL ~scan:{ d with hop = -1 } ();
      refused "hop unaligned" Unix.EINVAL ~scan:{ d with hop = 100 } ();
      refused "iter 0" Unix.EINVAL ~scan:{ d with iter = 0 } ();
      refused "iter -1" Unix.EINVAL ~scan:{ d with iter = -1 } ();
      refused "iter 2^32" Unix.EINVAL ~scan:{ d with iter = 1 lsl 32 } ();
      refused "no address space" Unix.ENOMEM ~scan:{ d with len = 1 lsl 48 } ();
      refused "no disk" Unix.ENOSPC ~scan:{ d with len = 1 lsl 45 } ~len:(1 lsl 44) ())

let bad_paths () =
  with_temp_dir (fun dir ->
      let make path () = Rszshm.make ~path 1 in
      let file = Filename.concat dir "file" in
      Out_channel.with_open_bin file (fun c -> output_string c "mine");
      raises_unix "exists" Unix.EEXIST (make file);
      check_string "untouched" "mine" (read_file file);
      raises_unix "no directory" Unix.ENOENT (make (Filename.concat dir "no/0"));
      raises_unix "no template" Unix.ENOENT (make (Filename.concat dir "no/x_XXXXXX/0"));
      raises_unix "a file" Unix.ENOTDIR (make (Filename.concat file "0"));
      raises_unix "a template in a file" Unix.ENOTDIR
        (make (Filename.concat file "x_XXXXXX/0"));
      raises_unix "empty" Unix.EINVAL (make "");
      raises_unix "a zero byte" Unix.EINVAL (make "/tmp/a\000b");
      raises_unix "attach: none" Unix.ENOENT (fun () -> Rszshm.attach (file ^ "x"));
      raises_unix "attach: in a file" Unix.ENOTDIR (fun () -> Rszshm.attach (file ^ "/x"));
      raises_unix "attach: empty" Unix.EINVAL (fun () -> Rszshm.attach "");
      raises_unix "attach: a directory" Unix.EISDIR (fun () -> Rszshm.attach dir);
      raises_unix "attach: foreign" Rszshm.enodata (fun () -> Rszshm.attach file);
      raises_unix "attach: a device" Rszshm.enodata (fun () -> Rszshm.attach "/dev/null");
      let fifo = Filename.concat dir "fifo" in
      Unix.mkfifo fifo 0o600;
      raises_unix "attach: a pipe" Rszshm.enodata (fun () -> Rszshm.attach fifo))

let errors_say_what () =
  match Rszshm.attach "/dev/null" with
  | _ -> Alcotest.fail "attached /dev/null"
  | exception Unix.Unix_error (code, name, argument) ->
      check_bool "code" true (code = Rszshm.enodata);
      check_string "name" "Rszshm.attach" name;
      check_string "argument" "/dev/null: not a regular file" argument

let growing () =
  with_region ~scan:small_scan ~len:1 (fun r ->
      let before = Rszshm.data r in
      before.{0} <- 'x';
      List.iter
        (fun pages ->
          check_bool "extended" true (Rszshm.grow r);
          check_int "capacity" ((pages * page) - header) (Rszshm.capacity r);
          (Rszshm.data r).{Rszshm.capacity r - 1} <- 'y')
        [ 2; 4; 5 ];
      raises_unix "at its maximum" Unix.ENOMEM (fun () -> Rszshm.grow r);
      check_bool "nothing new" false (Rszshm.update r);
      before.{1} <- 'z';
      check_bool "nothing moved" true ((Rszshm.data r).{1} = 'z');
      check_int "file" (5 * page) (Unix.stat (Rszshm.path r)).st_size)

let detached () =
  with_region (fun r ->
      let d = Rszshm.data r in
      let part = A.sub d 8 8 in
      d.{8} <- 'x';
      Rszshm.detach r;
      Rszshm.detach r;
      check_int "capacity" 0 (Rszshm.capacity r);
      raises_unix "data" Unix.EBADF (fun () -> Rszshm.data r);
      raises_unix "update" Unix.EBADF (fun () -> Rszshm.update r);
      raises_unix "grow" Unix.EBADF (fun () -> Rszshm.grow r);
      raises_invalid "load" (fun () -> Rszshm.load r 0);
      check_bool "reads zero" true (d.{8} = '\000' && part.{0} = '\000');
      d.{8} <- 'y';
      check_bool "writes here" true (part.{0} = 'y');
      check_string "not there" "x" (String.sub (read_file (Rszshm.path r)) (header + 8) 1);
      (* Another region moves in, and the old arrays see it. *)
      let r' = Rszshm.attach (Rszshm.path r) in
      check_bool "sees the next" true (part.{0} = 'x');
      Rszshm.detach r';
      check_bool "zero again" true (part.{0} = '\000'))

let collected () =
  with_temp_dir (fun dir ->
      let path = Filename.concat dir "region" in
      let mapped () =
        let maps = read_file "/proc/self/maps" in
        let rec find i =
          i + String.length path <= String.length maps
          && (String.sub maps i (String.length path) = path || find (i + 1))
        in
        find 0
      in
      let part = ref None in
      (let[@inline never] use () =
         let r = Rszshm.make ~path 1 in
         part := Some (A.sub (A.sub (Rszshm.data r) 8 100) 8 8);
         (Option.get !part).{0} <- 'p'
       in
       use ());
      for _ = 1 to 3 do
        Gc.full_major ()
      done;
      check_bool "a part keeps it" true (mapped ());
      check_bool "and its data" true ((Option.get !part).{0} = 'p');
      part := None;
      for _ = 1 to 3 do
        Gc.full_major ()
      done;
      check_bool "nothing keeps it" false (mapped ());
      let r = Rszshm.attach path in
      check_bool "kept in the file" true ((Rszshm.data r).{16} = 'p');
      Rszshm.detach r)

(* Handles that were dropped without a word keep addresses until the collector runs. *)
let addresses_come_back () =
  let scan = { small_scan with start = 0x3500_0000_0000n; iter = 1 } in
  let shapes = [ 5; 6; 7; 8 ] in
  with_temp_dir (fun dir ->
      List.iter
        (fun pages ->
          let path = Filename.concat dir (string_of_int pages) in
          let r = Rszshm.make ~scan:{ scan with len = pages * page } ~path 1 in
          Rszshm.detach r)
        shapes)

let views_are_bigarrays () =
  with_region (fun r ->
      let d = A.sub (Rszshm.data r) 0 100 in
      d.{3} <- 'q';
      let copy = A.create Char C_layout 100 in
      A.blit d copy;
      check_bool "compare" true (compare d copy = 0);
      check_bool "hash" true (Hashtbl.hash d = Hashtbl.hash copy);
      let bytes = Marshal.to_string d [] in
      check_bool "marshal" true (Marshal.to_string copy [] = bytes);
      let back : Rszshm.t option * _ = (None, Marshal.from_string bytes 0) in
      check_bool "unmarshal" true (compare (snd back) d = 0);
      let square = Bigarray.reshape_2 (Bigarray.genarray_of_array1 d) 10 10 in
      check_bool "reshape" true (square.{0, 3} = 'q');
      for _ = 1 to 1000 do
        ignore (Sys.opaque_identity (A.sub (Rszshm.data r) 1 1))
      done;
      Gc.compact ();
      check_bool "still there" true (square.{0, 3} = 'q'))

let words () =
  with_region (fun r ->
      let open Rszshm in
      check_int "zero" 0 (load r 0);
      List.iter
        (fun n ->
          store r 8 n;
          check_int "stored" n (load r 8))
        [ 1; -1; max_int; min_int; 0 ];
      check_int "before" 0 (fetch_add r 8 5);
      check_int "before" 5 (fetch_add r 8 (-7));
      check_int "after" (-2) (load r 8);
      check_bool "not expected" false (compare_exchange r 8 0 1);
      check_bool "expected" true (compare_exchange r 8 (-2) 9);
      check_int "exchanged" 9 (load r 8);
      store32 r 20 (-3);
      check_int "half" (-3) (load32 r 20);
      check_int "its neighbour" 0 (load32 r 16);
      check_int "before" (-3) (fetch_add32 r 20 4);
      check_int "after" 1 (load32 r 20);
      check_bool "not expected" false (compare_exchange32 r 20 2 3);
      check_bool "expected" true (compare_exchange32 r 20 1 0x7fff_ffff);
      check_int "wraps" 0x7fff_ffff (fetch_add32 r 20 1);
      check_int "wrapped" (-0x8000_0000) (load32 r 20);
      let d = data r in
      check_bool "bytes" true (Char.code d.{8} = 9))

let words_in_bounds () =
  with_region ~len:1 (fun r ->
      let cap = Rszshm.capacity r in
      List.iter
        (fun offset ->
          List.iter
            (fun f -> raises_invalid (string_of_int offset) (fun () -> f r offset))
            [
              Rszshm.load;
              (fun r o ->
                Rszshm.store r o 1;
                0);
              (fun r o -> Rszshm.fetch_add r o 1);
              (fun r o -> Bool.to_int (Rszshm.compare_exchange r o 0 1));
            ])
        [ -8; 1; 4; 7; cap - 4; cap; cap + 8; max_int; min_int; max_int - 7 ];
      List.iter
        (fun offset ->
          List.iter
            (fun f -> raises_invalid (string_of_int offset) (fun () -> f r offset))
            [
              Rszshm.load32;
              (fun r o ->
                Rszshm.store32 r o 1;
                0);
              (fun r o -> Rszshm.fetch_add32 r o 1);
              (fun r o -> Bool.to_int (Rszshm.compare_exchange32 r o 0 1));
            ])
        [ -4; 1; 2; 3; cap - 2; cap; max_int; min_int ];
      check_int "the last" 0 (Rszshm.load r (cap - 8));
      check_int "the last half" 0 (Rszshm.load32 r (cap - 4));
      ignore (Rszshm.grow r : bool);
      check_int "after growing" 0 (Rszshm.load r cap))

let little_endian =
  property "words are the bytes of data, lowest first"
    QCheck.(pair (int_bound 1000) int)
    (fun (i, n) ->
      with_region (fun r ->
          Rszshm.store r (8 * i) n;
          let byte k = Char.code (Rszshm.data r).{(8 * i) + k} in
          List.for_all
            (fun k -> byte k = (n asr (8 * k)) land 0xff)
            [ 0; 1; 2; 3; 4; 5; 6; 7 ]))

(* What a signal's handler raised when a call was about to wait for files jumped over the call,
   which held the region: that one was never unmapped, and its file never closed. *)
let handlers_that_raise () =
  let exception Stop in
  let stopped = ref 0 in
  let handler = Sys.Signal_handle (fun _ -> raise_notrace Stop) in
  let timer value =
    ignore (Unix.setitimer ITIMER_REAL { it_value = value; it_interval = 0. })
  in
  let update r = ignore (Rszshm.update r : bool) in
  let use r =
    (* In a row: between the calls of a loop the handler would run elsewhere. *)
    try
      timer 2e-5;
      while true do
        update r;
        update r;
        update r;
        update r;
        update r;
        update r;
        update r;
        update r;
        update r;
        update r;
        update r;
        update r;
        update r;
        update r;
        update r;
        update r
      done
    with Stop -> incr stopped
  in
  let before = Sys.signal Sys.sigalrm handler in
  Fun.protect
    ~finally:(fun () -> Sys.set_signal Sys.sigalrm before)
    (fun () ->
      with_temp_dir (fun dir ->
          let path = Filename.concat dir "region" in
          let rec go n =
            if n > 0 then (
              use (Rszshm.attach path);
              Gc.full_major ();
              go (n - 1))
          in
          ignore (Rszshm.make ~path page : Rszshm.t);
          Gc.full_major ();
          go 100));
  check_int "stopped" 100 !stopped

let () =
  run "rszshm"
    [
      ( "regions",
        [
          test "make, detach, attach" make_and_look;
          test "default path, remove" default_path_and_remove;
          test "a path without a directory" no_directory;
          test "the spiral" scans;
          test "arguments that are refused" bad_arguments;
          test "paths that are refused" bad_paths;
          test "errors say what and why" errors_say_what;
          test "growing to the maximum" growing;
          test "what is left after detaching" detached;
          test "what is dropped is unmapped" collected;
          test "addresses come back" addresses_come_back;
          test "signals' handlers that raise" handlers_that_raise;
          test "views are bigarrays" views_are_bigarrays;
        ] );
      ("words", [ test "operations" words; test "bounds" words_in_bounds; little_endian ]);
    ]
