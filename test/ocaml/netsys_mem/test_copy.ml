(* init_value and copy_value. Blocks that are copied in a way of their own: test_copy_kinds.ml. *)

open Test_support
module A = Bigarray.Array1

let all = Netsys_mem.[ Copy_bigarray; Copy_custom_int; Copy_atom ]

(* Kept reachable, as values in a buffer don't keep it. *)
let buffers = ref []

let keep m =
  buffers := m :: !buffers;
  m

let buffer n =
  let m = keep (Netsys_mem.alloc_aligned_memory 64 n) in
  A.fill m '\xee';
  m

let init ?(flags = all) m v =
  let voffset, _ = Netsys_mem.init_value m 0 v flags in
  Netsys_mem.as_value m voffset

let raises_failure what f =
  match f () with
  | _ -> Alcotest.failf "%s: no exception" what
  | exception Failure text -> text

let out_of_space what f =
  Alcotest.check_raises what Netsys_mem.Out_of_space (fun () -> ignore (f ()))

type record = {
  name : string;
  mutable count : int;
  weights : float array;
  next : record option;
}

let sample () =
  let inner = { name = "inner"; count = 1; weights = [| 1.; 2.5 |]; next = None } in
  ( [ inner; { inner with name = "outer"; next = Some inner } ],
    (1l, 2L, 3n, 4.5, "five", [||]),
    Hashtbl.hash,
    () )
  |> fun (a, b, _, d) -> (a, b, d)

let works () =
  let m = buffer 4096 in
  let v = sample () in
  let copy = init m v in
  check_bool "equal" true (compare copy v = 0 && compare v copy = 0);
  check_bool "hash" true (Hashtbl.hash copy = Hashtbl.hash v);
  check_string "marshal" (Graphs.image v) (Graphs.image copy);
  let records, _, () = copy in
  (match records with
  | [ inner; { next = Some shared; _ } ] ->
      check_bool "shared" true (inner == shared);
      inner.count <- 99;
      check_int "written to" 99 shared.count
  | _ -> Alcotest.fail "another shape");
  let records, _, () = v in
  check_int "the source is as it was" 1 (List.hd records).count

let random_values =
  property ~count:500 "a copy is its source" (Graphs.arbitrary ~customs:true)
    (fun graph ->
      let v = Graphs.build graph in
      let before = Graphs.image v in
      let bytelen = Graphs.expected_bytelen v in
      let m = buffer (bytelen + 64) in
      let simulated = Netsys_mem.init_value m 16 v (Copy_simulate :: all) in
      let untouched = Netsys_mem.string_of_memory m = String.make (bytelen + 64) '\xee' in
      let result = Netsys_mem.init_value m 16 v all in
      let copy : Obj.t = Netsys_mem.as_value m (fst result) in
      let edges_kept =
        A.get m 15 = '\xee'
        && Netsys_mem.string_of_memory (A.sub m (16 + bytelen) 48) = String.make 48 '\xee'
      in
      Gc.minor ();
      untouched && edges_kept
      && simulated = (24, bytelen)
      && result = simulated
      && Graphs.image copy = before
      && Graphs.image v = before
      && Graphs.image (Netsys_mem.copy_value all copy) = before
      && Graphs.image (Netsys_mem.copy_value all v) = before)

let random_acyclic =
  let open QCheck in
  let short gen = list_of_size (Gen.int_bound 20) gen in
  let gen =
    pair (short (pair small_string (option float))) (short (pair int64 (short bool)))
  in
  property "a copy is equal to its source" gen (fun (a, b) ->
      let v = (a, b, "and") in
      let m = buffer 65536 in
      let copy = init m v in
      let again = Netsys_mem.copy_value all copy in
      compare copy v = 0 && compare again v = 0 && Hashtbl.hash copy = Hashtbl.hash v)

(* At every offset and for every size of buffer: nothing is written beyond the end. *)
let space () =
  let v = Sys.opaque_identity [ "one"; "two" ] in
  let _, bytelen = Netsys_mem.init_value (buffer 0) 0 v [ Copy_simulate ] in
  check_int "bytes" (2 * (24 + 16)) bytelen;
  for offset = 0 to 5 do
    let offset = 8 * offset in
    for room = 0 to bytelen + 16 do
      let whole = buffer 256 in
      let m = A.sub whole 0 (offset + room) in
      (match Netsys_mem.init_value m offset v [] with
      | result ->
          check_bool "fits" true (room >= bytelen);
          Alcotest.(check (pair int int)) "result" (offset + 8, bytelen) result;
          check_bool "copy" true (Netsys_mem.as_value m (offset + 8) = v)
      | exception Netsys_mem.Out_of_space ->
          check_bool "does not fit" true (room < bytelen));
      let rest = A.sub whole (offset + room) (256 - offset - room) in
      check_string "beyond"
        (String.make (A.dim rest) '\xee')
        (Netsys_mem.string_of_memory rest);
      let before = A.sub whole 0 offset in
      check_string "before" (String.make offset '\xee')
        (Netsys_mem.string_of_memory before)
    done
  done;
  let m = buffer 64 in
  List.iter
    (fun offset -> out_of_space "beyond" (fun () -> Netsys_mem.init_value m offset v []))
    [ 64; 72; 1 lsl 40; max_int - 7 ];
  List.iter
    (fun offset ->
      raises_invalid "offset" (fun () -> Netsys_mem.init_value m offset v []);
      raises_invalid "offset" (fun () ->
          Netsys_mem.init_value m offset v [ Copy_simulate ]))
    [ -8; -1; 1; 4; 7; min_int; max_int ];
  List.iter
    (fun targetaddr ->
      raises_invalid "target" (fun () -> Netsys_mem.init_value ~targetaddr m 0 v []))
    [ 1n; 4n; -8n; Nativeint.min_int; Nativeint.max_int ];
  let odd = A.sub (buffer 256) 3 200 in
  raises_invalid "unaligned" (fun () -> Netsys_mem.init_value odd 0 v []);
  raises_invalid "target" (fun () -> Netsys_mem.init_value ~targetaddr:4096n odd 5 v []);
  check_bool "aligned" true (fst (Netsys_mem.init_value odd 5 v []) = 13);
  Netsys_mem.memory_unmap_file (Netsys_mem.alloc_memory_pages 1);
  let gone = Netsys_mem.alloc_memory_pages 1 in
  Netsys_mem.memory_unmap_file gone;
  out_of_space "unmapped" (fun () -> Netsys_mem.init_value gone 0 v []);
  check_bool "measured" true
    (Netsys_mem.init_value gone 0 v [ Copy_simulate ] = (8, bytelen))

exception Local of int

let refused () =
  let m = buffer 4096 in
  let untouched_source = Sys.opaque_identity [ Obj.repr 1; Obj.repr "x" ] in
  let refuse ?(flags = all) what expected v =
    List.iter
      (fun (name, text) ->
        if not (String.starts_with ~prefix:("Netsys_mem." ^ name) text) then
          Alcotest.failf "%s: %S" what text;
        let contains =
          let n = String.length expected in
          let rec at i =
            i + n <= String.length text && (String.sub text i n = expected || at (i + 1))
          in
          at 0
        in
        if not contains then Alcotest.failf "%s: %S lacks %S" what text expected)
      [
        ("init_value", raises_failure what (fun () -> Netsys_mem.init_value m 0 v flags));
        ( "init_value",
          raises_failure what (fun () ->
              Netsys_mem.init_value m 0 v (Copy_simulate :: flags)) );
        ("copy_value", raises_failure what (fun () -> Netsys_mem.copy_value flags v));
      ]
  in
  let x = Sys.opaque_identity 3 in
  refuse "closure" "closure at field 0 of field 1" (1, Some (fun y -> x + y));
  refuse "lazy" "lazy value" (1, lazy (x + 1));
  refuse "object" "object"
    ( 1,
      object
        method m = x
      end );
  refuse "exception" "Local" (1, Local x);
  refuse "channel" "_chan" (1, stdout);
  (* A newcomer reads here which flag it was, and what the value is. *)
  let int kind = kind ^ " at field 1 without the flag Copy_custom_int" in
  refuse "int32" (int "int32") ~flags:[ Copy_bigarray; Copy_atom ] (1, Int32.of_int x);
  refuse "int64" (int "int64") ~flags:[ Copy_bigarray; Copy_atom ] (1, Int64.of_int x);
  refuse "nativeint" (int "nativeint") ~flags:[] (1, Nativeint.of_int x);
  refuse "bigarray" "bigarray at field 1 without the flag Copy_bigarray"
    ~flags:[ Copy_custom_int ]
    (1, buffer 8);
  let only what v flags =
    ignore (raises_failure what (fun () -> Netsys_mem.init_value m 0 v flags))
  in
  only "atom" (1, [||]) [];
  only "atom at the root" [||] [];
  only "integer" 1 all;
  only "kept root" [||] [ Keep_atom ];
  check_bool "source" true (untouched_source = [ Obj.repr 1; Obj.repr "x" ])

let ranges () =
  let m = buffer 1024 and other = buffer 1024 in
  let inner : string list = init other [ "kept"; "too" ] in
  let young = String.make 3 'y' in
  let v = (inner, young) in
  let first = Netsys_mem.memory_address other in
  let cc = [ (1n, 2n); (first, Nativeint.add first 1024n); (0n, 0n) ] in
  let copy ?(flags = []) cc v =
    let voffset, bytelen = Netsys_mem.init_value ~cc m 0 v flags in
    (Netsys_mem.as_value m voffset, bytelen)
  in
  let flags = [ Netsys_mem.Copy_conditionally ] in
  let (kept, string), bytes = copy ~flags cc v in
  check_bool "kept" true (kept == inner && string = young && string != young);
  check_int "not counted" (24 + 16) bytes;
  let (copied, _), _ = copy cc v in
  check_bool "only with the flag" true (copied != inner && copied = inner);
  let (copied, _), _ = copy ~flags [ (Nativeint.sub first 16n, first) ] v in
  check_bool "elsewhere" true (copied != inner && copied = inner);
  let root, _ = copy ~flags cc inner in
  check_bool "the root is copied, its tail is not" true
    (root != inner && List.tl root == List.tl inner && root = inner);
  (* All addresses there are: what the collector moves is copied all the same. *)
  let (kept, string), _ = copy ~flags [ (0n, Nativeint.max_int) ] v in
  Gc.compact ();
  check_bool "the heap is copied" true (kept == inner && string = "yyy")

let deep () =
  let n = 5_000_000 in
  let list = List.init n (fun i -> i) in
  let m = keep (Netsys_mem.alloc_memory_pages (n * 24)) in
  (* In a function of its own: bytecode keeps what is on the stack, and after the unmapping no
     value of the buffer may be left there. *)
  let there_and_back () =
    let voffset, bytelen = Netsys_mem.init_value m 0 list [] in
    check_int "bytes" (n * 24) bytelen;
    let copy : int list = Netsys_mem.as_value m voffset in
    check_bool "equal" true (List.for_all2 ( = ) copy list);
    Netsys_mem.copy_value [] copy
  in
  let back = there_and_back () in
  Netsys_mem.memory_unmap_file m;
  Gc.full_major ();
  check_bool "back" true (List.for_all2 ( = ) back list)

(* Values in a buffer, held by values of the heap, under every kind of collection. *)
let collections () =
  let m = keep (Netsys_mem.alloc_memory_pages (1 lsl 20)) in
  let table = Hashtbl.create 16 and offset = ref 0 in
  for i = 1 to 500 do
    let v = (i, String.make (i mod 50) 'v', [ i; i + 1 ], Int64.of_int i) in
    let voffset, bytelen = Netsys_mem.init_value m !offset v all in
    offset := !offset + bytelen;
    let weak = Weak.create 1 in
    let copy : int * string * int list * int64 = Netsys_mem.as_value m voffset in
    Weak.set weak 0 (Some copy);
    Hashtbl.replace table i (copy, weak, lazy copy);
    if i mod 50 = 0 then Gc.compact ()
    else if i mod 10 = 0 then Gc.full_major ()
    else Gc.minor ()
  done;
  Hashtbl.iter
    (fun i ((n, s, l, i64), weak, lazy_) ->
      check_bool "intact" true
        (n = i
        && s = String.make (i mod 50) 'v'
        && l = [ i; i + 1 ]
        && i64 = Int64.of_int i);
      check_bool "weak" true (Weak.get weak 0 = Some (Lazy.force lazy_)))
    table;
  Gc.compact ()

(* Copies into the heap, of every size around the largest young block, kept and dropped. *)
let heap_copies () =
  let color v = Netsys_mem.color (Obj.repr v) in
  check_bool "the collector's" true (color (Netsys_mem.copy_value [] (ref 1)) = White);
  let m = buffer 1_000_000 in
  let kept = ref [] in
  for size = 1 to 600 do
    let v =
      ( Array.init size (fun i ->
            if i mod 7 = 0 then Obj.repr (string_of_int i) else Obj.repr i),
        [| float size |],
        Int64.of_int size )
    in
    let copy = init m v in
    let back = Netsys_mem.copy_value all copy in
    if size mod 3 = 0 then kept := (size, v, back) :: !kept;
    if size mod 40 = 0 then Gc.full_major ()
  done;
  A.fill m '\255';
  Gc.compact ();
  List.iter
    (fun (size, v, ((a, _, _) as back)) ->
      check_int "size" size (Array.length a);
      a.(0) <- Obj.repr (ref size);
      Gc.minor ();
      a.(0) <-
        (let b, _, _ = v in
         b.(0));
      check_bool "equal" true (compare v back = 0))
    !kept

(* Its header was taken for the end of what may be read, and that for a lack of memory. *)
let empty_block_at_the_end () =
  List.iter
    (fun n ->
      let v = List.init n (fun i -> if i < n - 1 then [| i |] else [||]) in
      let copy = Netsys_mem.copy_value [ Copy_atom ] v in
      check_bool (string_of_int n) true (copy = v);
      check_bool "the process's own" true (List.nth copy (n - 1) == Array.sub [| 1 |] 0 0))
    [ 1; 2; 50; 51; 52; 60; 1000; 13_107; 13_108; 30_000 ]

let suites =
  ( "copy",
    [
      test "a value" works;
      random_values;
      random_acyclic;
      test "space" space;
      test "refused" refused;
      test "address ranges" ranges;
      test "five million elements" deep;
      test "collections" collections;
      test "copies in the heap" heap_copies;
      test "an empty block at the end" empty_block_at_the_end;
    ] )
