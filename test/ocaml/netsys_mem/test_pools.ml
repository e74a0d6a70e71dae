(* Pools: blocks are apart, come back once, and spare system calls. *)

open Test_support
module A = Bigarray.Array1

let page = Netsys_mem.pagesize

(* The numbers of [pool_report]: block size, mappings, blocks, free. *)
let report pool =
  Scanf.sscanf (Netsys_mem.pool_report pool)
    "block size: %d bytes\nmappings: %d\nblocks: %d\nfree blocks: %d" (fun a b c d ->
      [ a; b; c; d ])

let check_report what expected pool =
  Alcotest.(check (list int)) what expected (report pool)

let settle () =
  Gc.full_major ();
  Gc.full_major ()

let sizes () =
  check_int "default" (16 * page) Netsys_mem.default_block_size;
  check_int "small" page Netsys_mem.small_block_size;
  check_int "default pool" (16 * page)
    (Netsys_mem.pool_block_size Netsys_mem.default_pool);
  check_int "small pool" page (Netsys_mem.pool_block_size Netsys_mem.small_pool);
  List.iter
    (fun size -> raises_invalid "size" (fun () -> Netsys_mem.create_pool size))
    [ min_int; -page; -1; 0; 1; page + 1; max_int ];
  let huge = Netsys_mem.create_pool (1 lsl 60) in
  raises_unix "no room" ENOMEM (fun () -> Netsys_mem.pool_alloc_memory huge);
  check_report "empty still" [ 1 lsl 60; 0; 0; 0 ] huge

let blocks () =
  let pool = Netsys_mem.create_pool (2 * page) in
  check_report "empty" [ 2 * page; 0; 0; 0 ] pool;
  let all = List.init 100 (fun i -> (i, Netsys_mem.pool_alloc_memory pool)) in
  List.iter
    (fun (i, m) ->
      check_int "length" (2 * page) (A.dim m);
      check_bool "aligned" true
        (Nativeint.rem (Netsys_mem.memory_address m) (Nativeint.of_int page) = 0n);
      A.fill m (Char.chr i))
    all;
  List.iter
    (fun (i, m) ->
      check_string "its own"
        (String.make (2 * page) (Char.chr i))
        (Netsys_mem.string_of_memory m))
    all;
  check_report "five mappings" [ 2 * page; 5; 124; 24 ] pool;
  let forget () = ignore (Sys.opaque_identity all) in
  forget ()

let collected () =
  let pool = Netsys_mem.create_pool page in
  let use () =
    let all = List.init 50 (fun _ -> Netsys_mem.pool_alloc_memory pool) in
    check_int "in use" 50 (List.nth (report pool) 2 - List.nth (report pool) 3);
    Sys.opaque_identity (A.sub (List.nth all 7) 10 20)
  in
  let hold () =
    let part = use () in
    A.fill part 'p';
    settle ();
    check_int "a part keeps its block" 1
      (List.nth (report pool) 2 - List.nth (report pool) 3);
    let other = Netsys_mem.pool_alloc_memory pool in
    A.fill other 'o';
    check_string "for itself" (String.make 20 'p') (Netsys_mem.string_of_memory part)
  in
  hold ();
  settle ();
  let numbers = report pool in
  check_int "all are back" (List.nth numbers 2) (List.nth numbers 3);
  check_bool "one mapping" true (List.nth numbers 1 <= 1);
  Netsys_mem.pool_reclaim pool;
  check_report "none" [ page; 0; 0; 0 ] pool

let freed () =
  let pool = Netsys_mem.create_pool page in
  let use () =
    let m, free = Netsys_mem.pool_alloc_memory2 pool in
    let address = Netsys_mem.memory_address m in
    free ();
    free ();
    check_report "back" [ page; 1; 4; 4 ] pool;
    let again, free_again = Netsys_mem.pool_alloc_memory2 pool in
    check_bool "taken again" true (Netsys_mem.memory_address again = address);
    free ();
    check_report "another's" [ page; 1; 4; 3 ] pool;
    free_again ();
    Netsys_mem.pool_reclaim pool;
    check_report "reclaimed" [ page; 0; 0; 0 ] pool;
    A.fill m 'm';
    A.fill again 'a';
    check_bool "still mapped" true (A.get m 0 = 'a');
    (free, free_again)
  in
  let free, free_again = use () in
  settle ();
  free ();
  free_again ();
  check_report "late" [ page; 0; 0; 0 ] pool;
  (* A kept [free] keeps no block. *)
  let only_free () = snd (Sys.opaque_identity (Netsys_mem.pool_alloc_memory2 pool)) in
  let free = (Sys.opaque_identity only_free) () in
  settle ();
  check_report "unreachable" [ page; 1; 4; 4 ] pool;
  free ();
  check_report "once" [ page; 1; 4; 4 ] pool

(* 20,000 blocks, one after the other: hardly any system call, and little memory. In a process of
   its own, as the collector counts what other tests forced. *)
let () =
  role "pools" (fun _ ->
      let pool = Netsys_mem.create_pool (16 * page) in
      let most = ref 0 in
      for i = 1 to 20_000 do
        A.set (Netsys_mem.pool_alloc_memory pool) (i land 0xffff) 'x';
        (* Seldom: reading the report allocates, so it makes the collector run. *)
        if i mod 1000 = 0 then most := max !most (List.nth (report pool) 1)
      done;
      check_bool (Printf.sprintf "few mappings (%d)" !most) true (!most < 100);
      for _ = 1 to 20_000 do
        let m, free = Netsys_mem.pool_alloc_memory2 pool in
        A.set m 0 'x';
        free ()
      done;
      (* Domains that hand blocks to each other. *)
      let slots = Array.init 8 (fun _ -> Atomic.make None) in
      let work seed () =
        let random = Random.State.make [| seed |] in
        for i = 1 to 3000 do
          let m, free = Netsys_mem.pool_alloc_memory2 pool in
          let mark = Char.chr (i land 255) in
          A.set m 100 mark;
          let slot = slots.(Random.State.int random 8) in
          match Atomic.exchange slot (Some (m, mark, free)) with
          | Some (m, mark, free) ->
              if A.get m 100 <> mark then failwith "another's block";
              if Random.State.bool random then free ()
          | None -> ()
        done
      in
      let others = List.init 2 (fun i -> Domain.spawn (work i)) in
      work 7 ();
      List.iter Domain.join others;
      Array.iter (fun slot -> Atomic.set slot None) slots;
      settle ();
      let numbers = report pool in
      check_int "all are back" (List.nth numbers 2) (List.nth numbers 3))

let suites =
  ( "pools",
    [
      test "sizes" sizes;
      test "blocks" blocks;
      test "collected blocks come back" collected;
      test "freed blocks come back once" freed;
      test "many blocks, several domains" (fun () -> wait_ok (spawn "pools" []));
    ] )
