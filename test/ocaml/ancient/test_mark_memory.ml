(* What delete gives back, what is used again, and what stale pointers do. *)

open Test_support

let megabyte = 1 lsl 20
let big n = Array.init n string_of_int

let falls () =
  let before = resident_bytes () in
  let p, { Ancient.i_size } = Ancient.mark_info (big 1_000_000) in
  Gc.compact ();
  let held = resident_bytes () in
  check_bool "it is large" true (i_size > 20 * megabyte && held - before > i_size * 3 / 4);
  Ancient.delete p;
  let after = resident_bytes () in
  check_bool
    (Printf.sprintf "it falls: %d, %d, %d" before held after)
    true
    (held - after > i_size * 9 / 10)

let again_and_again () =
  let v = big 100_000 in
  Ancient.delete (Ancient.mark v);
  let maps = mappings () in
  (* 100 times some 3 MB: the addresses are never used again. *)
  leaves_no_memory ~most:(8 * megabyte) (fun () ->
      for _ = 1 to 100 do
        Ancient.delete (Ancient.mark v)
      done);
  check_bool "few mappings" true (mappings () - maps < 500)

let in_order () =
  let small n = [ n; n + 1; n + 2 ] in
  let cycle () =
    for n = 1 to 1_000_000 do
      let p = Ancient.mark (small n) in
      if List.hd (Ancient.follow p) <> n then failwith "wrong";
      Ancient.delete p
    done
  in
  cycle ();
  Gc.full_major ();
  let maps = mappings () in
  leaves_no_memory ~most:(4 * megabyte) (fun () ->
      cycle ();
      Gc.full_major ());
  check_bool "as many mappings" true (mappings () - maps < 20)

let at_random () =
  let random = Random.State.make [| 7 |] in
  let live = Array.init 100_000 (fun n -> Some (Ancient.mark [ n ], n)) in
  let step () =
    let at = Random.State.int random (Array.length live) in
    (match live.(at) with
    | Some (p, n) ->
        if List.hd (Ancient.follow p) <> n then failwith "wrong";
        Ancient.delete p
    | None -> ());
    let n = Random.State.int random 1_000_000 in
    let v = List.init (1 + Random.State.int random 10) (fun i -> n + i) in
    live.(at) <- Some (Ancient.mark v, n)
  in
  for _ = 1 to 500_000 do
    step ()
  done;
  Gc.compact ();
  let maps = mappings () in
  (* What the debug runtime needs to verify the heap counts as well. *)
  let most = if verifying then 64 * megabyte else 6 * megabyte in
  leaves_no_memory ~most (fun () ->
      for _ = 1 to 500_000 do
        step ()
      done;
      Gc.compact ());
  check_bool "as many mappings" true (mappings () - maps < 20);
  let backwards = Array.copy live in
  Array.sort (fun _ _ -> Random.State.int random 3 - 1) backwards;
  Array.iter (function Some (p, _) -> Ancient.delete p | None -> ()) backwards
  [@ocamlformat "disable"]

(* Pointers into deleted values, wherever the collector may meet one. *)
let stale make =
  let p = Ancient.mark (make ()) in
  let v = Obj.repr (Ancient.follow p) in
  let inner = Obj.field v 0 in
  let old_block = Array.make 10 v in
  Gc.full_major ();
  let young = [| v; inner |] in
  let weak = Weak.create 4 in
  Weak.set weak 0 (Some v);
  Weak.set weak 1 (Some inner);
  let ephemerons = Ephemeron.K1.make v (Obj.repr (ref inner)) in
  let data = Ephemeron.K1.make (Obj.repr (ref 1)) v in
  let table = Hashtbl.create 4 in
  Hashtbl.replace table 1 v;
  Hashtbl.replace table 2 inner;
  let closure () = ignore (Sys.opaque_identity (v, inner)) in
  let forced = lazy (Sys.opaque_identity v) in
  ignore (Lazy.force forced);
  Gc.minor ();
  let stack_holds depth =
    let rec deep n v =
      if n = 0 then Gc.full_major () else deep (n - 1) (Sys.opaque_identity v);
      ignore (Sys.opaque_identity v)
    in
    deep depth v
  in
  Ancient.delete p;
  for _ = 1 to 3 do
    Gc.minor ();
    Gc.full_major ();
    Gc.compact ();
    stack_holds 50;
    old_block.(3) <- Obj.repr (ref inner);
    old_block.(4) <- young.(0);
    young.(1) <- Obj.repr [ 1 ];
    Hashtbl.replace table 3 (Hashtbl.find table 1);
    Weak.set weak 2 (Weak.get weak 0);
    ignore (Weak.check weak 1);
    ignore (Ephemeron.K1.query ephemerons v);
    closure ()
  done;
  ignore (Sys.opaque_identity (old_block, young, weak, ephemerons, data, table, forced));
  check_bool "not ancient any more" false (Ancient.is_ancient v)

let stale_large () =
  stale (fun () -> Array.init 3000 string_of_int);
  stale (fun () -> Array.init 300_000 string_of_int)

let stale_small () = stale (fun () -> Array.init 3 string_of_int)

let deleted_is_refused () =
  let p = Ancient.mark (Array.init 3000 string_of_int) in
  let v = Ancient.follow p in
  Ancient.delete p;
  match Ancient.mark (Some v) with
  | _ -> Alcotest.fail "not refused"
  | exception Invalid_argument text ->
      check_string "named" "Ancient.mark: deleted value at field 0" text

let limited kilobytes role =
  let command =
    Printf.sprintf "ulimit -v %d && exec %s" kilobytes
      (Filename.quote Sys.executable_name)
  in
  Unix.putenv "HH_SHARED_TEST_ROLE" role;
  wait_ok
    (Unix.create_process "/bin/sh" [| "sh"; "-c"; command |] Unix.stdin Unix.stdout
       Unix.stderr)

let limit_of_address_space () = limited 3_000_000 "limited"

(* The debug runtime fails checks of its own where it verifies the heap without memory for it. *)
let no_memory_at_all () = if not verifying then limited 20_000_000 "exhausted"

(* All memory there is, down to pieces of 4 KB. *)
let hoard () =
  let rec take kept bytes =
    if bytes < 4096 then kept
    else
      match Bigarray.(Array1.create char c_layout bytes) with
      | piece -> take (piece :: kept) bytes
      | exception Out_of_memory -> take kept (bytes / 2)
  in
  take [] (1 lsl 30)

(* What the library needs for itself ended the process when there was none: Rust's allocator
   aborts. *)
let () =
  role "exhausted" (fun _ ->
      let values =
        [
          Obj.repr (List.init 3 string_of_int);
          Obj.repr (Array.init 600 Fun.id);
          Obj.repr (Array.init 2000 Fun.id);
          Obj.repr (Array.init 400_000 Fun.id);
        ]
      in
      let strings = big 10_000 in
      (* Lanes, slabs and tables that are there already are used up first. *)
      let marked = List.map (fun v -> Ancient.mark v) values in
      Gc.full_major ();
      let kept = ref (hoard ()) in
      let refused = ref 0 in
      let attempt f =
        match f () with
        | () -> ()
        | exception (Unix.Unix_error (ENOMEM, _, _) | Out_of_memory) -> incr refused
      in
      let small = List.hd values and medium = List.nth values 1 in
      for _ = 1 to 100_000 do
        attempt (fun () -> ignore (Ancient.mark small))
      done;
      check_bool "slabs end" true (!refused > 0);
      for _ = 1 to 3000 do
        attempt (fun () -> ignore (Ancient.mark medium))
      done;
      for _ = 1 to 3 do
        attempt (fun () -> ignore (Ancient.mark strings));
        List.iter (fun v -> attempt (fun () -> ignore (Ancient.mark v))) values;
        List.iter
          (fun v -> attempt (fun () -> ignore (Ancient.mark ~protect:true v)))
          values
      done;
      List.iter Ancient.delete marked;
      if !refused < 10 then failwith "there was memory";
      (* The runtime needs some to exit. *)
      kept := Sys.opaque_identity [];
      Gc.full_major ())

let () =
  role "limited" (fun _ ->
      (* Small values still fit; a large one is either marked or refused, with no harm. *)
      let p = Ancient.mark [ Sys.opaque_identity 1 ] in
      (match Ancient.mark (big 1_000_000) with
      | q -> if (Ancient.follow q).(77) <> "77" then failwith "wrong"
      | exception (Unix.Unix_error _ | Out_of_memory) -> ());
      if Ancient.follow p <> [ 1 ] then failwith "wrong")

let () =
  run "ancient mark, memory"
    [
      ( "memory",
        [
          test "falls after delete" falls;
          test "large, again and again" again_and_again;
          test "two million small ones in order" in_order;
          test "a million small ones at random" at_random;
          test "under a limit of address space" limit_of_address_space;
          test "without any memory" no_memory_at_all;
        ] );
      ( "stale pointers",
        [
          test "into large values" stale_large;
          test "into small values" stale_small;
          test "are refused by name" deleted_is_refused;
        ] );
    ]
