(* Objects of the program's own kinds: what is written is read, what is wrong is refused, wherever
   an address comes from, and collections know what is an address. *)

open Test_support
open Tables
open People
open SharedMem.NewAPI
open Prepare_syntax

let written_and_read _ =
  let ada = person_of "Ada" 36 in
  let bob = person_of ~friend:ada "Bob" (-5) in
  check_int "exact" (8 * ((2 + 4) * 2)) (SharedMem.heap_size ());
  check_string "name" "Bob" (read_string (name bob));
  check_int "age" (-5) (age bob);
  check_bool "friend" true (friend bob = Some ada && friend ada = None);
  check_int "size" 3 (size person bob);
  check_bool "coerce" true (coerce person bob = Some bob);
  check_bool "coerce" true (coerce note bob = None);
  let nobody = alloc (prepare_write_string "nobody") in
  raises "null" invalid_address (fun () -> age (get_field person 1 ada));
  raises "an integer" invalid_address (fun () -> get_field_opt person 2 ada);
  raises "an address" invalid_address (fun () -> get_int person 0 ada);
  raises "another kind" invalid_header (fun () -> age (cast nobody));
  List.iter
    (fun i -> refused "no such word" (fun () -> get_field_opt person i ada))
    [ 3; -1; max_int; min_int; 1 lsl 60 ];
  List.iter
    (fun at ->
      let at = addr_of_int at in
      raises "no address" invalid_address (fun () -> age at);
      raises "no address" invalid_address (fun () -> coerce note at);
      raises "no address" invalid_address (fun () -> read_string (cast at)))
    [ 0; 8; -8; max_int; min_int; int_of_addr ada + 4; 1 lsl 40 ];
  raises "inside" invalid_header (fun () -> age (addr_of_int (int_of_addr ada + 8)))

let words_change _ =
  let ada = person_of "Ada" 36 and bob = person_of "Bob" 40 in
  set_int person 2 ada 37;
  check_int "age" 37 (age ada);
  let largest = (1 lsl 61) - 1 in
  List.iter
    (fun n ->
      set_int person 2 ada n;
      check_int "age" n (age ada))
    [ 0; -1; largest; -largest - 1 ];
  List.iter
    (fun n -> refused "63 bits" (fun () -> set_int person 2 ada n))
    [ largest + 1; max_int; min_int ];
  set_field person 1 ada bob;
  check_bool "friend" true (friend ada = Some bob);
  let cas old next = compare_and_set_field person 1 ada old next in
  check_bool "not that" false (cas None None);
  check_bool "that" true (cas (Some bob) (Some ada));
  check_bool "friend" true (friend ada = Some ada);
  set_field_opt person 1 ada None;
  check_bool "friend" true (friend ada = None);
  check_bool "that" true (cas None (Some bob));
  raises "an integer" invalid_address (fun () -> set_field person 2 ada bob);
  raises "an integer" invalid_address (fun () ->
      compare_and_set_field person 2 ada None (Some bob));
  raises "an address" invalid_address (fun () -> set_int person 1 ada 5);
  let at = int_of_addr bob in
  raises "no object" invalid_header (fun () ->
      set_field person 1 ada (addr_of_int (at + 8)));
  raises "no address" invalid_address (fun () -> set_field person 1 ada (addr_of_int 8));
  raises "no address" invalid_address (fun () ->
      set_field person 1 (addr_of_int 8) (addr_of_int at));
  refused "no such word" (fun () -> set_field person 3 ada bob);
  check_bool "friend" true (friend ada = Some bob)

let strings _ =
  let same n =
    let s = String.init n (fun i -> Char.chr (i * 7 mod 256)) in
    let addr = alloc (prepare_write_string s) in
    check_string "string" s (read_string addr);
    check_int "size" ((n / 8) + 1) (string_size s);
    check_int "compare" 0 (compare_string addr (alloc (prepare_write_string s)));
    check_bool "compare" (n > 0)
      (compare_string (alloc (prepare_write_string "")) addr < 0);
    let as_note = alloc (prepare_write_string_as note s) in
    check_string "note" s (read_string_as note as_note);
    raises "a note" invalid_header (fun () -> read_string (cast as_note));
    let packed = alloc (prepare_write_compressed text s) in
    check_string "compressed" s (read_compressed text packed)
  in
  List.iter same [ 0; 1; 7; 8; 9; 15; 16; 5000 ]

let numbers _ =
  List.iter
    (fun n ->
      Alcotest.(check int64) "int64" n (read_int64 (alloc (prepare_write_int64 n))))
    [ 0L; 1L; -1L; Int64.max_int; Int64.min_int ];
  let prep =
    ( header_size + 2,
      fun chunk ->
        let addr = write_header chunk note 2 in
        write_int64 chunk 5L;
        write_int64 chunk (-6L);
        addr )
  in
  let pair = alloc prep in
  Alcotest.(check int64) "second" (-6L) (get_int64 note 1 pair);
  refused "third" (fun () -> get_int64 note 2 pair);
  let empty = alloc (header_size, fun chunk -> write_header chunk note 0) in
  raises "no words" invalid_header (fun () -> read_string_as note empty)

let tables _ =
  let table = prepare_write_addr_tbl (prepare_write_addr_tbl prepare_write_string) in
  let rows = [| [| "a"; "b" |]; [||]; [| String.make 100 'c' |] |] in
  let addr = alloc (table rows) in
  check_bool "rows" true (read_addr_tbl (read_addr_tbl read_string) addr = rows);
  let empty = alloc (prepare_write_addr_tbl prepare_write_string [||]) in
  check_int "null" 0 (int_of_addr empty);
  check_bool "empty" true (read_addr_tbl read_string empty = [||]);
  let third =
    read_addr_tbl_generic (read_addr_tbl read_string) addr (fun n get ->
        check_int "length" 3 n;
        List.iter
          (fun i -> refused "no such" (fun () -> get i))
          [ 3; -1; max_int; min_int ];
        get 2)
  in
  check_bool "third" true (third = rows.(2));
  raises "no object" invalid_address (fun () ->
      alloc
        (prepare_write_addr_tbl (fun at -> prepare_const (addr_of_int at)) [| 8; 16 |]));
  raises "no table" invalid_header (fun () ->
      read_addr_tbl Stdlib.Fun.id (cast (alloc (prepare_write_string "x"))))

let compressed _ =
  let s = String.concat ", " (List.init 5000 (fun n -> string_of_int (n / 7))) in
  let size compression =
    let before = SharedMem.heap_size () in
    let addr = alloc (prepare_write_compressed ?compression text s) in
    check_string "string" s (read_compressed text addr);
    SharedMem.heap_size () - before
  in
  let lz4 = size None in
  check_int "the default" lz4 (size (Some SharedMem.Lz4));
  let plain = size (Some SharedMem.No_compression) in
  check_bool "smaller" true (lz4 < plain * 3 / 4);
  check_bool "about as long" true (plain < String.length s + 32);
  let addr = alloc (prepare_write_compressed last_text s) in
  raises "another kind" invalid_header (fun () -> read_compressed text (cast addr));
  (* A value that was marshalled is a string, too. *)
  let marshalled =
    alloc (prepare_write_compressed text (Marshal.to_string (list_of 5) []))
  in
  check_bool "value" true (Prim.deserialize (int_of_addr marshalled) = list_of 5);
  Prim.store_release (int_of_addr addr + 24) 77L;
  raises "written over" invalid_header (fun () -> read_compressed last_text addr)

(* {1 Collections} *)

let collected _ =
  let ada = person_of "Ada" 36 in
  ignore (People.add "ada" ada);
  let bob = person_of ~friend:ada "Bob" 40 in
  let kept =
    alloc
      (let+ s = prepare_write_string_as note "kept" in
       s)
  in
  ignore (Notes.add "kept" kept);
  (* An opaque object's words are no addresses, whatever they look like. *)
  let opaque =
    alloc
      ( header_size + 1,
        fun chunk ->
          let addr = write_header chunk note 1 in
          write_int64 chunk (Int64.of_int (int_of_addr bob));
          addr )
  in
  ignore (Notes.add "opaque" opaque);
  set_field person 1 ada ada;
  ignore (person_of "garbage" 0);
  SharedMem.compact ();
  check_int "bob and the garbage are gone" (8 * (2 + 4 + 2 + 2)) (SharedMem.heap_size ());
  let ada = Option.get (People.get "ada") in
  check_bool "friend" true (friend ada = Some ada);
  check_int "age" 36 (age ada);
  check_string "name" "Ada" (read_string (name ada));
  check_string "kept" "kept" (read_string_as note (Option.get (Notes.get "kept")))

(* While somebody marks, a word loses an address and another object gets it: one that the marker
   has been at, or has not. *)
let moved_while_marking _ =
  for slices = 0 to 60 do
    SharedMem.reset_heap ();
    let one = person_of "one" 1 and two = person_of "two" 2 in
    let ada = person_of ~friend:one "Ada" 36 and eve = person_of ~friend:two "Eve" 5 in
    ignore (People.add "ada" ada);
    ignore (People.add "eve" eve);
    Prim.start_cycle ();
    for _ = 1 to slices do
      if Prim.gc_phase () = 1 then ignore (Prim.mark_slice 1)
    done;
    (* First one way, with nothing in between; then the other. *)
    set_field_opt person 1 ada None;
    set_field_opt person 1 eve None;
    set_field person 1 ada two;
    set_field person 1 eve one;
    if Prim.gc_phase () = 1 then ignore (Prim.mark_slice max_int);
    ignore (Prim.sweep_slice max_int);
    let friend_of s = Option.get (friend (Option.get (People.get s))) in
    check_string "one" "one" (read_string (name (friend_of "eve")));
    check_string "two" "two" (read_string (name (friend_of "ada")));
    SharedMem.compact ();
    check_int "one" 1 (age (friend_of "eve"));
    check_int "two" 2 (age (friend_of "ada"))
  done

let () =
  run "shared_mem objects"
    [
      ( "objects",
        [
          case "records" written_and_read;
          case "words change" words_change;
          case "strings" strings;
          case "numbers" numbers;
          case "tables" tables;
          case "compressed strings" compressed;
        ] );
      ( "collections",
        [
          case "what is reachable stays" collected;
          case "words that change while somebody marks"
            ~config:{ heap_size = 1 lsl 16; hash_table_pow = 3 }
            moved_while_marking;
        ] );
    ]
