(* Each primitive, called by each who may and by each who may not: without a heap, in a forked
   child that has not connected, in a worker, in the master. *)

open Test_support
open Tables

external hash_stats : unit -> SharedMem.table_stats = "hh_hash_stats"
external heap_capacity : unit -> int = "hh_heap_capacity"
external commit : unit -> unit = "hh_commit_transaction"
external stop_workers : unit -> unit = "hh_stop_workers"
external resume_workers : unit -> unit = "hh_resume_workers"
external set_can_worker_stop : bool -> unit = "hh_set_can_worker_stop"
external get_can_worker_stop : unit -> bool = "hh_get_can_worker_stop"
external check_should_cancel : unit -> unit = "hh_check_should_cancel"
external save_heap : Unix.file_descr -> unit = "hh_save_heap"
external load_heap : Unix.file_descr -> unit = "hh_load_heap"
external reset_heap : unit -> unit = "hh_reset_heap"
external worker_died : int -> unit = "hh_worker_died"
external find : string -> (int[@untagged]) = "hh_find_byte" "hh_find" [@@noalloc]

external put : string -> (int[@untagged]) -> (int[@untagged]) = "hh_put_byte" "hh_put"
[@@noalloc]

external header : int -> int = "hh_object"
external insert : int -> int -> int -> int -> bool = "hh_insert_addr"
external store_compressed : 'a -> int -> int -> int = "hh_store_compressed"
external compress : string -> int -> int -> string = "hh_compress"
external decompress : int -> string = "hh_decompress"

(* Who may call it. *)
type who =
  | Always  (** Also where there is no heap. *)
  | Reader  (** Whoever has the heap, also a child that has not connected. *)
  | Member  (** The master and its workers. *)
  | Master

(* What the calls are about. *)
type things = {
  key : string;
  value : int;
  text : int;
  record : int;
  cell : int;
  entity : int;
  file : Unix.file_descr;
}

(* Those that raise. Each call succeeds where it may be made. *)
let raising =
  [
    ("hh_counter_next", Always, fun _ -> ignore (Prim.counter_next ()));
    ("hh_set_can_worker_stop", Always, fun _ -> set_can_worker_stop true);
    ("hh_get_can_worker_stop", Always, fun _ -> ignore (get_can_worker_stop ()));
    ("hh_compress", Always, fun _ -> ignore (compress "x" 19 0));
    ("hh_used_heap_size", Reader, fun _ -> ignore (Prim.used_size ()));
    ("hh_new_alloc_size", Reader, fun _ -> ignore (Prim.new_size ()));
    ("hh_free_heap_size", Reader, fun _ -> ignore (Prim.free_size ()));
    ("hh_heap_capacity", Reader, fun _ -> ignore (heap_capacity ()));
    ("hh_gc_phase", Reader, fun _ -> ignore (Prim.gc_phase ()));
    ("hh_log_level", Reader, fun _ -> ignore (Prim.log_level ()));
    ("hh_hash_stats", Reader, fun _ -> ignore (hash_stats ()));
    ("hh_check_should_cancel", Reader, fun _ -> check_should_cancel ());
    ("hh_mem", Reader, fun t -> ignore (Prim.mem t.key));
    ("hh_get", Reader, fun t -> ignore (Prim.get t.key));
    ("hh_deserialize", Reader, fun t -> ignore (Prim.deserialize t.value : int));
    ("hh_decompress", Reader, fun t -> ignore (decompress t.value));
    ("hh_object", Reader, fun t -> ignore (header t.record));
    ("hh_read_string", Reader, fun t -> ignore (Prim.read_string (t.text + 8) 1));
    ("hh_ml_alloc", Member, fun _ -> ignore (Prim.alloc 1));
    ("hh_store_ocaml", Member, fun _ -> ignore (Prim.store 1 19));
    ("hh_store_compressed", Member, fun _ -> ignore (store_compressed 1 19 (-1)));
    ("hh_add", Member, fun t -> ignore (Prim.add t.key t.value));
    ("hh_commit_transaction", Member, fun _ -> commit ());
    ("hh_entity_advance", Member, fun t -> Prim.entity_advance t.entity t.text);
    ( "hh_compare_modify_addr",
      Member,
      fun t -> ignore (Prim.compare_modify_addr ~weak:false t.cell 0 0L) );
    ("hh_insert_addr", Member, fun t -> ignore (insert t.cell 8 t.cell t.record));
    ("hh_remove", Master, fun t -> Prim.remove t.key);
    ("hh_stop_workers", Master, fun _ -> stop_workers ());
    ("hh_resume_workers", Master, fun _ -> resume_workers ());
    ("hh_start_cycle", Master, fun _ -> Prim.start_cycle ());
    ("hh_mark_slice", Master, fun _ -> ignore (Prim.mark_slice max_int));
    ("hh_sweep_slice", Master, fun _ -> ignore (Prim.sweep_slice max_int));
    ("hh_compact", Master, fun _ -> Prim.hh_compact ());
    ("hh_worker_died", Master, fun _ -> worker_died 2);
    ("hh_save_heap", Master, fun t -> save_heap t.file);
    ( "hh_load_heap",
      Master,
      fun t ->
        ignore (Unix.lseek t.file 0 SEEK_SET);
        load_heap t.file );
    ("hh_reset_heap", Master, fun _ -> reset_heap ());
  ]

(* Calls all that [who] has a right to, and has all others refused, by their names. *)
let call things ~may =
  List.iter
    (fun (name, who, f) ->
      if may who then
        match f things with
        | () -> ()
        | exception exn -> Alcotest.failf "%s: %s" name (Printexc.to_string exn)
      else
        match f things with
        | () -> Alcotest.failf "%s was not refused" name
        | exception Invalid_argument message ->
            check_bool message true (String.starts_with ~prefix:(name ^ ": ") message)
        | exception exn -> Alcotest.failf "%s: %s" name (Printexc.to_string exn))
    raising

(* Those that cannot raise: what they return where they may not be called, and that they change
   nothing. *)
let unraising t ~heap =
  let other = if heap then t.text else 0 in
  Prim.write_string t.cell "other text";
  Prim.write_bytes t.cell (Bytes.make 8 'x') ~pos:0 ~len:8;
  Prim.store_release t.cell 99L;
  check_bool "hh_compare_exchange" false
    (Prim.compare_exchange ~weak:false t.cell (Prim.load_acquire t.cell) 99L);
  Alcotest.(check int64)
    "hh_load_acquire"
    (if heap then 5L else 0L)
    (Prim.load_acquire t.cell);
  check_int "hh_entity_read_version"
    (if heap then Prim.next_version () else -1)
    (Prim.entity_read_version t.entity);
  check_int "hh_compare_string" 0 (Prim.compare_string t.text t.text);
  check_int "hh_next_version" 0 (Prim.next_version ());
  check_int "hh_put" (-1) (put t.key other);
  check_int "hh_find" (if heap then 0 else -1) (find t.key)

let nothing file =
  {
    key = Digest.string "key";
    value = 8;
    text = 8;
    record = 8;
    cell = 8;
    entity = 8;
    file;
  }

let temporary f =
  let name = Filename.temp_file "hh_shared" "" in
  let file = Unix.openfile name [ O_RDWR ] 0 in
  Sys.remove name;
  Stdlib.Fun.protect ~finally:(fun () -> Unix.close file) (fun () -> f file)

let without_a_heap () =
  alone (fun () ->
      temporary (fun file ->
          let things = nothing file in
          call things ~may:(fun who -> who = Always);
          unraising things ~heap:false))

let with_things f =
  temporary (fun file ->
      let record = Prim.record [ 0; 5 ] in
      let things =
        {
          (nothing file) with
          value = Prim.store 7 19;
          text = Prim.string_object "text";
          record;
          cell = record + 16;
          entity = Prim.entity 0;
        }
      in
      f things)

let child _ =
  with_things (fun things ->
      wait_ok
        (fork (fun () ->
             unraising things ~heap:true;
             call things ~may:(fun who -> who = Always || who = Reader)));
      check_int "not written" 5 (Int64.to_int (Prim.load_acquire things.cell)))

let a_worker handle =
  with_things (fun things ->
      wait_ok (worker handle 1 (fun () -> call things ~may:(fun who -> who <> Master)));
      check_int "added" things.value (Prim.get things.key);
      check_int "committed" 2 (Prim.next_version ()))

let the_master _ =
  with_things (fun things ->
      (* So that compaction does not move them away. *)
      ignore (Prim.add (Digest.string "roots") (Prim.record [ things.record ]));
      call things ~may:(fun _ -> true);
      check_int "empty" 0 (Prim.used_size ()))

(* {1 Work and figures of collections} *)

let slices _ =
  let live = Prim.string_object "live" in
  ignore (Prim.add (Digest.string "live") live);
  let dead = Prim.string_object "dead" in
  check_int "new" 32 (Prim.new_size ());
  Prim.start_cycle ();
  check_int "none is new" 0 (Prim.new_size ());
  let young = Prim.string_object "new" in
  check_int "new" 16 (Prim.new_size ());
  List.iter
    (fun work -> check_int "no work is left as it is" work (Prim.mark_slice work))
    [ 0; -1; min_int ];
  check_int "marking" 1 (Prim.gc_phase ());
  let left = Prim.mark_slice max_int in
  check_bool "left" true (left > 0 && left < max_int);
  List.iter
    (fun work -> check_int "no work is left as it is" work (Prim.sweep_slice work))
    [ 0; -1; min_int ];
  check_int "sweeping" 2 (Prim.gc_phase ());
  let left = Prim.sweep_slice max_int in
  check_bool "left" true (left > 0 && left < max_int);
  check_int "idle" 0 (Prim.gc_phase ());
  check_int "the dead one is free" 16 (Prim.free_size ());
  check_int "used" 48 (Prim.used_size ());
  check_int "live" live (Prim.add (Digest.string "x") live);
  raises "freed"
    (function SharedMem.Invalid_header (addr, _) -> addr = dead | _ -> false)
    (fun () -> Prim.add (Digest.string "y") dead);
  check_int "young" young (Prim.add (Digest.string "z") young)

let files _ =
  let closed =
    let r, w = Unix.pipe () in
    Unix.close r;
    Unix.close w;
    w
  in
  let ebadf = function Unix.Unix_error (EBADF, _, _) -> true | _ -> false in
  raises "save, closed" ebadf (fun () -> save_heap closed);
  raises "load, closed" ebadf (fun () -> load_heap closed);
  let reading = Unix.openfile "/dev/null" [ O_RDONLY ] 0 in
  raises "save, not for writing" ebadf (fun () -> save_heap reading);
  refused "load, empty" (fun () -> load_heap reading);
  let full = Unix.openfile "/dev/full" [ O_RDWR ] 0 in
  raises "save, no room"
    (function Unix.Unix_error (ENOSPC, _, _) -> true | _ -> false)
    (fun () -> save_heap full);
  Ints.add "a" 1;
  check_bool "goes on" true (Ints.get "a" = Some 1)

let () =
  run "shared_mem rights"
    [
      ( "primitives",
        [
          test "without a heap" without_a_heap;
          case "in a child that has not connected" child;
          case "in a worker" a_worker;
          case "in the master" the_master;
        ] );
      ( "more of them",
        [
          case "work and figures of collections" slices;
          case "files that take or hold no heap" files;
        ] );
    ]
