(* Collections from OCaml: by the typed interface, by the primitives, and beside workers. *)

open Test_support
open Tables

let digest n = Digest.string (string_of_int n)
let phase () = Prim.gc_phase ()
let invalid_header = function SharedMem.Invalid_header _ -> true | _ -> false
let invalid_address = function SharedMem.Invalid_address _ -> true | _ -> false

(* The rest of a collection, without the compaction that [SharedMem] may add. *)
let finish () =
  ignore (Prim.mark_slice max_int);
  ignore (Prim.sweep_slice max_int)

let compact_frees _ =
  for n = 0 to 99 do
    Lists.add (key n) (list_of n)
  done;
  SharedMem.compact ();
  let all = SharedMem.heap_size () in
  for n = 0 to 99 do
    if n mod 2 = 1 then Lists.remove (key n)
  done;
  check_int "removing frees nothing" all (SharedMem.heap_size ());
  SharedMem.compact ();
  check_bool "half is gone" true (SharedMem.heap_size () < all * 2 / 3);
  check_int "all of it" 0 (Prim.free_size ());
  for n = 0 to 99 do
    let expected = if n mod 2 = 1 then None else Some (list_of n) in
    check_bool "values" true (Lists.get (key n) = expected)
  done;
  Lists.remove_batch (Lists.KeySet.of_list (List.init 100 key));
  SharedMem.compact ();
  check_int "nothing" 0 (SharedMem.heap_size ());
  check_int "transaction" 2 (Prim.next_version ())

let slices _ =
  let calls = ref [] in
  (SharedMem.on_compact :=
     fun () ->
       calls := "before" :: !calls;
       fun () -> calls := "after" :: !calls);
  check_bool "an empty heap" true (SharedMem.collect_slice 100);
  check_bool "no call" true (!calls = []);
  for n = 0 to 499 do
    Lists.add (key n) (list_of n);
    Lists.remove (key n)
  done;
  Ints.add "kept" 5;
  let n = ref 1 in
  while not (SharedMem.collect_slice 1000) do
    check_bool "not idle" true (phase () <> 0);
    incr n
  done;
  check_bool "several" true (!n > 5);
  check_bool "compacted" true (!calls = [ "after"; "before" ]);
  check_bool "little is left" true (SharedMem.heap_size () < 200);
  check_bool "kept" true (Ints.get "kept" = Some 5);
  check_bool "no work" true (SharedMem.collect_slice 0);
  (* Nothing to collect, unless it is forced. *)
  check_bool "idle" true (SharedMem.collect_slice 1 && phase () = 0);
  check_bool "forced" false (SharedMem.collect_slice ~force:true 1);
  check_int "marking" 1 (phase ());
  SharedMem.collect_full ();
  check_int "idle" 0 (phase ());
  check_bool "kept" true (Ints.get "kept" = Some 5)

let raising_compaction _ =
  let resumed = ref false in
  (SharedMem.on_compact := fun () () -> resumed := true);
  let holder = Prim.record [ 0 ] in
  ignore (Prim.add (digest 1) holder);
  SharedMem.collect_full ();
  Prim.store_release (holder + 8) 24L;
  raises "compact" invalid_address SharedMem.compact;
  resumed := false;
  (* The collection that saw it frees nothing, and ends. *)
  SharedMem.collect_full ();
  Prim.store_release (holder + 8) 0L;
  SharedMem.compact ();
  check_bool "resumed" true !resumed;
  check_int "the holder" 16 (SharedMem.heap_size ())

let entities _ =
  let text = Prim.string_object in
  let read addr = Prim.read_string (addr + 8) 1 in
  let data entity slot = read (Prim.field entity slot) in
  let entity = Prim.entity (text "a") in
  ignore (Prim.add (digest 1) entity);
  check_int "version" 0 (Prim.entity_read_version entity);
  SharedMem.commit_transaction ();
  Prim.entity_advance entity (text "b");
  check_int "advanced" 3 (Prim.entity_read_version entity);
  check_string "latest" "b" (data entity 1);
  check_string "committed" "a" (data entity 0);
  Prim.entity_advance entity (text "c");
  check_int "in the same transaction" 3 (Prim.entity_read_version entity);
  SharedMem.compact ();
  let entity = Prim.get (digest 1) in
  check_int "written by the running one" 2 (Prim.entity_read_version entity);
  check_string "latest" "c" (data entity 0);
  check_string "committed" "a" (data entity 1);
  SharedMem.commit_transaction ();
  SharedMem.compact ();
  let entity = Prim.get (digest 1) in
  check_int "committed" 0 (Prim.entity_read_version entity);
  check_string "latest" "c" (data entity 0);
  check_int "no other" 0 (Prim.field entity 1);
  check_int "size" (32 + 16) (SharedMem.heap_size ());
  Prim.entity_advance entity 0;
  raises "not an entity" invalid_header (fun () ->
      Prim.entity_advance (text "x") (text "y"));
  raises "no object" invalid_address (fun () -> Prim.entity_advance entity 8);
  raises "no entity" invalid_address (fun () -> Prim.entity_advance 8 0);
  check_int "not an entity" (-1) (Prim.entity_read_version (text "x"))

let modify _ =
  let a, b = (Prim.record [ 1 ], Prim.record [ 3 ]) in
  let holder = Prim.record [ a ] in
  ignore (Prim.add (digest 1) holder);
  let at = holder + 8 in
  let set old value = Prim.compare_modify_addr ~weak:false at old (Int64.of_int value) in
  check_bool "another is there" false (set b a);
  Prim.start_cycle ();
  (* While somebody marks: the old one is kept. *)
  let b = Prim.record [ 3 ] in
  check_bool "set" true (set a b);
  check_int "there" b (Prim.field holder 0);
  finish ();
  check_int "the old one" 1 (Prim.field a 0);
  ignore (Prim.add (digest 2) a);
  SharedMem.compact ();
  let holder = Prim.get (digest 1) in
  check_int "moved" 3 (Prim.field (Prim.field holder 0) 0);
  raises "no address" invalid_address (fun () ->
      Prim.compare_modify_addr ~weak:true 9 0 0L)

let refusals handle =
  SharedMem.commit_transaction ();
  refused "mark" (fun () -> Prim.mark_slice 1);
  refused "sweep" (fun () -> Prim.sweep_slice 1);
  Prim.start_cycle ();
  refused "start" Prim.start_cycle;
  refused "compact" Prim.hh_compact;
  refused "sweep" (fun () -> Prim.sweep_slice 1);
  check_bool "left" true (Prim.mark_slice max_int > 0);
  check_int "sweeping" 2 (phase ());
  check_bool "left" true (Prim.sweep_slice max_int > 0);
  wait_ok
    (worker handle 1 (fun () ->
         List.iter
           (fun f -> refused "a worker" f)
           [
             SharedMem.compact;
             SharedMem.collect_full;
             Prim.hh_compact;
             Prim.start_cycle;
             (fun () -> SharedMem.worker_died ~worker_id:2);
           ]));
  refused "id 0" (fun () -> SharedMem.worker_died ~worker_id:0);
  refused "id 3" (fun () -> SharedMem.worker_died ~worker_id:3);
  refused "negative" (fun () -> SharedMem.worker_died ~worker_id:(-1));
  SharedMem.worker_died ~worker_id:2

let worker_died handle =
  let out, into = Unix.pipe () in
  let pid =
    worker handle 1 (fun () ->
        ignore (Prim.alloc 100);
        ignore (Unix.write_substring into "x" 0 1);
        Unix.sleep 1000)
  in
  ignore (Unix.read out (Bytes.create 1) 0 1);
  refused "it runs" (fun () -> SharedMem.worker_died ~worker_id:1);
  ignore (Prim.record [ 1 ]);
  Prim.start_cycle ();
  finish ();
  check_int "a living one's space" 16 (Prim.free_size ());
  Unix.kill pid Sys.sigkill;
  ignore (wait pid);
  SharedMem.worker_died ~worker_id:1;
  check_int "a dead one's" (16 + 800) (Prim.free_size ());
  SharedMem.compact ();
  check_int "all" 0 (SharedMem.heap_size ())

(* Workers add and change while the master collects and removes; what is there is whole. *)
let beside_workers handle =
  let busy id =
    worker handle id (fun () ->
        let rec work n =
          let name = key (n mod 97) in
          Lists.add name (list_of (n mod 97));
          (match Lists.get name with
          | None -> ()
          | Some v -> if v <> list_of (n mod 97) then failwith "damaged"
          | exception SharedMem.Invalid_header _ ->
              (* Removed and freed between lookup and copy. *)
              ());
          work (n + 1)
        in
        try work id with SharedMem.WorkerCancel.Worker_should_cancel -> ())
  in
  let pids = [ busy 1; busy 2 ] in
  let cycles = ref 0 in
  for n = 0 to 400 do
    (* Only what has been there for long, so that no reader is in it. *)
    if n mod 10 = 0 then Lists.remove (key (n / 10 mod 97));
    if phase () = 0 then begin
      Prim.start_cycle ();
      incr cycles
    end
    else if phase () = 1 then ignore (Prim.mark_slice 5000)
    else ignore (Prim.sweep_slice 1000000);
    for i = 0 to 96 do
      match Lists.get (key i) with
      | None -> ()
      | Some v -> check_bool "whole" true (v = list_of i)
    done
  done;
  SharedMem.WorkerCancel.stop_workers ();
  List.iter wait_ok pids;
  SharedMem.WorkerCancel.resume_workers ();
  check_bool "cycles" true (!cycles > 3);
  SharedMem.compact ();
  for i = 0 to 96 do
    match Lists.get (key i) with
    | None -> ()
    | Some v -> check_bool "whole" true (v = list_of i)
  done

(* {1 Heaps in files} *)

let fill () =
  for n = 0 to 199 do
    Lists.add (key n) (list_of n)
  done;
  Ints.add "one" 1

let same () =
  for n = 0 to 199 do
    check_bool "values" true (Lists.get (key n) = Some (list_of n))
  done;
  check_bool "one" true (Ints.get "one" = Some 1)

let in_folder f =
  let dir = Filename.temp_dir "hh_shared" "" in
  Stdlib.Fun.protect
    ~finally:(fun () ->
      Array.iter (fun name -> Sys.remove (Filename.concat dir name)) (Sys.readdir dir);
      Sys.rmdir dir)
    (fun () -> f dir)

let reading path f =
  let fd = Unix.openfile path [ O_RDONLY ] 0 in
  Stdlib.Fun.protect ~finally:(fun () -> Unix.close fd) (fun () -> f fd)

let saved_and_loaded () =
  in_folder @@ fun dir ->
  let path = Filename.concat dir "heap" in
  let load () = reading path SharedMem.load_heap in
  with_heap (fun _ ->
      let calls = ref 0 in
      (SharedMem.on_compact :=
         fun () ->
           incr calls;
           fun () -> incr calls);
      fill ();
      SharedMem.save_heap_to path;
      check_int "the hook" 2 !calls;
      same ();
      Ints.remove "one";
      load ();
      same ());
  check_bool "one file" true (Sys.readdir dir = [| "heap" |]);
  let config = { SharedMem.heap_size = 1 lsl 16; hash_table_pow = 9 } in
  with_heap ~config (fun _ ->
      Ints.add "two" 2;
      load ();
      same ();
      check_bool "replaced" true (Ints.get "two" = None);
      check_int "transaction" 2 (Prim.next_version ()));
  let full heap_size hash_table_pow expected =
    with_heap ~config:{ SharedMem.heap_size; hash_table_pow } (fun _ ->
        Ints.add "two" 2;
        raises "load" expected load;
        check_bool "untouched" true (Ints.get "two" = Some 2))
  in
  full 1024 9 (fun exn -> exn = SharedMem.Heap_full);
  full 65536 7 (fun exn -> exn = SharedMem.Hash_table_full);
  (* Damaged, cut short, foreign, none: nothing is touched. *)
  let text = In_channel.with_open_bin path In_channel.input_all in
  let write text = Out_channel.with_open_bin path (fun o -> output_string o text) in
  with_heap (fun handle ->
      Ints.add "two" 2;
      let bad what text =
        write text;
        refused what load;
        check_bool "untouched" true (Ints.get "two" = Some 2)
      in
      let flip at =
        String.mapi (fun i c -> if i = at then Char.chr (Char.code c lxor 1) else c) text
      in
      List.iter (fun at -> bad "damaged" (flip at)) [ 0; 7; 9; 100; 5000 ];
      bad "cut" (String.sub text 0 (String.length text - 1));
      bad "empty" "";
      bad "foreign" (String.make 100_000 'x');
      let out, into = Unix.pipe () in
      refused "pipe" (fun () -> SharedMem.load_heap out);
      List.iter Unix.close [ out; into ];
      raises "closed"
        (function Unix.Unix_error (EBADF, _, _) -> true | _ -> false)
        (fun () -> SharedMem.load_heap out);
      write text;
      wait_ok
        (worker handle 1 (fun () ->
             refused "worker" load;
             refused "worker" (fun () -> SharedMem.save_heap_to path)));
      check_bool "as it was" true
        (In_channel.with_open_bin path In_channel.input_all = text);
      check_bool "no other file" true (Sys.readdir dir = [| "heap" |]);
      load ();
      same ();
      (* A worker sees what was loaded. *)
      wait_ok (worker handle 1 same));
  alone (fun () ->
      refused "no heap" load;
      refused "no heap" (fun () -> SharedMem.save_heap Unix.stdout))

let () =
  run "shared_mem collections"
    [
      ( "one process",
        [
          case "what was removed is freed" compact_frees;
          case "in slices, with the hook" slices;
          case "a compaction that raises" raising_compaction;
          case "entities" entities;
          case "the exchange of addresses" modify;
        ] );
      ("files", [ test "saved, loaded, refused" saved_and_loaded ]);
      ( "several",
        [
          case "refusals" refusals;
          case "a worker that died" worker_died;
          case "workers at work"
            ~config:{ heap_size = 1 lsl 30; hash_table_pow = 12 }
            beside_workers;
        ] );
    ]
