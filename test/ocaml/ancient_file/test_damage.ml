(* Files with every kind of damage, looked at with [verify], attached with [~verify:true], and
   trusted: an exception or a fault that says where, or the values as they were; never a crash. *)

open Test_support
open Values

let in_dir f () = with_temp_dir f
let letter key = Char.chr (Char.code 'A' + key)
let text key = String.make 20_000 (letter key)
let numbers = Array.init 300 Int64.of_int
let tree = List.init 500 (fun i -> (i, string_of_int i, float i, [| i; i |]))
let array () = Bigarray.(Array1.init Int32 C_layout 700 Int32.of_int)
let name i = Ancient.Name (Printf.sprintf "name %d %s" i (String.make (i * 3) 'n'))

(* Texts of one letter each, which can be found in the file; other values; parts; some keys, so that
   the key table has two levels. *)
let make path =
  wait_ok
    (fork (fun () ->
         let md = Ancient.open_file ~mode:Create ~durable:false path in
         for key = 0 to 4 do
           ignore (Ancient.share md key (text key))
         done;
         ignore (Ancient.share_key md (name 0) numbers);
         let t = Ancient.follow (Ancient.share_key md (name 1) tree) in
         ignore (Ancient.share_key md (name 2) (array ()));
         ignore (Ancient.share_key md (name 3) (t, "a part"));
         let key = Ancient.Key.make "typed" ~description:"int array" in
         ignore (Ancient.Key.share md key [| 1; 2; 3 |]);
         for i = 100 to 160 do
           ignore (Ancient.share md i i)
         done));
  In_channel.with_open_bin path In_channel.input_all

exception Changed of string

(* Reads all there is; [Changed] if something is not what was shared. *)
let read_values md =
  let same what v w = if compare v w <> 0 then raise (Changed what) in
  let get key what w =
    match Ancient.get_key md key with
    | exception (Failure _ | Not_found) -> ()
    | proxy -> (
        match Ancient.follow proxy with
        | v ->
            same what v w;
            if Marshal.to_string v [] <> Marshal.to_string w [] then raise (Changed what))
  in
  for key = 0 to 4 do
    get (Int key) "text" (text key)
  done;
  get (name 0) "numbers" numbers;
  get (name 1) "tree" tree;
  get (name 2) "array" (array ());
  get (name 3) "part" (tree, "a part");
  get (Name "typed") "typed" [| 1; 2; 3 |];
  for i = 100 to 160 do
    get (Int i) "int" i
  done

let quietly f = match f () with _ -> () | exception (Failure _ | Not_found) -> ()

(* What a program that trusts the file may do without looking into values. *)
let look md =
  quietly (fun () -> Ancient.keys md);
  quietly (fun () -> Ancient.file_info md);
  List.iter
    (fun key ->
      quietly (fun () -> Ancient.info md key);
      quietly (fun () -> Ancient.mem md key);
      quietly (fun () -> Sys.opaque_identity (Ancient.follow (Ancient.get_key md key))))
    (name 0 :: name 1 :: name 2 :: name 3 :: Name "typed"
    :: List.init 200 (fun i -> Ancient.Int i))

(* All ways to look at the file at [path], in a child. *)
let look_at ?(sound = true) path =
  let attach ~verify f =
    match Ancient.open_file ~mode:Read_write ~durable:false ~verify path with
    | exception Failure text ->
        check_bool text true (contains path text && contains "at offset" text)
    | md -> f md
  in
  wait_ok
    (fork (fun () ->
         attach ~verify:false look;
         attach ~verify:true (fun md ->
             look md;
             read_values md;
             match Ancient.verify md with
             | Error fault ->
                 check_bool "offset" true (fault.offset >= 0);
                 check_bool fault.reason true (String.length fault.reason > 10)
             | Ok () -> if sound then read_values md)));
  (* Writers and those who compact meet the same damage. *)
  wait_ok
    (fork (fun () ->
         attach ~verify:true (fun md ->
             quietly (fun () -> Ancient.share md 0 (text 0));
             quietly (fun () -> Ancient.remove md (name 1));
             quietly (fun () -> Ancient.compact md);
             look md)))

let write path text =
  Out_channel.with_open_bin path (fun out -> Out_channel.output_string out text)

let with_flips whole places =
  let bytes = Bytes.of_string whole in
  let flip at =
    let old = Char.code (Bytes.get bytes at) in
    Bytes.set bytes at (Char.chr (old lxor (1 lsl Random.int 8)))
  in
  List.iter flip places;
  Bytes.to_string bytes

let flips dir =
  let path = Filename.concat dir "image" in
  let whole = make path in
  let size = String.length whole in
  for round = 1 to 160 do
    (* Anywhere; where superblocks and the key table are; or several at once. *)
    let place () =
      match round mod 4 with
      | 0 -> Random.int 512 + (Random.int 2 * 4096)
      | 1 -> Random.int size
      | _ -> (Random.int (size / 4096) * 4096) + Random.int 300
    in
    let places = List.init (1 + (round mod 3)) (fun _ -> place ()) in
    write path (with_flips whole places);
    look_at path
  done

(* The pages of the key table say what they are. *)
let key_pages whole =
  let is_one page = String.sub whole (page * 4096) 8 = "hhkeys1\n" in
  List.filter is_one (List.init (String.length whole / 4096) Fun.id)

(* Every tenth bit in use of the key table, one after the other: seen, or of an old table. *)
let key_table dir =
  let path = Filename.concat dir "image" in
  let whole = make path in
  let seen = ref 0 in
  List.iter
    (fun page ->
      let flip at =
        write path (with_flips whole [ (page * 4096) + at ]);
        let md = Ancient.open_file path in
        (match Ancient.verify md with
        | Ok () -> read_values md
        | Error fault ->
            incr seen;
            check_bool "nobody's" true (fault.key = None);
            check_bool fault.reason true (contains "key table" fault.reason));
        Ancient.detach md
      in
      for i = 0 to 59 do
        match flip ((i * 67) + Random.int 67) with
        | () -> ()
        (* The root: already when the file is attached. *)
        | exception Failure text ->
            incr seen;
            check_bool text true (contains "key table" text)
      done)
    (key_pages whole);
  (* Inner node and leaves of the newest table, whole pages of them. *)
  check_bool "seen" true (!seen >= 180)

(* Any byte of the newest superblock: the one before it is the file's state, with one key less. *)
let superblocks dir =
  let path = Filename.concat dir "image" in
  let whole = make path in
  let keys_of text =
    write path text;
    let md = Ancient.open_file path in
    Fun.protect
      ~finally:(fun () -> Ancient.detach md)
      (fun () -> (Ancient.file_info md).keys)
  in
  let keys = keys_of whole in
  let older = ref 0 in
  for at = 0 to 127 do
    let both =
      List.map (fun slot -> keys_of (with_flips whole [ slot + at ])) [ 0; 4096 ]
    in
    match List.sort compare both with
    | [ a; b ] when a = keys - 1 && b = keys -> incr older
    | _ -> Alcotest.failf "byte %d of a superblock: %d keys" at (List.hd both)
  done;
  check_int "each byte" 128 !older

(* Zeroes, ones, or a part of the file itself, page by page. *)
let pages dir =
  let path = Filename.concat dir "image" in
  let whole = make path in
  let pages = String.length whole / 4096 in
  for page = 0 to min 79 (pages - 1) do
    let bytes = Bytes.of_string whole in
    (match page mod 3 with
    | 0 -> Bytes.fill bytes (page * 4096) 4096 '\000'
    | 1 -> Bytes.fill bytes (page * 4096) 4096 '\xff'
    | _ -> Bytes.blit_string whole (Random.int pages * 4096) bytes (page * 4096) 4096);
    write path (Bytes.to_string bytes);
    look_at path
  done

let cut dir =
  let path = Filename.concat dir "image" in
  let whole = make path in
  let size = String.length whole in
  for _ = 1 to 60 do
    let length = 8192 + Random.int (size - 8192) in
    write path (String.sub whole 0 length);
    look_at path
  done;
  (* At every length of the header: no image, and it is not touched. *)
  write path (String.sub whole 0 8192);
  for length = 8191 downto 1 do
    Unix.truncate path length;
    let verify = length land 1 = 0 in
    (match Ancient.open_file ~mode:Create ~verify path with
    | _ -> Alcotest.failf "%d bytes: attached" length
    | exception Failure text ->
        if not (contains path text && contains "at offset" text) then
          Alcotest.failf "%d bytes: %s" length text);
    if length mod 512 = 0 then check_int "length" length (Unix.stat path).st_size
  done

let versions dir =
  let path = Filename.concat dir "image" in
  let whole = make path in
  let bytes = Bytes.of_string whole in
  List.iter (fun at -> Bytes.set_int64_le bytes (at + 8) 2L) [ 0; 4096 ];
  write path (Bytes.to_string bytes);
  List.iter
    (fun verify ->
      match Ancient.open_file ~verify path with
      | _ -> Alcotest.fail "another version"
      | exception Failure text ->
          check_bool text true (contains "version 2" text && contains path text))
    [ false; true ]

(* Where in the file the letters of a text are. *)
let find whole key =
  let rec from at = if String.sub whole at 100 = String.make 100 (letter key) then at else from (at + 64) in
  from 8192
  [@@ocamlformat "disable"]

(* [verify] says where the fault is, and in whose value. *)
let faults dir =
  let path = Filename.concat dir "image" in
  let whole = make path in
  wait_ok
    (fork (fun () ->
         let md = Ancient.open_file path in
         if Ancient.verify md <> Ok () then failwith "not good";
         let fault_of key at =
           write path (with_flips whole [ at ]);
           match Ancient.verify md with
           | Ok () -> Alcotest.failf "a flip at %d was not seen" at
           | Error fault ->
               check_bool "key" true (fault.key = Some key);
               check_bool "offset" true (fault.offset >= 8192 && fault.offset <= at);
               check_bool "near" true (at - fault.offset < 30_000);
               check_bool fault.reason true (contains "checksum" fault.reason)
         in
         for key = 0 to 4 do
           let at = find whole key in
           (* Some letter; the header of the string; the padding behind it. *)
           fault_of (Int key) (at + Random.int 15_000);
           fault_of (Int key) (at - 8);
           fault_of (Int key) (at + 20_007 - (20_000 mod 8))
         done;
         (* In the newest superblock: the one before counts, whose values are whole, too. *)
         write path whole;
         if Ancient.verify md <> Ok () then failwith "not good again";
         (* The key table: all of its pages, so the root as well. *)
         let bytes = Bytes.of_string whole in
         Bytes.fill bytes 8192 (Bytes.length bytes - 8192) '\x55';
         write path (Bytes.to_string bytes);
         match Ancient.verify md with
         | Ok () -> failwith "no key table"
         | Error fault -> check_bool "no value's" true (fault.key = None)))

(* Cut and written over at any moment, while others read it with care. *)
let shrinking dir =
  let path = Filename.concat dir "image" in
  let whole = make path in
  for _ = 1 to 25 do
    write path whole;
    let reader =
      fork (fun () ->
          match Ancient.open_file ~verify:true path with
          | exception Failure _ -> ()
          | md ->
              for _ = 1 to 4 do
                look md;
                quietly (fun () -> read_values md);
                quietly (fun () -> Ancient.verify md)
              done)
    in
    Unix.sleepf (Random.float 0.004);
    (match Random.int 3 with
    | 0 -> Unix.truncate path (Random.int (String.length whole))
    | 1 ->
        Unix.truncate path 8192;
        Unix.truncate path (String.length whole)
    | _ -> write path (with_flips whole (List.init 200 (fun i -> 8192 + (i * 997)))));
    wait_ok reader
  done

let () =
  Random.init (Lazy.force seed);
  run "ancient file: damage"
    [
      ( "damage",
        [
          test "flipped bits" (in_dir flips);
          test "the key table" (in_dir key_table);
          test "superblocks" (in_dir superblocks);
          test "pages" (in_dir pages);
          test "cut" (in_dir cut);
          test "another version" (in_dir versions);
          test "where the fault is" (in_dir faults);
          test "while it is read" (in_dir shrinking);
        ] );
    ]
