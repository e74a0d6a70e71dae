(* Another process writes over a value in shared memory while this one copies it into its heap, again and
   again. A copy used to look at a word of the source and then copy it, reading it once more: what the
   writer put there between the two, an address or a header, came into the heap unseen, and the
   collector followed it. What comes out of such a copy may be anything, or an exception; but the heap
   has to stay one. *)

open Test_support
module A = Bigarray.Array1

external set_word : Netsys_mem.memory -> int -> int64 -> unit = "%caml_bigstring_set64"
external get_word : Netsys_mem.memory -> int -> int64 = "%caml_bigstring_get64"

let start = 64
let flags = Netsys_mem.[ Copy_bigarray; Copy_custom_int; Copy_atom ]

(* What the writer puts in place of a word: integers, addresses that lead into the value, into other
   memory, nowhere; headers of blocks that are longer, of another kind, of no fields. *)
let wrong m words word =
  let address = Int64.of_nativeint (Netsys_mem.memory_address m) in
  let inside () = Int64.add address (Int64.of_int (start + (8 * Random.int words))) in
  let header wosize tag = Int64.of_int ((wosize lsl 10) lor 0x300 lor tag) in
  match Random.int 9 with
  | 0 -> Int64.of_int (Random.bits ())
  | 1 -> inside ()
  | 2 -> Int64.add (inside ()) 4L
  | 3 -> 0x0dea_dbee_f000L
  | 4 -> Int64.logand (Random.int64 Int64.max_int) (-8L)
  | 5 -> header (Random.int 8) (Random.int 256)
  | 6 -> header (Random.full_int (1 lsl 50)) (Random.int 256)
  | 7 -> Int64.add word (Int64.of_int (1024 * (1 + Random.int 3)))
  | _ -> Int64.logxor word (Int64.shift_left 1L (Random.int 64))

(* Writes until told to stop, or alone: wrong words that stand for a moment, some for longer. *)
let write m words =
  Random.init (Lazy.force seed + words);
  let right = Array.init words (fun i -> get_word m (start + (8 * i))) in
  let wrongs =
    Array.init 5000 (fun _ ->
        let i = Random.int words in
        (i, wrong m words right.(i), if Random.int 50 = 0 then 3000 else Random.int 10))
  in
  let reader = Unix.getppid () in
  while A.get m 0 = '\000' && Unix.getppid () = reader do
    Array.iter
      (fun (i, word, moments) ->
        set_word m (start + (8 * i)) word;
        for _ = 1 to moments do
          ignore (Sys.opaque_identity word)
        done;
        set_word m (start + (8 * i)) right.(i))
      wrongs
  done

(* Copies that stay for a while, so that the collector has something to look at. *)
let kept = Array.make 64 (Obj.repr 0)

let race times v () =
  let m = Netsys_mem.alloc_shared_memory (8 lsl 20) in
  let voffset, bytelen = Netsys_mem.init_value m start v flags in
  let writer = fork (fun () -> write m (bytelen / 8)) in
  let copied = ref 0 and refused = ref 0 in
  let attempt copy =
    (* Held no longer than that: the collector looks at the headers of what it finds. *)
    match copy (Netsys_mem.as_value m voffset) with
    | copy ->
        incr copied;
        if !copied mod 3 = 0 then kept.(!copied / 3 mod 64) <- copy
    | exception (Failure _ | Invalid_argument _ | Out_of_memory) -> incr refused
  in
  Fun.protect
    ~finally:(fun () ->
      A.set m 0 '\001';
      wait_ok writer)
    (fun () ->
      (* In the debug runtime, which verifies the heap each time, fewer. On a busy machine the writer
         may have had no turn in all of them: then more, if not for ever. *)
      let rounds = if verifying then 5 else 20 in
      let rec go_on round =
        if round <= rounds || ((!copied = 0 || !refused = 0) && round < 50 * rounds) then begin
          for _ = 1 to times do
            attempt Ancient.copy;
            attempt (Netsys_mem.copy_value flags)
          done;
          Gc.full_major ();
          go_on (round + 1)
        end
      in
      go_on 1);
  Array.fill kept 0 64 (Obj.repr 0);
  Gc.compact ();
  check_bool "some were copied" true (!copied > 0);
  check_bool "some were refused" true (!refused > 0)

(* The last byte of a string tells its length. Copied as it stood in the buffer, one above 7 made the
   length negative, and a program that checks its indices read from far outside of the string. *)
let tamper m voffset bytelen =
  let rec from at =
    if at < voffset - 8 + bytelen then begin
      let header = Int64.to_int (get_word m at) land max_int in
      let next = at + (8 * ((header lsr 10) + 1)) in
      if header land 255 = Obj.string_tag then A.set m (next - 1) '\255';
      from next
    end
  in
  from (voffset - 8)

let lengths strings part () =
  let m = Netsys_mem.alloc_shared_memory (8 lsl 20) in
  let voffset, bytelen = Netsys_mem.init_value m start strings flags in
  tamper m voffset bytelen;
  let check copy =
    List.iter2
      (fun s copied ->
        let n = String.length copied in
        check_bool
          (Printf.sprintf "%d of %d" n (String.length s))
          true
          (n >= 0 && n / 8 <= String.length s / 8);
        ignore (Sys.opaque_identity (String.map Fun.id copied)))
      (part strings) copy
  in
  check (Ancient.copy (part (Netsys_mem.as_value m voffset)));
  check (Netsys_mem.copy_value flags (part (Netsys_mem.as_value m voffset)))

let forced v =
  let l = lazy v in
  ignore (Lazy.force l);
  l

let text i = "text " ^ string_of_int i

let () =
  let big = Bigarray.(A.init Int32 C_layout 50 Int32.of_int) in
  let shared = text 7 in
  run "ancient copy, while another process writes"
    [
      ( "values",
        [
          test "tiny" (race 4000 (Obj.repr (1, Some 2)));
          test "small"
            (race 3000 (Obj.repr (List.init 20 (fun i -> (i, text i, float i)))));
          test "small, shared"
            (race 2000
               (Obj.repr
                  (List.init 10 (fun i ->
                       (i, shared, Int64.of_int i, [||], forced (text i))))));
          test "small bigarrays" (race 2000 (Obj.repr (List.init 9 (fun i -> (i, big)))));
          test "medium"
            (race 200 (Obj.repr (List.init 2000 (fun i -> (i, text i, shared, 4L)))));
          test "medium arrays"
            (race 100
               (Obj.repr
                  (List.init 3 (fun _ ->
                       Array.init 1000 (fun i -> if i > 500 then [ i ] else [])))));
          test "large"
            (race 10 (Obj.repr (List.init 20000 (fun i -> (i, text i, shared)))));
          test "large, with bigarrays"
            (race 100 (Obj.repr (Array.init 500 (fun i -> (big, text i)))));
        ] );
      ( "lengths of strings",
        [
          test "small" (lengths (List.init 10 text) Fun.id);
          test "small, shared" (lengths [ shared; shared; text 1 ] Fun.id);
          test "of no use where it lies" (lengths [ shared; shared; shared ] List.tl);
          test "medium" (lengths (List.init 2000 text) Fun.id);
          test "large" (lengths (List.init 50_000 text) Fun.id);
          test "large blocks"
            (lengths (List.init 3 (fun i -> String.make (300_000 + i) 'x')) Fun.id);
        ] );
    ]
