(* Ancient.copy of values that are more than one piece of the minor heap, and no more than a part of
   it: there they are built, but for blocks too large for it. *)

open Test_support

let bytes v = Marshal.to_string v []

(* The collector looks at the copy before it is compared: it must know every pointer from the major
   heap to the minor one. *)
let same what v =
  let before = bytes v in
  let p = Ancient.mark v in
  let kept = List.init 3 (fun _ -> Ancient.copy (Ancient.follow p)) in
  let check when_ =
    List.iter (fun copy -> check_string (what ^ when_) before (bytes copy)) kept
  in
  check "";
  Gc.minor ();
  check ", promoted";
  Ancient.delete p;
  Gc.compact ();
  check ", compacted";
  check_int (what ^ ": words")
    (Obj.reachable_words (Obj.repr v))
    (Obj.reachable_words (Obj.repr (List.hd kept)))

let text i = String.make (i mod 20) 'x' ^ string_of_int i

let pieces () =
  (* Pieces end where blocks do: every length of block comes to lie at an end. *)
  for n = 250 to 520 do
    same (Printf.sprintf "%d cells" n) (List.init n (fun i -> i));
    if n mod 9 = 0 then
      for fields = 2 to 12 do
        same
          (Printf.sprintf "%d blocks of %d" n fields)
          (Array.to_list (Array.init n (fun i -> Array.make fields (float i))))
      done
  done;
  for n = 253 to 258 do
    same
      (Printf.sprintf "blocks of %d" n)
      (List.init 9 (fun i -> (Array.make n i, Array.init n text, Array.make n 0.5)))
  done

type cell = Nothing | Cell of cell array * string

let large_blocks () =
  for n = 1 to 7 do
    let arrays = List.init n (fun i -> Array.init (260 + (100 * i)) text) in
    same (Printf.sprintf "%d arrays" n) arrays;
    same "and what is shared"
      (arrays, Array.concat arrays, List.map (fun a -> a.(7)) arrays);
    same "and bytes" (String.make 5000 'y', arrays, Array.make 500 0.25, List.init 99 text)
  done;
  let cell = Array.make 1000 Nothing in
  Array.iteri (fun i _ -> if i mod 3 > 0 then cell.(i) <- Cell (cell, text i)) cell;
  same "an array in itself" (text 1, cell);
  let h = Hashtbl.create 10 in
  for i = 0 to 2000 do
    Hashtbl.add h (text i) (Int64.of_int i, Some (float i))
  done;
  same "hash table" h

(* As large as the minor heap takes, and larger: either way, the same. *)
let limits () =
  List.iter
    (fun n ->
      same (Printf.sprintf "list of %d" n) (List.init n Fun.id);
      same (Printf.sprintf "string of %d" n) (String.make (n * 24) 'z', n))
    [ 21_000; 21_840; 21_841; 21_842; 21_843; 21_844; 21_845; 21_846; 30_000; 90_000 ]

let in_minor_heap () =
  let v = Array.to_list (Array.init 5000 text) in
  let words = Obj.reachable_words (Obj.repr v) in
  let v = Ancient.follow (Ancient.mark v) in
  Gc.minor ();
  let before = Gc.minor_words () in
  let copy = Ancient.copy v in
  let taken = int_of_float (Gc.minor_words () -. before) in
  check_bool "as many words as it has" true (taken >= words && taken < words + 100);
  check_bool "equal" true (copy = v)

(* Nothing of this size fits: the collector comes in between, each time. *)
let small_minor_heap () =
  let usual = Gc.get () in
  Fun.protect ~finally:(fun () -> Gc.set usual) @@ fun () ->
  Gc.set { usual with minor_heap_size = 1024 };
  for n = 1 to 40 do
    same "in a small minor heap" (List.init (100 * n) text)
  done

(* Gc.Memprof remembers pieces of the minor heap as if they were blocks. *)
let sampled () =
  let v =
    (List.init 3000 (fun i -> (text i, float i, Int64.of_int i)), Array.init 700 text)
  in
  (* Inside of a block, a zero is taken for the header of one that has moved. *)
  let zeroes = List.init 3000 (fun _ -> Array.make 7 0.) in
  let alive = Atomic.make 0 in
  let tracker =
    {
      Gc.Memprof.alloc_minor = (fun _ -> Atomic.incr alive; Some ());
      alloc_major = (fun _ -> Atomic.incr alive; Some ());
      promote = (fun () -> Some ());
      dealloc_minor = (fun () -> Atomic.decr alive);
      dealloc_major = (fun () -> Atomic.decr alive);
    } [@ocamlformat "disable"]
  in
  (* OCaml 5.1 and 5.2 have none. *)
  match Gc.Memprof.start ~sampling_rate:0.2 ~callstack_size:0 tracker with
  | exception Failure _ -> ()
  | _ ->
      Fun.protect ~finally:Gc.Memprof.stop @@ fun () ->
      for _ = 1 to 20 do
        same "sampled" v;
        same "sampled zeroes" zeroes
      done;
      check_bool "something was" true (Atomic.get alive > 0)

(* What the walk doesn't know is left to others, who do. *)
let left_to_others () =
  let k = Sys.opaque_identity 5 in
  let filler = List.init 1000 text in
  let rec even n = if n = 0 then k > 0 else odd (n - 1)
  and odd n = if n = 0 then k < 0 else even (n - 1) in
  let p = Ancient.mark (filler, odd, filler, even, ([||] : int array)) in
  let filler', odd', filler'', even', none = Ancient.copy (Ancient.follow p) in
  Ancient.delete p;
  Gc.compact ();
  check_bool "closures" true (odd' 7 && even' 8 && none == [||]);
  check_bool "shared" true (filler' == filler'' && filler' = filler);
  same "empty arrays" (List.init 2000 (fun i -> (i, [||])));
  same "integers" (List.init 2000 (fun i -> (Int32.of_int i, Nativeint.of_int i)));
  same "a bigarray"
    (filler, Bigarray.(Array1.init Float64 C_layout 400 float), List.init 999 Int64.of_int)

(* What looks like a block inside of another: in the heap it may not lie there. *)
let inside () =
  let header = (1 lsl 10) lor (3 lsl 8) lor 1 in
  (* At the end of the graph, where only this walk comes. *)
  let last = [ Some ([| Sys.opaque_identity 0; header asr 1; 7; 8 |], ref 0) ] in
  let p = Ancient.mark (List.init 1000 (fun _ -> None) @ last) in
  let parts l = Option.get (List.nth l 1000) in
  let outer, r = parts (Ancient.follow p) in
  Obj.set_field (Obj.repr r) 0 (Obj.add_offset (Obj.repr outer) 16l);
  let outer, r = parts (Ancient.copy (Ancient.follow p)) in
  Ancient.delete p;
  let address v = Nativeint.to_int (Netsys_mem.obj_address (Obj.repr v)) in
  let apart = address (Obj.field (Obj.repr r) 0) - address outer in
  check_bool "a block of its own" true (apart < 0 || apart > 32);
  Gc.compact ();
  let inner = Obj.field (Obj.repr r) 0 in
  check_int "tag" 1 (Obj.tag inner);
  check_int "size" 1 (Obj.size inner);
  check_int "field" 7 (Obj.obj (Obj.field inner 0));
  check_int "words" (2 + 2) (Obj.reachable_words (Obj.repr r));
  check_int "the rest" 7 outer.(2)

let () =
  run "ancient copy, medium"
    [
      ( "values",
        [
          test "pieces" pieces;
          test "blocks too large for the minor heap" large_blocks;
          test "about the limits" limits;
          test "what is left to others" left_to_others;
          test "a block in a block" inside;
        ] );
      ( "the collector",
        [
          test "is asked for no more than the value has" in_minor_heap;
          test "in between" small_minor_heap;
          test "samples" sampled;
        ] );
    ]
