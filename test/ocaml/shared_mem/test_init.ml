(* How a process comes to its heap: what is refused before, and when it is asked for twice. *)

open Test_support
open Tables

let digest n = Digest.string (string_of_int n)

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

let () =
  run "shared_mem init"
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
      ( "handles",
        [
          test "those that are none are refused" hostile_handles;
          case "names, inheritance, closing" handle_names;
        ] );
    ]
