(* SharedMem with zstd: every level, values of every size, damaged and hostile blocks, other
   processes and domains, saved heaps. *)
open Test_support
open Zstd_tables

external store : 'a -> int -> int -> int = "hh_store_compressed"
external deserialize : int -> 'a = "hh_deserialize"
external compress : string -> int -> int -> string = "hh_compress"
external decompress : int -> string = "hh_decompress"
external alloc : int -> int = "hh_ml_alloc"

external write_bytes : int -> bytes -> pos:int -> len:int -> unit = "hh_write_bytes"
[@@noalloc]

let kind : [ `text ] SharedMem.NewAPI.Kind.serialized =
  SharedMem.NewAPI.Kind.serialized ~tag:63 "text"

let alone f = wait_ok (fork f)

let case name f =
  test name (fun () ->
      alone (fun () ->
          let handle = make () in
          f handle))

let invalid_header f =
  match f () with _ -> false | exception SharedMem.Invalid_header _ -> true

(* How much of the heap [f ()] takes. *)
let taken f =
  let before = SharedMem.heap_size () in
  f ();
  SharedMem.heap_size () - before

(* {1 Values} *)

let levels _ =
  let value = text 50_000 in
  let lz4 = taken (fun () -> Lz4.add "lz4" value) in
  let size level =
    taken (fun () ->
        let addr = store value 19 level in
        check_bool "value" true (deserialize addr = value))
  in
  let sizes = List.init 22 (fun i -> size (i + 1)) in
  check_bool "each is smaller than LZ4's" true (List.for_all (fun n -> n < lz4) sizes);
  check_bool "the last is the smallest" true
    (List.for_all (fun n -> List.nth sizes 21 <= n) sizes);
  check_bool "they differ" true (List.length (List.sort_uniq compare sizes) > 5)

let no_levels _ =
  List.iter
    (fun level ->
      raises_invalid "table" (fun () ->
          let module _ = Table (struct
            let compression = SharedMem.Zstd level
          end) in
          ());
      raises_invalid "string" (fun () ->
          SharedMem.NewAPI.prepare_write_compressed ~compression:(Zstd level) kind "x"))
    [ 0; -1; 23; 256; 257; min_int; max_int ]

let tables _ =
  let value = text 20_000 in
  let plain = taken (fun () -> Plain.add "a" value) in
  let lz4 = taken (fun () -> Lz4.add "a" value) in
  let fast = taken (fun () -> Fast.add "a" value) in
  let small = taken (fun () -> Small.add "a" value) in
  check_bool "each is smaller" true (plain > lz4 && lz4 > fast && fast > small);
  let check () =
    List.iter
      (fun get -> check_bool "value" true (get "a" = Some value))
      [ Plain.get; Lz4.get; Fast.get; Small.get ]
  in
  check ();
  SharedMem.compact ();
  check ()

let sizes _ =
  let read s level =
    let addr = store s 19 level in
    check_bool "value" true (deserialize addr = s)
  in
  List.iter
    (fun make ->
      for len = 0 to 300 do
        read (make len) 1;
        read (make len) (1 + (len mod 22))
      done;
      List.iter
        (fun len -> List.iter (read (make len)) [ 1; 6; 22 ])
        [ 4095; 4096; 65536; 131071; 131072; 131073; 300_000 ];
      SharedMem.reset_heap ();
      read (make 10_000_000) 1;
      read (make 10_000_000) 5)
    [ text; noise; (fun len -> String.make len 'x') ]

let strings _ =
  let open SharedMem.NewAPI in
  List.iter
    (fun s ->
      let addr = alloc (prepare_write_compressed ~compression:(Zstd 3) kind s) in
      check_bool "string" true (read_compressed kind addr = s))
    [ ""; "x"; text 1000; noise 1000; String.make 10_000_000 'x' ]

(* {1 Blocks that are not as they were written} *)

let damaged _ =
  let value = (List.init 50 string_of_int, noise 100) in
  let addr = store value 19 7 in
  let size = SharedMem.heap_size () in
  let memory = Bytes.of_string (compress (Marshal.to_string value []) 19 7) in
  check_int "the same object" size (Bytes.length memory);
  (* The zeros before the last byte carry nothing. *)
  let count = Char.code (Bytes.get memory (size - 1)) land 15 in
  for at = 8 to size - 1 do
    if at < size - 1 - count + 8 || at = size - 1 then
      for bit = 0 to 7 do
        let byte = Char.code (Bytes.get memory at) lxor (1 lsl bit) in
        write_bytes (addr + at) (Bytes.make 1 (Char.chr byte)) ~pos:0 ~len:1;
        if not (invalid_header (fun () -> deserialize addr)) then
          Alcotest.failf "byte %d, bit %d" at bit;
        write_bytes (addr + at) memory ~pos:at ~len:1
      done
  done;
  check_bool "undamaged" true (deserialize addr = value)

(* zstd's block for a string. *)
let block_of s level =
  let memory = compress s 19 level in
  let last = String.length memory - 1 in
  String.sub memory 8 (last - 8 - (Char.code memory.[last] land 15))

(* An object with a sound checksum that says of these bytes that they are zstd's, and of what
   they hold that it takes so many words. *)
let hostile ~capacity block =
  let memory = Bytes.of_string (compress block 19 (-1)) in
  let change at f = Bytes.set_int64_le memory at (f (Bytes.get_int64_le memory at)) in
  let header = Bytes.get_int64_le memory 0 in
  let old_capacity = Int64.(logand (shift_right_logical header 8) 0xfffffffL) in
  let change_of_header = Int64.(shift_left (logxor old_capacity (of_int capacity)) 8) in
  change 0 (Int64.logxor change_of_header);
  change
    (8 + String.length block)
    Int64.(
      fun sum ->
        logxor sum (logxor (shift_right_logical change_of_header 2) (shift_left 3L 62)));
  let last = Bytes.length memory - 1 in
  Bytes.set_uint8 memory last (Bytes.get_uint8 memory last lxor 0x30);
  let addr = alloc (Bytes.length memory / 8) in
  write_bytes addr memory ~pos:0 ~len:(Bytes.length memory);
  addr

let hostile_blocks _ =
  let words s = (String.length s + 7) / 8 in
  let value = text 3000 in
  let block = block_of value 5 in
  check_string "as it was" value (decompress (hostile ~capacity:(words value) block));
  let refused what ~capacity block =
    let addr = hostile ~capacity block in
    check_bool what true (invalid_header (fun () -> decompress addr))
  in
  refused "too little room" ~capacity:(words value - 1) block;
  refused "no room" ~capacity:0 block;
  check_string "no frame holds nothing" "" (decompress (hostile ~capacity:1 ""));
  refused "not zstd's" ~capacity:1000 (text 100);
  refused "half of it" ~capacity:(words value) (String.sub block 0 100);
  (* A frame of empty blocks, and one of blocks of 128 KiB that are one byte. *)
  let frame blocks = "\x28\xb5\x2f\xfd\x00\x58" ^ blocks in
  check_string "empty" "" (decompress (hostile ~capacity:1 (frame "\x01\x00\x00")));
  let run last = Printf.sprintf "%c\x00\x10x" (Char.chr (2 + last)) in
  let runs n = frame (String.concat "" (List.init (n - 1) (fun _ -> run 0)) ^ run 1) in
  let whole = 100 * 131072 in
  check_bool "runs" true
    (decompress (hostile ~capacity:(whole / 8) (runs 100)) = String.make whole 'x');
  refused "a word less" ~capacity:((whole / 8) - 1) (runs 100);
  refused "more than any frame can hold" ~capacity:(1 lsl 22) (String.sub (runs 20) 0 40)

let mutated _ =
  let state = ref (Lazy.force seed) in
  let blocks =
    [| block_of (text 3000) 1; block_of (text 3000) 19; block_of (noise 200) 3 |]
  in
  for n = 1 to 20_000 do
    if n mod 5000 = 0 then SharedMem.reset_heap ();
    let block = Bytes.of_string blocks.(random state mod 3) in
    for _ = 0 to random state mod 3 do
      Bytes.set_uint8 block (random state mod Bytes.length block) (random state land 255)
    done;
    let capacity = random state mod 500 in
    let block = Bytes.sub_string block 0 (Bytes.length block - (random state mod 2)) in
    let addr = hostile ~capacity block in
    match decompress addr with
    | s -> if String.length s > capacity * 8 then Alcotest.fail "longer than its room"
    | exception SharedMem.Invalid_header (at, _) -> if at <> addr then Alcotest.fail "at"
  done

(* {1 Processes and domains} *)

let () =
  role "reader" (fun args ->
      SharedMem.connect (SharedMem.handle_of_string args.(0)) ~worker_id:1;
      List.iter
        (fun get -> if get "a" <> Some (text 5000) then failwith "value")
        [ Plain.get; Lz4.get; Fast.get; Small.get ];
      Small.add "back" (noise 5000))

let another_process handle =
  List.iter (fun add -> add "a" (text 5000)) [ Plain.add; Lz4.add; Fast.add; Small.add ];
  wait_ok (spawn "reader" [ SharedMem.handle_to_string handle ]);
  check_bool "executed" true (Small.get "back" = Some (noise 5000));
  let child =
    fork (fun () ->
        SharedMem.connect handle ~worker_id:2;
        check_bool "read" true (Fast.get "a" = Some (text 5000));
        Fast.add "forked" (text 7000))
  in
  wait_ok child;
  check_bool "forked" true (Fast.get "forked" = Some (text 7000))

(* Contexts are kept from one call to the next, and used by one at a time. *)
let domains _ =
  let work id () =
    for n = 1 to 300 do
      let key = Printf.sprintf "%d %d" id n and value = text (n * (id + 7)) in
      (if n mod 2 = 0 then Fast.add else Small.add) key value;
      let stored = if n mod 2 = 0 then Fast.get key else Small.get key in
      if stored <> Some value then failwith key
    done
  in
  let others = List.init 3 (fun id -> Domain.spawn (work id)) in
  work 3 ();
  List.iter Domain.join others

let saved _ =
  let value n = text (100 * n) in
  let tables =
    [|
      (Plain.add, Plain.get);
      (Lz4.add, Lz4.get);
      (Fast.add, Fast.get);
      (Small.add, Small.get);
    |]
  in
  for n = 1 to 200 do
    fst tables.(n mod 4) (string_of_int n) (value n)
  done;
  with_temp_dir (fun dir ->
      let path = Filename.concat dir "heap" in
      SharedMem.save_heap_to path;
      SharedMem.reset_heap ();
      check_bool "gone" true (Fast.get "2" = None);
      let fd = Unix.openfile path [ O_RDONLY ] 0 in
      SharedMem.load_heap fd;
      Unix.close fd);
  for n = 1 to 200 do
    check_bool "back" true (snd tables.(n mod 4) (string_of_int n) = Some (value n))
  done

(* {1 Memory} *)

(* With a limit on this process's addresses, of which not many are left. *)
let () =
  role "limited" (fun _ ->
      ignore (make ());
      let value = noise (8 lsl 20) in
      Fast.add "before" value;
      let rec fill pieces =
        match Bigarray.(Array1.create char c_layout (32 lsl 20)) with
        | piece -> fill (piece :: pieces)
        | exception Out_of_memory -> pieces
      in
      let pieces = fill [] in
      if pieces = [] then failwith "no limit";
      let pieces = Sys.opaque_identity (ref (List.tl pieces)) in
      Gc.full_major ();
      (match store value 19 22 with
      | _ -> failwith "there was memory"
      | exception SharedMem.Out_of_shared_memory -> ());
      ignore (Sys.opaque_identity !pieces);
      Fast.add "after" "value";
      if Fast.get "after" <> Some "value" then failwith "after";
      if Fast.get "before" <> Some value then failwith "before")

let no_memory () =
  let script = {|ulimit -v 5000000 || exit 99; HH_SHARED_TEST_ROLE=limited exec "$0"|} in
  let arguments = [| "sh"; "-c"; script; Sys.executable_name |] in
  wait_ok (Unix.create_process "sh" arguments Unix.stdin Unix.stdout Unix.stderr)

let () =
  run "zstd"
    [
      ( "values",
        [
          case "every level" levels;
          case "no other level" no_levels;
          case "tables with several compressions" tables;
          case "values of all sizes" sizes;
          case "strings" strings;
        ] );
      ( "blocks",
        [
          case "damaged ones" damaged;
          case "hostile ones" hostile_blocks;
          case "changed at random" mutated;
        ] );
      ( "processes",
        [
          case "another process" another_process;
          case "four domains" domains;
          case "a heap in a file" saved;
          test "no memory for a high level" no_memory;
        ] );
    ]
