(* Ancient.copy: what comes back into the heap is the same, and the collector's. *)

open Test_support

let bytes v = Marshal.to_string v [ Closures ]
let in_heap v = not (Ancient.is_ancient v)

let through_file f =
  with_temp_dir @@ fun dir ->
  let fd = Unix.openfile (Filename.concat dir "image") [ O_RDWR; O_CREAT ] 0o600 in
  let md = Ancient.attach fd 0n in
  Unix.close fd;
  f md

(* Of an ancient value, of the copy, of a heap value; kept while the memory it came from goes. *)
let same what v =
  let before = bytes v in
  let p = Ancient.mark v in
  let back = Ancient.copy (Ancient.follow p) in
  let again = Ancient.copy v in
  Ancient.delete p;
  Gc.compact ();
  check_string (what ^ ", back") before (bytes back);
  check_string (what ^ ", of the heap") before (bytes again);
  check_bool (what ^ ": in the heap") true (in_heap back && in_heap again)

let lists_of_every_size () =
  for n = 1 to 120 do
    same "strings" (List.init n string_of_int);
    same "array"
      (Array.init (3 * n) (fun i -> if i mod 5 = 0 then `I i else `S (string_of_int i)));
    same "floats" (Array.init (3 * n) float, float n)
  done;
  same "large" (Array.init 100_000 string_of_int);
  same "large list" (List.init 100_000 (fun n -> (n, Int64.of_int n, [| float n |])))

let every_tag () =
  let k = Sys.opaque_identity 3 in
  for tag = 0 to 243 do
    let block = Obj.new_block tag 2 in
    Obj.set_field block 0 (Obj.repr (string_of_int tag));
    Obj.set_field block 1 (Obj.repr tag);
    same (string_of_int tag) block
  done;
  let forced = lazy (string_of_int k) in
  ignore (Lazy.force forced);
  same "lazy" [ forced ];
  same "empty" ([||], String.make 0 ' ', [||], Array.sub [| 1 |] 0 0);
  same "integers" (Int32.of_int k, Int64.of_int k, Nativeint.of_int k, [ Int64.of_int k ]);
  same "many integers" (List.init 1000 (fun i -> (Int32.of_int i, Int64.of_int i, [||])));
  let empties : int array * int array =
    Ancient.copy (Ancient.follow (Ancient.mark ([||], [||])))
  in
  check_bool "this process's empty array" true (fst empties == [||] && snd empties == [||]);
  (* A file has empty blocks of its own. *)
  let atom = Array.sub [| 1 |] 0 0 in
  through_file @@ fun md ->
  let a, b = Ancient.copy (Ancient.follow (Ancient.share md 0 (atom, 1))) in
  check_bool "of a file as well" true (a == atom && b = 1)

let immediates () =
  check_bool "integers" true (Ancient.copy 5 = 5 && Ancient.copy [] = []);
  let literal = "static" in
  if Sys.backend_type = Native then
    check_bool "static" true (Ancient.copy literal == literal);
  (* Static data are kept wherever they are met, other ancient values copied. *)
  let other = Ancient.mark (string_of_int 7) in
  let p = Ancient.mark (Sys.opaque_identity 1, literal, Ancient.follow other) in
  let _, kept, copied = Ancient.copy (Ancient.follow p) in
  Ancient.delete p;
  Ancient.delete other;
  check_bool "in the heap" true (in_heap copied && copied = "7");
  if Sys.backend_type = Native then check_bool "kept" true (kept == literal)

let sharing_and_cycles () =
  let check n =
    let s = String.make n 's' in
    let a, b, l =
      Ancient.copy (Ancient.follow (Ancient.mark (s, s, [ s; String.make n 's' ])))
    in
    check_bool "shared" true (a == b && List.hd l == a && List.nth l 1 != a && a = s);
    let rec ring = Sys.opaque_identity 1 :: s' :: ring and s' = 2 in
    let ring = Ancient.copy (Ancient.follow (Ancient.mark ring)) in
    check_bool "ring" true (List.tl (List.tl ring) == ring && in_heap ring)
  in
  check 5;
  check 5000

let code () =
  let k = Sys.opaque_identity 10 and filler = List.init 1000 string_of_int in
  let rec even n = if n = 0 then k > 0 else odd (n - 1)
  and odd n = if n = 0 then k < 0 else even (n - 1) in
  let check what v =
    let p = Ancient.mark v in
    let odd, even, plus, o, _ = Ancient.copy (Ancient.follow p) in
    Ancient.delete p;
    Gc.compact ();
    check_bool what true (odd 7 && even 8 && plus 1 = 11 && o#m 5 = 15)
  in
  let plus n = n + k in
  let o =
    object
      val y = k
      method m x = x + y
    end
  in
  check "small" (odd, even, plus, o, []);
  check "large" (odd, even, plus, o, filler);
  let odd = Ancient.copy (Ancient.follow (Ancient.mark odd)) in
  Gc.compact ();
  check_bool "inner function at the root" true (odd 9 && not (odd 8))

(* Each array frees its own data, once: `free` would end the process. *)
let bigarrays () =
  let open Bigarray in
  let make n = Array1.init Float64 C_layout n float in
  let p = Ancient.mark (List.init 50 (fun n -> (make n, n)), make 100_000) in
  let q = Ancient.mark (make 3) in
  for _ = 1 to 20 do
    let small, large = Ancient.copy (Ancient.follow p) in
    let one = Ancient.copy (Ancient.follow q) in
    Array1.set large 0 1.;
    Array1.set one 0 2.;
    List.iter (fun (a, n) -> if n > 0 then Array1.set a (n - 1) 7.) small;
    let sub = Array1.sub large 10 20 in
    if Random.bool () then Gc.full_major ();
    check_bool "sub" true (Array1.get sub 0 = 10.)
  done;
  Gc.full_major ();
  let small, large = Ancient.follow p in
  check_bool "the ancient ones are as they were" true
    (Array1.get large 0 = 0.
    && Array1.get (Ancient.follow q) 0 = 0.
    && List.for_all (fun (a, n) -> compare a (make n) = 0) small);
  let copy, _ = Ancient.copy (Ancient.follow p) in
  Ancient.delete p;
  Ancient.delete q;
  check_bool "outlive the ancient ones" true
    (List.for_all (fun (a, n) -> compare a (make n) = 0) copy)

(* Parts of larger values: they may point backwards, and end in the middle. *)
let parts () =
  let module M = Map.Make (Int) in
  let m =
    List.fold_left
      (fun m i -> M.add i (string_of_int i) m)
      M.empty (List.init 3000 Fun.id)
  in
  let rec ring = (Sys.opaque_identity 1, String.make 3 'x') :: ring in
  let v = Ancient.follow (Ancient.mark (m, Array.init 500 string_of_int, ring)) in
  let check what part = check_string what (bytes part) (bytes (Ancient.copy part)) in
  let m, a, r = v in
  check "map" m;
  check "array" a;
  check "string" a.(77);
  check "ring" r;
  check "pair" (List.hd r);
  let rec each depth o =
    if Obj.is_block o then begin
      check "inner node" o;
      if depth > 0 && Obj.tag o = 0 then
        for i = 0 to Obj.size o - 1 do
          each (depth - 1) (Obj.field o i)
        done
    end
  in
  each 5 (Obj.repr m)

let layers () =
  let lower = Ancient.mark (List.init 100 string_of_int) in
  let upper = Ancient.mark (Ancient.follow lower, "upper") in
  let mixed = (Ancient.follow upper, List.init 3 string_of_int) in
  let copy = Ancient.copy mixed in
  let copied, _ = Ancient.copy (Ancient.follow upper) in
  check_bool "all of it" true (in_heap (fst (fst copy)) && in_heap copied);
  Ancient.delete upper;
  Ancient.delete lower;
  Gc.compact ();
  check_bool "stays" true
    (fst (fst copy) = List.init 100 string_of_int && copied = fst (fst copy))

let refused () =
  let k = Sys.opaque_identity 1 in
  let refuse what text v =
    match Ancient.copy v with
    | _ -> Alcotest.failf "%s: not refused" what
    | exception Invalid_argument got -> check_string what ("Ancient.copy: " ^ text) got
  in
  refuse "lazy" "lazy value not forced yet at field 1" (1, lazy (k + 1));
  refuse "mutex" "custom block \"_mutex\" at field 0" [| Mutex.create () |];
  let p = Ancient.mark (Array.init 3000 string_of_int) in
  let v = Ancient.follow p in
  Ancient.delete p;
  refuse "deleted" "deleted value at the root" v;
  refuse "deleted" "deleted value at field 0" (Some v);
  let p = Ancient.mark (Array.init 3 string_of_int) in
  let v = Ancient.follow p in
  Ancient.delete p;
  refuse "deleted" "deleted value at the root" v

(* Something refused at the end of a million blocks already allocated. *)
let refused_late () =
  let p = Ancient.mark (string_of_int 1) in
  let holder = Ancient.mark (Array.init 100_000 string_of_int, [ Ancient.follow p ]) in
  Ancient.delete p;
  for _ = 1 to 5 do
    (match Ancient.copy (Ancient.follow holder) with
    | _ -> Alcotest.fail "not refused"
    | exception Invalid_argument _ -> ());
    Gc.compact ()
  done

let from_a_file () =
  through_file @@ fun md ->
  let v =
    ( Array.init 1000 (fun i -> (string_of_int i, Int64.of_int i, Int32.of_int i)),
      Bigarray.(Array1.init Int C_layout 1000 Fun.id),
      [||] )
  in
  let small = Ancient.follow (Ancient.share md 1 (1L, "one", [| 2. |])) in
  let copy = Ancient.copy (Ancient.follow (Ancient.share md 0 v)) in
  let one, text, floats = Ancient.copy small in
  let a, _, _ = copy in
  check_bool "in the heap" true (in_heap copy && in_heap a.(3) && in_heap one);
  Ancient.detach md;
  Gc.compact ();
  check_bool "equal" true (compare copy v = 0 && bytes copy = bytes v);
  check_bool "small" true (one = 1L && text = "one" && floats = [| 2. |]);
  check_bool "assigned" true (a.(0) <- ("x", 0L, 0l); Gc.minor (); a.(0) = ("x", 0L, 0l))
  [@ocamlformat "disable"]

let from_a_buffer () =
  let m = Netsys_mem.alloc_memory_pages 100_000 in
  let v = List.init 500 (fun i -> (i, string_of_int i, Int64.of_int i)) in
  let voffset, _ = Netsys_mem.init_value m 0 v [ Copy_custom_int ] in
  let copy = Ancient.copy (Netsys_mem.as_value m voffset) in
  Bigarray.Array1.fill m '\255';
  Gc.compact ();
  check_bool "equal" true (copy = v)

let long_list () =
  let n = 3_000_000 in
  let p = Ancient.mark (List.init n Fun.id) in
  let back = Ancient.copy (Ancient.follow p) in
  Ancient.delete p;
  Gc.full_major ();
  check_int "sum" (n * (n - 1) / 2) (List.fold_left ( + ) 0 back)

let domains () =
  let small =
    Ancient.follow (Ancient.mark (List.init 10 (fun i -> (i, string_of_int i))))
  in
  let large = Ancient.follow (Ancient.mark (Array.init 3000 string_of_int)) in
  let work seed () =
    let kept = Array.make 64 [] in
    for i = 1 to 3000 do
      kept.(i mod 64) <- Ancient.copy small;
      if i mod 50 = 0 then begin
        let copy = Ancient.copy large in
        copy.(0) <- string_of_int i;
        if copy.(2999) <> "2999" || large.(0) <> "0" then failwith "wrong"
      end;
      if i mod 1000 = seed then collect ()
    done;
    Array.for_all (fun l -> l = small) kept
  in
  let others = List.init 3 (fun n -> Domain.spawn (work n)) in
  check_bool "here" true (work 3 ());
  List.iter (fun d -> check_bool "there" true (Domain.join d)) others

let random =
  let open QCheck in
  property ~count:300 "random graphs"
    (pair (int_bound 1_000_000) (int_range 0 2000))
    (fun (seed, size) ->
      let size = if seed mod 2 = 0 then size mod 40 else size in
      let v = Random_graph.graph ~cyclic:(seed mod 3 <> 0) seed size in
      let before = Marshal.to_string v [] in
      let p = Ancient.mark v in
      let back = Ancient.copy (Ancient.follow p) and twice = Ancient.copy v in
      Ancient.delete p;
      if seed mod 10 = 0 then Gc.compact () else Gc.minor ();
      Marshal.to_string back [] = before
      && Marshal.to_string twice [] = before
      && Obj.reachable_words back = Obj.reachable_words v)

let () =
  run "ancient copy"
    [
      ( "values",
        [
          test "of every size" lists_of_every_size;
          test "every tag" every_tag;
          test "immediates" immediates;
          test "sharing and cycles" sharing_and_cycles;
          test "closures and objects" code;
          test "bigarrays" bigarrays;
          test "a list of three million" long_list;
          random;
        ] );
      ( "from",
        [
          test "parts of values" parts;
          test "values over values" layers;
          test "a file" from_a_file;
          test "a buffer" from_a_buffer;
          test "several domains" domains;
        ] );
      ("refusals", [ test "by name" refused; test "late" refused_late ]);
    ]
