(* One process: every primitive, every refusal, and the typed tables against a model. *)

open Test_support
open Tables

let digest n = Digest.string (string_of_int n)

(* {1 Before there is a heap} *)

let before_init () =
  let no name f = refused name (fun () -> ignore (f ())) in
  let k = digest 1 in
  alone (fun () ->
      no "used_size" Prim.used_size;
      no "new_size" Prim.new_size;
      no "free_size" Prim.free_size;
      no "gc_phase" Prim.gc_phase;
      no "log_level" Prim.log_level;
      no "hash_stats" SharedMem.hash_stats;
      no "heap_capacity" SharedMem.heap_capacity;
      no "alloc" (fun () -> Prim.alloc 1);
      no "store" (fun () -> Prim.store 1 19);
      no "deserialize" (fun () -> Prim.deserialize 8);
      no "add" (fun () -> Prim.add k 8);
      no "mem" (fun () -> Prim.mem k);
      no "get" (fun () -> Prim.get k);
      no "remove" (fun () -> Prim.remove k);
      no "read_string" (fun () -> Prim.read_string 8 1);
      no "commit" SharedMem.commit_transaction;
      no "reset" SharedMem.reset_heap;
      no "stop" SharedMem.WorkerCancel.stop_workers;
      no "resume" SharedMem.WorkerCancel.resume_workers;
      no "check" SharedMem.WorkerCancel.check_should_cancel;
      no "table" (fun () -> Ints.get "x");
      no "start_cycle" Prim.start_cycle;
      no "mark_slice" (fun () -> Prim.mark_slice 1);
      no "sweep_slice" (fun () -> Prim.sweep_slice 1);
      no "compact" Prim.hh_compact;
      no "collect_slice" (fun () -> SharedMem.collect_slice 1);
      no "worker_died" (fun () -> SharedMem.worker_died ~worker_id:1);
      no "entity_advance" (fun () -> Prim.entity_advance 8 8);
      no "modify" (fun () -> Prim.compare_modify_addr ~weak:false 8 0 1L);
      (* These work, or do nothing. *)
      check_int "next_version" 0 (Prim.next_version ());
      check_bool "init transaction" true (SharedMem.is_init_transaction ());
      check_int "counter" 1 (Prim.counter_next ());
      check_int "counter" 2 (SharedMem.counter_next ());
      Prim.write_string 8 "x";
      Prim.write_bytes 8 (Bytes.create 8) ~pos:0 ~len:8;
      Prim.store_release 8 1L;
      Alcotest.(check int64) "load" 0L (Prim.load_acquire 8);
      check_bool "cas" false (Prim.compare_exchange ~weak:false 8 0L 1L);
      check_int "version" (-1) (Prim.entity_read_version 8);
      check_int "compare" (-1) (Prim.compare_string 8 16);
      check_bool "can stop" true (SharedMem.WorkerCancel.get_can_worker_stop ()))

let bad_configurations () =
  let bad heap_size hash_table_pow num_workers =
    refused "init" (fun () ->
        SharedMem.init { SharedMem.heap_size; hash_table_pow } ~num_workers)
  in
  alone (fun () ->
      bad (-1) 1 1;
      bad max_int 1 1;
      bad min_int 1 1;
      bad 1 (-1) 1;
      bad 1 37 1;
      bad 1 max_int 1;
      bad 1 64 1;
      bad 1 1 (-1);
      bad 1 1 ((1 lsl 16) + 1);
      bad 1 1 max_int;
      (* All that was refused: a proper one works now. *)
      ignore (make 0);
      check_int "slots" 4096 (SharedMem.hash_stats ()).slots)

type with_log = { h : int; p : int; log_level : int } [@@warning "-unused-field"]

external init_with_log : with_log -> num_workers:int -> Prim.buf * Unix.file_descr
  = "hh_shared_init"

let log_level () =
  alone (fun () ->
      ignore (make 0);
      check_int "record of two" 0 (Prim.log_level ()));
  alone (fun () ->
      ignore (init_with_log { h = 1000; p = 3; log_level = 7 } ~num_workers:0);
      check_int "record of three" 7 (Prim.log_level ());
      check_int "size" 1000 (SharedMem.heap_capacity ()))

let twice handle =
  refused "init" (fun () -> SharedMem.init config ~num_workers:1);
  refused "connect" (fun () -> SharedMem.connect handle ~worker_id:1);
  Ints.add "a" 1;
  check_bool "goes on" true (Ints.get "a" = Some 1)

let a_hundred_gigabytes () =
  alone (fun () ->
      let config = { SharedMem.heap_size = 100 lsl 30; hash_table_pow = 26 } in
      let buf, _ = Prim.init config ~num_workers:64 in
      check_int "view" (16 lsl 26) (Bigarray.Array1.dim buf - (100 lsl 30));
      check_bool "absent" true (Ints.get "x" = None);
      Ints.add "x" 1;
      check_bool "present" true (Ints.get "x" = Some 1);
      check_bool "memory" true (resident_bytes () < 100 lsl 20))

(* {1 The table} *)

let table _ =
  let k = digest 1 in
  check_bool "mem" false (Prim.mem k);
  check_int "get" 0 (Prim.get k);
  Prim.remove k;
  let a = Prim.store "a" 19 and b = Prim.store "b" 63 in
  check_int "add" a (Prim.add k a);
  check_int "add again" a (Prim.add k b);
  check_bool "mem" true (Prim.mem k);
  check_int "get" a (Prim.get k);
  check_string "value" "a" (Prim.deserialize (Prim.get k));
  (* Only the first 8 bytes are the key. *)
  check_int "same bytes" a (Prim.get (String.sub k 0 8 ^ "whatever"));
  Prim.remove k;
  check_bool "mem" false (Prim.mem k);
  check_int "get" 0 (Prim.get k);
  let stats = SharedMem.hash_stats () in
  check_int "nonempty" 1 stats.nonempty_slots;
  check_int "used" 0 stats.used_slots;
  check_int "add after remove" b (Prim.add k b);
  check_int "used" 1 (SharedMem.hash_stats ()).used_slots;
  let zeros = String.make 16 '\000' in
  check_int "hash 0" a (Prim.add zeros a);
  check_int "hash 0" a (Prim.get zeros)

let short_keys _ =
  let a = Prim.store "a" 19 in
  List.iter
    (fun k ->
      refused "add" (fun () -> Prim.add k a);
      refused "mem" (fun () -> Prim.mem k);
      refused "get" (fun () -> Prim.get k);
      refused "remove" (fun () -> Prim.remove k))
    [ ""; "x"; "1234567" ];
  check_int "8 bytes" a (Prim.add "12345678" a)

let full_table _ =
  let a = Prim.store "a" 19 in
  for n = 1 to 256 do
    check_int "add" a (Prim.add (digest n) a)
  done;
  for n = 257 to 300 do
    raises "add" (( = ) SharedMem.Hash_table_full) (fun () -> Prim.add (digest n) a);
    check_bool "a lookup answers" false (Prim.mem (digest n))
  done;
  for n = 1 to 256 do
    check_int "get" a (Prim.get (digest n));
    check_int "add what is there" a (Prim.add (digest n) a)
  done;
  Prim.remove (digest 7);
  check_int "its slot can be filled again" a (Prim.add (digest 7) a);
  check_bool "figures in the text" true
    (String.ends_with ~suffix:"(256 slots: init with a larger hash_table_pow)"
       (Printexc.to_string SharedMem.Hash_table_full));
  SharedMem.reset_heap ();
  Ints.add "a" 1;
  check_bool "after a reset" true (Ints.get "a" = Some 1)

(* {1 The heap} *)

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

(* The system refuses a file of this size to this process: init says so, and raises nothing. *)
let () =
  role "limited" (fun _ ->
      match SharedMem.init config ~num_workers:1 with
      | Error () -> ()
      | Ok _ -> failwith "init succeeded")

let file_limit () =
  let self = Filename.quote Sys.executable_name in
  (* Ignored, SIGXFSZ becomes the error EFBIG. *)
  let command =
    Printf.sprintf "trap '' XFSZ; ulimit -f 1; HH_SHARED_TEST_ROLE=limited exec %s" self
  in
  check_int "exit code" 0 (Sys.command command)

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

let tags _ =
  List.iter
    (fun tag -> refused "tag" (fun () -> Prim.store 1 tag))
    [ -1; 0; 18; 64; max_int; min_int ];
  List.iter
    (fun tag -> check_int "value" tag (Prim.deserialize (Prim.store tag tag)))
    [ 19; 20; 63 ];
  refused "a function" (fun () -> Fun.add "f" succ);
  check_bool "not stored" false (Fun.mem "f")

let values _ =
  let same v = check_bool "value" true (Prim.deserialize (Prim.store v 19) = v) in
  same 0;
  same max_int;
  same "";
  same [||];
  same (Some 1L, 2l, 3n, [| 0.5; infinity |]);
  same (String.make 10_000_000 'x');
  same (List.init 100_000 string_of_int);
  let x = ref 1 in
  let (a, b) : int ref * int ref = Prim.deserialize (Prim.store (x, x) 19) in
  check_bool "sharing" true (a == b)

let strings _ =
  let texts = [ ""; "a"; "1234567"; "12345678"; "123456789"; String.make 5000 'y' ] in
  let objects = List.map (fun s -> (s, Prim.string_object s)) texts in
  List.iter
    (fun (s, addr) ->
      let words = Obj.size (Obj.repr s) in
      check_string "read" s (Prim.read_string (addr + 8) words);
      List.iter
        (fun (s', addr') ->
          let sign n = compare n 0 in
          check_int "compare"
            (sign (compare s s'))
            (sign (Prim.compare_string addr addr')))
        objects)
    objects;
  let _, addr = List.nth objects 3 in
  refused "no words" (fun () -> Prim.read_string (addr + 8) 0);
  refused "negative" (fun () -> Prim.read_string (addr + 8) (-1));
  raises "too many"
    (function SharedMem.Invalid_address _ -> true | _ -> false)
    (fun () -> Prim.read_string (addr + 8) max_int);
  Prim.store_release (addr + 16) (-1L);
  raises "no padding"
    (function SharedMem.Invalid_header _ -> true | _ -> false)
    (fun () -> Prim.read_string (addr + 8) 2)

let bytes _ =
  let addr = Prim.alloc 4 in
  let source = Bytes.of_string "0123456789abcdef" in
  Prim.write_bytes addr source ~pos:4 ~len:8;
  let text () =
    String.init 8 (fun i ->
        let word = Prim.load_acquire addr in
        Char.chr (Int64.to_int (Int64.shift_right_logical word (8 * i)) land 255))
  in
  check_string "written" "456789ab" (text ());
  List.iter
    (fun (pos, len) -> Prim.write_bytes addr source ~pos ~len)
    [ (-1, 8); (0, -1); (0, 17); (16, 1); (max_int, 1); (1, max_int); (min_int, 4) ];
  check_string "unchanged" "456789ab" (text ())

let cells _ =
  let addr = Prim.alloc 1 in
  Prim.store_release addr Int64.min_int;
  Alcotest.(check int64) "load" Int64.min_int (Prim.load_acquire addr);
  check_bool "fails" false (Prim.compare_exchange ~weak:false addr 1L 2L);
  check_bool "works" true (Prim.compare_exchange ~weak:false addr Int64.min_int (-1L));
  while not (Prim.compare_exchange ~weak:true addr (-1L) 5L) do
    ()
  done;
  Alcotest.(check int64) "load" 5L (Prim.load_acquire addr)

let view () =
  alone (fun () ->
      let buf, _ = Prim.init config ~num_workers:0 in
      let addr = Prim.alloc 1 in
      check_int "size" (addr + SharedMem.heap_capacity ()) (Bigarray.Array1.dim buf);
      Prim.store_release addr 0x4142434445464748L;
      check_bool "byte" true (buf.{addr} = 'H');
      buf.{addr + 7} <- 'Z';
      Alcotest.(check int64) "word" 0x5a42434445464748L (Prim.load_acquire addr);
      Gc.full_major ();
      check_bool "byte" true (buf.{addr + 7} = 'Z'))

(* {1 Transactions, reset, counter, cancellation} *)

let transactions _ =
  check_bool "first" true (SharedMem.is_init_transaction ());
  SharedMem.commit_transaction ();
  check_bool "not first" false (SharedMem.is_init_transaction ());
  check_int "version" 2 (Prim.next_version ());
  SharedMem.commit_transaction ();
  check_int "version" 4 (Prim.next_version ());
  SharedMem.reset_heap ();
  check_int "version" 2 (Prim.next_version ())

let reset _ =
  for i = 1 to 1000 do
    Lists.add (key i) (list_of i)
  done;
  SharedMem.reset_heap ();
  let stats = SharedMem.hash_stats () in
  check_int "nonempty" 0 stats.nonempty_slots;
  check_int "used" 0 stats.used_slots;
  check_int "size" 0 (SharedMem.heap_size ());
  for i = 1 to 1000 do
    check_bool "gone" false (Lists.mem (key i))
  done;
  Lists.add (key 1) (list_of 2);
  check_bool "new" true (Lists.get (key 1) = Some (list_of 2));
  let addr = Prim.alloc 1000 in
  for i = 0 to 999 do
    Alcotest.(check int64) "zero" 0L (Prim.load_acquire (addr + (8 * i)))
  done

let counter () =
  alone (fun () ->
      for i = 1 to 5 do
        check_int "early" i (Prim.counter_next ())
      done;
      ignore (make 1);
      let last = ref 5 in
      for _ = 1 to 5000 do
        let n = Prim.counter_next () in
        check_bool "increases" true (n > !last);
        last := n
      done)

let cancellation _ =
  let open SharedMem.WorkerCancel in
  let cancelled f = raises "cancelled" (( = ) Worker_should_cancel) f in
  Ints.add "a" 1;
  check_should_cancel ();
  stop_workers ();
  cancelled check_should_cancel;
  cancelled (fun () -> Ints.add "b" 2);
  cancelled (fun () -> ignore (Ints.get "a"));
  cancelled (fun () -> ignore (Ints.mem "a"));
  Ints.remove "a";
  cancelled (fun () ->
      with_no_cancellations (fun () ->
          check_bool "can stop" false (get_can_worker_stop ());
          Ints.add "a" 3;
          with_no_cancellations (fun () -> check_bool "get" true (Ints.get "a" = Some 3))));
  check_bool "can stop" true (get_can_worker_stop ());
  raises "exceptions pass" (( = ) Exit) (fun () ->
      with_no_cancellations (fun () -> raise Exit));
  set_can_worker_stop false;
  check_should_cancel ();
  set_can_worker_stop true;
  resume_workers ();
  check_should_cancel ();
  check_bool "goes on" true (Ints.get "a" = Some 3)

(* {1 Handles} *)

let hostile_handles () =
  let no what fd = refused what (fun () -> SharedMem.connect fd ~worker_id:1) in
  alone (fun () ->
      let r, w = Unix.pipe () in
      no "pipe" r;
      no "pipe" w;
      with_temp_dir (fun dir ->
          let path = Filename.concat dir "plain" in
          let flags = [ Unix.O_RDWR; O_CREAT ] in
          let fd = Unix.openfile path flags 0o600 in
          no "empty file" fd;
          Unix.ftruncate fd (1 lsl 20);
          no "plain file" fd);
      no "null" (Unix.openfile "/dev/null" [ Unix.O_RDWR ] 0);
      no "directory" (Unix.openfile "/" [ Unix.O_RDONLY ] 0);
      refused "negative" (fun () ->
          SharedMem.connect (SharedMem.handle_of_string "-1") ~worker_id:1);
      refused "no number" (fun () -> SharedMem.handle_of_string "x");
      (match SharedMem.connect (SharedMem.handle_of_string "1000000") ~worker_id:1 with
      | () -> Alcotest.fail "closed descriptor"
      | exception Unix.Unix_error (EBADF, _, _) -> ());
      (* All that was refused: this process can still have a heap. *)
      ignore (make 1))

let handle_names handle =
  let name = SharedMem.handle_to_string handle in
  check_bool "same" true (SharedMem.handle_of_string name = handle);
  (* Open in programs this process executes, as the original's. *)
  let quoted = Filename.quote ("/proc/self/fd/" ^ name) in
  check_int "inherited" 0 (Sys.command ("test -e " ^ quoted));
  Unix.close handle;
  Lists.add "after close" (list_of 3);
  for i = 1 to 2000 do
    Lists.add (key i) (list_of i)
  done;
  check_bool "goes on without it" true (Lists.get "after close" = Some (list_of 3))

(* {1 Typed tables} *)

let typed _ =
  check_bool "absent" true (Ints.get "a" = None);
  Ints.add "a" 1;
  Ints.add "a" 2;
  check_bool "the first stays" true (Ints.get "a" = Some 1);
  check_bool "another table" true (Lists.get "a" = None);
  Lists.add "a" (list_of 5);
  Ints.remove "a";
  check_bool "removed" false (Ints.mem "a");
  check_bool "the other stays" true (Lists.mem "a");
  Ints.add "a" 3;
  check_bool "again" true (Ints.get "a" = Some 3);
  Ints.add "b" 4;
  Ints.add "c" 5;
  Ints.remove_batch (Ints.KeySet.of_list [ "a"; "c"; "z" ]);
  check_bool "batch" true (List.map Ints.get [ "a"; "b"; "c" ] = [ None; Some 4; None ]);
  let addr : [ `string ] SharedMem.addr = Obj.magic (Prim.string_object "s") in
  check_bool "addr" true (Addrs.add "s" addr == addr);
  check_bool "addr" true (Addrs.get "s" = Some addr);
  Addrs.remove_batch (Addrs.KeySet.singleton "s");
  check_bool "addr" false (Addrs.mem "s")

type op = Add of int * int | Get of int | Mem of int | Remove of int | Batch of int list

let op =
  let open QCheck.Gen in
  let k = int_bound 40 in
  frequency
    [
      (4, map2 (fun k v -> Add (k, v)) k (int_bound 1000));
      (3, map (fun k -> Get k) k);
      (2, map (fun k -> Mem k) k);
      (2, map (fun k -> Remove k) k);
      (1, map (fun ks -> Batch ks) (list_size (int_bound 5) k));
    ]

let show = function
  | Add (k, v) -> Printf.sprintf "add %d %d" k v
  | Get k -> Printf.sprintf "get %d" k
  | Mem k -> Printf.sprintf "mem %d" k
  | Remove k -> Printf.sprintf "remove %d" k
  | Batch ks -> "batch " ^ String.concat "," (List.map string_of_int ks)

let agrees model = function
  | Add (k, v) ->
      Lists.add (key k) (list_of v);
      if not (Hashtbl.mem model k) then Hashtbl.add model k v;
      true
  | Get k -> Lists.get (key k) = Option.map list_of (Hashtbl.find_opt model k)
  | Mem k -> Lists.mem (key k) = Hashtbl.mem model k
  | Remove k ->
      Lists.remove (key k);
      Hashtbl.remove model k;
      Lists.mem (key k) = false
  | Batch ks ->
      Lists.(remove_batch (KeySet.of_list (List.map key ks)));
      List.iter (Hashtbl.remove model) ks;
      List.for_all (fun k -> not (Lists.mem (key k))) ks

let behaves_like_a_hashtbl _ =
  let arbitrary =
    QCheck.(make ~print:Print.(list show) Gen.(list_size (int_bound 60) op))
  in
  let holds ops =
    SharedMem.reset_heap ();
    let model = Hashtbl.create 16 in
    List.for_all (agrees model) ops
    && (SharedMem.hash_stats ()).used_slots = Hashtbl.length model
  in
  QCheck.Test.check_exn (QCheck.Test.make ~count:300 arbitrary holds)

let () =
  let small = { config with heap_size = 1 lsl 20 } in
  run "shared_mem"
    [
      ( "init",
        [
          test "primitives before there is a heap" before_init;
          test "sizes out of range are refused" bad_configurations;
          test "log level, where there is one" log_level;
          case "a second heap is refused" twice;
          test "a heap of 100 GB takes no memory" a_hundred_gigabytes;
          test "Error where the system refuses" file_limit;
        ] );
      ( "table",
        [
          case "add, mem, get, remove" table;
          case "keys shorter than 8 bytes are refused" short_keys;
          case "a full table says so, and serves"
            ~config:{ config with hash_table_pow = 8 }
            full_table;
        ] );
      ( "heap",
        [
          case "sizes" sizes;
          case "a full heap says so, and serves" ~config:small full_heap;
          case "more than the machine has"
            ~config:{ config with heap_size = 1 lsl 42 }
            no_memory;
          case "addresses and headers are checked" addresses;
          case "damaged values" damaged_values;
          case "tags and functions" tags;
          case "values come back" ~config:{ config with heap_size = 1 lsl 26 } values;
          case "strings" strings;
          case "bytes" bytes;
          case "words" cells;
          test "the view" view;
        ] );
      ( "state",
        [
          case "transactions" transactions;
          case "reset" reset;
          test "counter" counter;
          case "cancellation" cancellation;
        ] );
      ( "handles",
        [
          test "those that are none are refused" hostile_handles;
          case "names, inheritance, closing" handle_names;
        ] );
      ( "tables",
        [
          case "typed tables" typed; case "behaves like a Hashtbl" behaves_like_a_hashtbl;
        ] );
    ]
