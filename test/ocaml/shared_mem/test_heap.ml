(* The heap: its sizes, its end, and what its addresses and headers are checked for. *)

open Test_support
open Tables

let digest n = Digest.string (string_of_int n)

let sizes _ =
  check_int "used" 0 (SharedMem.heap_size ());
  let a = Prim.alloc 3 in
  check_int "used" 24 (SharedMem.heap_size ());
  check_int "new" 24 (Prim.new_size ());
  check_int "free" 0 (Prim.free_size ());
  check_int "phase" 0 (Prim.gc_phase ());
  check_int "next" (a + 24) (Prim.alloc 0);
  check_int "next" (a + 24) (Prim.alloc 1);
  for i = 0 to 3 do
    Alcotest.(check int64) "zero" 0L (Prim.load_acquire (a + (8 * i)))
  done

let full_heap _ =
  let full f = raises "alloc" (( = ) SharedMem.Heap_full) f in
  let words = SharedMem.heap_capacity () / 8 in
  full (fun () -> Prim.alloc (words + 1));
  full (fun () -> Prim.alloc max_int);
  refused "negative" (fun () -> Prim.alloc (-1));
  refused "negative" (fun () -> Prim.alloc min_int);
  let incompressible = String.init 3000 (fun _ -> Char.chr (Random.int 256)) in
  let n = ref 0 in
  (try
     while true do
       Lists.add (key !n) [ (!n, incompressible) ];
       incr n
     done
   with SharedMem.Heap_full -> ());
  check_bool "many" true (!n > 250 && !n < 350);
  for i = 0 to !n - 1 do
    check_bool "there" true (Lists.get (key i) = Some [ (i, incompressible) ])
  done;
  check_bool "the one that failed" false (Lists.mem (key !n));
  Ints.add "small" 1;
  check_bool "a small one fits" true (Ints.get "small" = Some 1);
  let text = Printexc.to_string SharedMem.Heap_full in
  check_bool text true (String.ends_with ~suffix:"init with a larger heap_size)" text)

let no_memory _ =
  raises "alloc" (( = ) SharedMem.Out_of_shared_memory) (fun () -> Prim.alloc (1 lsl 37));
  check_int "nothing taken" 0 (SharedMem.heap_size ());
  Ints.add "a" 1;
  check_bool "goes on" true (Ints.get "a" = Some 1)

let addresses _ =
  let a = Prim.store "a" 19 in
  let invalid_address = function SharedMem.Invalid_address _ -> true | _ -> false in
  let invalid_header = function SharedMem.Invalid_header _ -> true | _ -> false in
  let buf_end = a + SharedMem.heap_capacity () in
  List.iter
    (fun addr ->
      raises "add" invalid_address (fun () -> ignore (Prim.add (digest 1) addr));
      raises "deserialize" invalid_address (fun () -> Prim.deserialize addr);
      raises "read_string" invalid_address (fun () -> ignore (Prim.read_string addr 4));
      Alcotest.(check int64) "load" 0L (Prim.load_acquire addr);
      Prim.store_release addr 1L;
      check_bool "cas" false (Prim.compare_exchange ~weak:true addr 0L 1L);
      Prim.write_string addr "some string";
      Prim.write_bytes addr (Bytes.make 20 'x') ~pos:0 ~len:20;
      check_int "compare" (compare addr a) (Prim.compare_string addr a))
    [ 0; -8; 8; a - 8; a - 16; buf_end; buf_end + 8; max_int; min_int; max_int - 7 ];
  raises "the argument is in the exception"
    (( = ) (SharedMem.Invalid_address (12345, 12345L)))
    (fun () -> ignore (Prim.add (digest 1) 12345));
  raises "unaligned" invalid_address (fun () -> ignore (Prim.add (digest 1) (a + 1)));
  (* In the heap, and no object. *)
  raises "inside" invalid_header (fun () -> ignore (Prim.add (digest 1) (a + 16)));
  let b = Prim.alloc 4 in
  let header word = Prim.store_release b word in
  List.iter
    (fun word ->
      header word;
      raises "header"
        (( = ) (SharedMem.Invalid_header (b, word)))
        (fun () -> ignore (Prim.add (digest 1) b));
      raises "header"
        (( = ) (SharedMem.Invalid_header (b, word)))
        (fun () -> Prim.deserialize b))
    [ 0L; 8L; 2L; -1L; Int64.of_int ((1 lsl 40) lor (13 lsl 2) lor 1) ];
  (* A string, and no value; a value, and not LZ4; LZ4, and not marshalled. *)
  header (Int64.of_int ((3 lsl 8) lor (13 lsl 2) lor 1));
  raises "tag" invalid_header (fun () -> Prim.deserialize b);
  header (Int64.of_int ((3 lsl 36) lor (2 lsl 8) lor (19 lsl 2) lor 1));
  raises "lz4" invalid_header (fun () -> Prim.deserialize b);
  header (Int64.of_int ((3 lsl 36) lor (0xfffffff lsl 8) lor (19 lsl 2) lor 1));
  raises "capacity" invalid_header (fun () -> Prim.deserialize b);
  header (Int64.of_int ((2 lsl 36) lor (2 lsl 8) lor (19 lsl 2) lor 1));
  Prim.write_bytes (b + 8) (Bytes.of_string "\xc0hello, world\000\000\002") ~pos:0 ~len:16;
  raises "marshal" invalid_header (fun () -> Prim.deserialize b);
  check_string "the good one" "a" (Prim.deserialize a)

(* A stored value, each of its words changed in turn: an exception each time. *)
let damaged_values _ =
  let value = (list_of 30, String.init 500 (fun i -> Char.chr (i * i mod 251))) in
  let a = Prim.store value 19 in
  let words = Int64.to_int (Int64.shift_right_logical (Prim.load_acquire a) 36) in
  (* The last word may be but zeros and the count. *)
  for i = 1 to words - 1 do
    let at = a + (8 * i) in
    let word = Prim.load_acquire at in
    for bit = 0 to 63 do
      Prim.store_release at (Int64.logxor word (Int64.shift_left 1L bit));
      raises "damaged"
        (function SharedMem.Invalid_header (addr, _) -> addr = a | _ -> false)
        (fun () -> Prim.deserialize a)
    done;
    Prim.store_release at word
  done;
  check_bool "undamaged" true (Prim.deserialize a = value)

let () =
  let small = { config with heap_size = 1 lsl 20 } in
  run "shared_mem heap"
    [
      ( "sizes",
        [
          case "sizes" sizes;
          case "a full heap says so, and serves" ~config:small full_heap;
          case "more than the machine has"
            ~config:{ config with heap_size = 1 lsl 42 }
            no_memory;
        ] );
      ( "checks",
        [
          case "addresses and headers are checked" addresses;
          case "damaged values" damaged_values;
        ] );
    ]
