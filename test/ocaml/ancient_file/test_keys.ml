(* Names and numbers as keys, what is known of values and files, and keys with a type. *)

open Test_support
open Values

let in_file f () = with_temp_dir (fun dir -> f (Filename.concat dir "image"))
let create path = Ancient.open_file ~mode:Create ~durable:false path

let names path =
  let md = create path in
  (* Alike, empty, with any byte, long: a number's digits are another key than the number. *)
  let all =
    Ancient.
      [
        Name "";
        Name "\000";
        Name "\000\000";
        Name "1";
        Int 1;
        Name "one";
        Name "One";
        Name (String.make 100_000 'n');
        Name (String.make 100_000 'n' ^ "2");
        Name (String.init 256 Char.chr);
        Name "\xff\xfe";
        Int 0;
      ]
  in
  List.iteri (fun i key -> ignore (Ancient.share_key md key [ i; i + 1 ])) all;
  let check md =
    List.iteri
      (fun i key ->
        check_bool "mem" true (Ancient.mem md key);
        let v : int list = Ancient.follow (Ancient.get_key md key) in
        Alcotest.(check (list int)) "value" [ i; i + 1 ] v)
      all;
    check_bool "mem of another" false (Ancient.mem md (Name "ONE"));
    (match (Ancient.get_key md (Name "ONE") : int Ancient.ancient) with
    | _ -> Alcotest.fail "ONE"
    | exception Not_found -> ());
    check_bool "keys" true (Ancient.keys md = List.sort compare all)
  in
  check md;
  wait_ok (fork (fun () -> check (Ancient.open_file path)));
  (* A name of a million bytes, and no longer one. *)
  let name = String.make 1_000_000 'x' in
  ignore (Ancient.share_key md (Name name) "a million");
  check_string "long name" "a million" (Ancient.follow (Ancient.get_key md (Name name)));
  raises_invalid "too long" (fun () ->
      Ancient.share_key md (Name (String.make 1_048_577 'x')) 0);
  check_bool "verify" true (Ancient.verify md = Ok ())

let order path =
  let md = create path in
  check_bool "none yet" true (Ancient.keys md = []);
  let random = Random.State.make [| Lazy.force seed |] in
  let keys =
    List.sort_uniq compare
      (List.init 500 (fun i ->
           if i land 1 = 0 then Ancient.Int (Random.State.bits random)
           else Name (string_of_int (Random.State.bits random))))
  in
  let shuffled = List.sort (fun _ _ -> Random.State.int random 3 - 1) keys in
  List.iter (fun key -> ignore (Ancient.share_key md key key)) shuffled;
  check_bool "numbers, then names" true (Ancient.keys md = keys);
  List.iter
    (fun key -> if Ancient.follow (Ancient.get_key md key) <> key then failwith "value")
    keys;
  let gone, left = List.partition (fun _ -> Random.State.bool random) keys in
  List.iter (fun key -> check_bool "remove" true (Ancient.remove md key)) gone;
  check_bool "what is left" true (Ancient.keys md = left);
  List.iter (fun key -> check_bool "again" false (Ancient.remove md key)) gone;
  List.iter (fun key -> check_bool "mem" false (Ancient.mem md key)) gone;
  List.iter
    (fun key -> if Ancient.follow (Ancient.get_key md key) <> key then failwith "value")
    left;
  List.iter (fun key -> check_bool "remove" true (Ancient.remove md key)) left;
  check_bool "none any more" true (Ancient.keys md = []);
  check_bool "verify" true (Ancient.verify md = Ok ())

let remove path =
  let md = create path in
  let followed : string list =
    Ancient.follow (Ancient.share md 0 [ "followed"; "then"; "removed" ])
  in
  let proxy : string Ancient.ancient = Ancient.share md 1 "not followed yet" in
  check_bool "0" true (Ancient.remove md (Int 0));
  check_bool "1" true (Ancient.remove md (Int 1));
  for i = 0 to 20 do
    ignore (Ancient.share md 2 (List.init 100 (fun _ -> i)))
  done;
  Alcotest.(check (list string)) "kept" [ "followed"; "then"; "removed" ] followed;
  check_string "kept by its proxy" "not followed yet" (Ancient.follow proxy);
  check_bool "gone" false (Ancient.mem md (Int 0) || Ancient.mem md (Int 1))

let arguments path =
  let md = create path in
  ignore (Ancient.share md Ancient.max_key "the largest");
  check_int "max_key" max_int Ancient.max_key;
  check_string "max_key" "the largest" (Ancient.follow (Ancient.get md max_int));
  ignore (Ancient.share md 1_000_000 "sparse");
  check_bool "small" true ((Unix.stat path).st_size < 150_000);
  let negative : (string * (unit -> unit)) list =
    [
      ("share_key", fun () -> ignore (Ancient.share_key md (Int (-1)) ""));
      ("get_key", fun () -> ignore (Ancient.get_key md (Int (-1))));
      ("mem", fun () -> ignore (Ancient.mem md (Int (-1))));
      ("remove", fun () -> ignore (Ancient.remove md (Int min_int)));
      ("info", fun () -> ignore (Ancient.info md (Int (-1))));
    ]
  in
  List.iter (fun (name, f) -> raises_invalid name f) negative;
  Ancient.detach md;
  let key : int Ancient.Key.t = Ancient.Key.make "k" ~description:"int" in
  let detached : (string * (unit -> unit)) list =
    [
      ("share", fun () -> ignore (Ancient.share md 0 ""));
      ("get", fun () -> ignore (Ancient.get md 0));
      ("mem", fun () -> ignore (Ancient.mem md (Int 0)));
      ("keys", fun () -> ignore (Ancient.keys md));
      ("remove", fun () -> ignore (Ancient.remove md (Int 0)));
      ("info", fun () -> ignore (Ancient.info md (Int 0)));
      ("file_info", fun () -> ignore (Ancient.file_info md));
      ("verify", fun () -> ignore (Ancient.verify md));
      ("compact", fun () -> Ancient.compact md);
      ("sync", fun () -> Ancient.sync md);
      ("Key.get", fun () -> ignore (Ancient.Key.get md key));
      ("Key.share", fun () -> ignore (Ancient.Key.share md key 0));
      ("detach", fun () -> Ancient.detach md);
    ]
  in
  List.iter (fun (name, f) -> raises_invalid name f) detached

let version () = Scanf.sscanf Sys.ocaml_version "%d.%d" (Printf.sprintf "%d.%d")

let info path =
  let md = create path in
  let empty = Ancient.file_info md in
  check_int "no keys" 0 empty.keys;
  check_string "no version" "" empty.last_ocaml_version;
  check_bool "no time" true (empty.last_time = 0.);
  check_int "header only" 8192 empty.file_size;
  let from = Float.floor (Unix.time ()) in
  (* Three blocks of 24 bytes; a string of two words, once; an integer. *)
  let _, i = Ancient.share_info md 0 (List.init 3 Fun.id) in
  let _, j = Ancient.share_key_info md (Name "s") (Bytes.to_string (Bytes.make 9 's')) in
  let _, k = Ancient.share_info md 1 7 in
  check_int "i_size" 72 i.i_size;
  check_int "i_size" 24 j.i_size;
  check_int "i_size" 0 k.i_size;
  let list = Ancient.info md (Int 0) in
  check_int "size" 72 list.size;
  check_int "blocks" 3 list.blocks;
  check_bool "time" true (list.time >= from && list.time <= Unix.time ());
  check_string "version" (version ()) list.ocaml_version;
  check_string "no description" "" list.description;
  let int = Ancient.info md (Int 1) in
  check_int "size" 0 int.size;
  check_int "blocks" 0 int.blocks;
  let all = Ancient.file_info md in
  check_int "keys" 3 all.keys;
  check_int "values_size" 96 all.values_size;
  check_int "values_blocks" 4 all.values_blocks;
  check_int "file_size" (Unix.stat path).st_size all.file_size;
  check_bool "last_time" true (all.last_time >= from);
  check_string "last version" (version ()) all.last_ocaml_version;
  (* A bigarray's data are one block more. *)
  ignore (Ancient.share md 2 Bigarray.(Array1.init Char C_layout 800 Char.unsafe_chr));
  let array = Ancient.info md (Int 2) in
  check_int "blocks" 2 array.blocks;
  check_bool "its data" true (array.size > 800 && array.size < 900);
  match Ancient.info md (Int 99) with
  | _ -> Alcotest.fail "info of no value"
  | exception Not_found -> ()

let typed path =
  let md = create path in
  let make description : string list Ancient.Key.t =
    Ancient.Key.make "words" ~description
  in
  let v1 = make "string list, v1" and v2 = make "string list, v2" in
  check_string "name" "words" (Ancient.Key.name v1);
  check_string "description" "string list, v1" (Ancient.Key.description v1);
  raises_invalid "empty description" (fun () -> make "");
  (match Ancient.Key.get md v1 with
  | _ -> Alcotest.fail "missing"
  | exception Not_found -> ());
  check_bool "not there" false (Ancient.Key.mem md v1);
  let p, i = Ancient.Key.share_info md v1 [ "a"; "b" ] in
  Alcotest.(check (list string)) "shared" [ "a"; "b" ] (Ancient.follow p);
  check_bool "size" true (i.i_size >= 48);
  let check_reader () =
    let md = Ancient.open_file path in
    Alcotest.(check (list string))
      "typed" [ "a"; "b" ]
      (Ancient.follow (Ancient.Key.get md v1));
    match Ancient.Key.get md v2 with
    | _ -> failwith "no mismatch"
    | exception Ancient.Key.Mismatch { name; expected; found } ->
        check_string "name" "words" name;
        check_string "expected" "string list, v2" expected;
        check_string "found" "string list, v1" found
  in
  check_reader ();
  wait_ok (fork check_reader);
  check_bool "mem under any description" true (Ancient.Key.mem md v2);
  check_string "info" "string list, v1" (Ancient.info md (Name "words")).description;
  (* The untyped functions know it as a name. *)
  Alcotest.(check (list string))
    "untyped get" [ "a"; "b" ]
    (Ancient.follow (Ancient.get_key md (Name "words")));
  ignore (Ancient.Key.share md v2 [ "c" ]);
  (match Ancient.Key.get md v1 with
  | _ -> Alcotest.fail "v1 after v2"
  | exception Ancient.Key.Mismatch { found; _ } ->
      check_string "found" "string list, v2" found);
  ignore (Ancient.share_key md (Name "words") 3);
  (match Ancient.Key.get md v2 with
  | _ -> Alcotest.fail "an untyped value"
  | exception (Ancient.Key.Mismatch { found; _ } as e) ->
      check_string "found" "" found;
      check_bool "printed" true (contains "words" (Printexc.to_string e)));
  check_bool "remove" true (Ancient.Key.remove md v1);
  check_bool "removed" false (Ancient.mem md (Name "words"));
  (* An integer has no blocks, but its description all the same. *)
  let n : int Ancient.Key.t = Ancient.Key.make "n" ~description:"int" in
  ignore (Ancient.Key.share md n 42);
  check_int "int" 42 (Ancient.follow (Ancient.Key.get md n));
  check_string "of an int" "int" (Ancient.info md (Name "n")).description;
  let wrong : string Ancient.Key.t = Ancient.Key.make "n" ~description:"string" in
  (match Ancient.Key.get md wrong with
  | _ -> Alcotest.fail "an int as a string"
  | exception Ancient.Key.Mismatch _ -> ());
  (* Any bytes, as a name's. *)
  let odd : int Ancient.Key.t =
    Ancient.Key.make "\000\xff"
      ~description:(String.init 5000 (fun i -> Char.chr (i land 255)))
  in
  ignore (Ancient.Key.share md odd 1);
  check_int "odd" 1 (Ancient.follow (Ancient.Key.get md odd));
  check_string "odd description" (Ancient.Key.description odd)
    (Ancient.info md (Name "\000\xff")).description;
  raises_invalid "a description too long" (fun () ->
      Ancient.Key.share md
        (Ancient.Key.make "n" ~description:(String.make 1_048_577 'd'))
        0);
  check_int "as it was" 42 (Ancient.follow (Ancient.Key.get md n));
  check_bool "verify" true (Ancient.verify md = Ok ())

(* Descriptions that change all the time. That of a value which was replaced was once read where
   something else was by then. *)
let raced path =
  let describe n =
    String.make (1 + (n * 97 mod 900)) (Char.chr (Char.code 'a' + (n mod 26)))
  in
  let key n : int Ancient.Key.t = Ancient.Key.make "k" ~description:(describe n) in
  ignore (Ancient.Key.share (create path) (key 0) 0);
  let stop = Unix.gettimeofday () +. 0.7 in
  let until f =
    fork (fun () ->
        let md = create path and n = ref 0 in
        while Unix.gettimeofday () < stop do
          incr n;
          f md !n
        done)
  in
  let write md n =
    ignore (Ancient.Key.share md (key n) n);
    if n mod 50 = 0 then Ancient.compact md
  in
  let check text =
    let n = String.length text in
    if n = 0 || text <> String.make n text.[0] then
      Alcotest.failf "no description: %S" text
  in
  let read md n =
    check (Ancient.info md (Name "k")).description;
    match Ancient.Key.get md (key n) with
    | _ -> ()
    | exception Ancient.Key.Mismatch { found; _ } -> check found
  in
  List.iter wait_ok [ until write; until read; until read; until write ]

(* Not waiting for the disk changes nothing that a process sees. *)
let durability path =
  let fast = Ancient.open_file ~mode:Create ~durable:false path in
  let slow = Ancient.open_file ~mode:Read_write path in
  for i = 0 to 20 do
    ignore (Ancient.share (if i land 1 = 0 then fast else slow) i i)
  done;
  Ancient.sync fast;
  Ancient.sync slow;
  let reader = Ancient.open_file path in
  Ancient.sync reader;
  for i = 0 to 20 do
    check_int "there" i (Ancient.follow (Ancient.get reader i))
  done;
  wait_ok
    ( fork (fun () ->
          let md = Ancient.open_file ~mode:Read_write ~durable:false path in
          ignore (Ancient.share md 5 "five");
          Unix.kill (Unix.getpid ()) Sys.sigkill)
    |> fun pid ->
      check_bool "killed" true (wait pid = WSIGNALED Sys.sigkill);
      fork ignore );
  check_string "survives its process" "five" (Ancient.follow (Ancient.get reader 5))

let () =
  run "ancient file: keys"
    [
      ( "keys",
        [
          test "names and numbers" (in_file names);
          test "order, and removing" (in_file order);
          test "removed values stay with those who have them" (in_file remove);
          test "arguments" (in_file arguments);
          test "info" (in_file info);
          test "with a type" (in_file typed);
          test "descriptions that change" (in_file raced);
          test "not durable" (in_file durability);
        ] );
    ]
