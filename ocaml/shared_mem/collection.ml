(* When to collect and when to compact, and the slices of both, over the primitives. *)

external heap_size : unit -> int = "hh_used_heap_size"

type gc_phase = Phase_idle | Phase_mark | Phase_sweep

external gc_phase : unit -> gc_phase = "hh_gc_phase"
external new_alloc_size : unit -> int = "hh_new_alloc_size"
external free_size : unit -> int = "hh_free_heap_size"
external start_cycle : unit -> unit = "hh_start_cycle"
external mark_slice : int -> int = "hh_mark_slice"
external sweep_slice : int -> int = "hh_sweep_slice"
external hh_compact : unit -> unit = "hh_compact"
external hh_worker_died : int -> unit = "hh_worker_died"

let worker_died ~worker_id = hh_worker_died worker_id
let on_compact = ref (fun () () -> ())

(* Whatever compaction does, what [on_compact] returned is called. *)
let moving f =
  let resume = !on_compact () in
  match f () with
  | () -> resume ()
  | exception exn ->
      let backtrace = Printexc.get_raw_backtrace () in
      resume ();
      Printexc.raise_with_backtrace exn backtrace

let compact_helper () = moving hh_compact

(* A fifth of the heap, as in the original. Until it is swept, what is new counts as garbage. *)
let should_collect () = (free_size () + new_alloc_size ()) * 5 >= heap_size ()

let should_compact () =
  let free = free_size () in
  free > 0 && free * 5 >= heap_size () - new_alloc_size ()

let collect_slice ?(force = false) work =
  let rec go work =
    if work > 0 then
      match gc_phase () with
      | Phase_idle ->
          if force || should_collect () then begin
            start_cycle ();
            go work
          end
      | Phase_mark -> go (mark_slice work)
      | Phase_sweep -> ignore (sweep_slice work)
  in
  go work;
  let idle = gc_phase () = Phase_idle in
  if idle && should_compact () then compact_helper ();
  idle

let collect_full () =
  while not (collect_slice ~force:true max_int) do
    ()
  done

let finish_cycle () =
  while gc_phase () = Phase_mark do
    ignore (mark_slice max_int)
  done;
  while gc_phase () = Phase_sweep do
    ignore (sweep_slice max_int)
  done

let compact () =
  finish_cycle ();
  start_cycle ();
  finish_cycle ();
  compact_helper ()

external hh_save_heap : Unix.file_descr -> unit = "hh_save_heap"
external load_heap : Unix.file_descr -> unit = "hh_load_heap"

let save_heap fd = moving (fun () -> hh_save_heap fd)

let save_heap_to path =
  let temporary, out =
    let dir, base = (Filename.dirname path, Filename.basename path) in
    Filename.open_temp_file ~mode:[ Open_binary ] ~temp_dir:dir ("." ^ base) ".tmp"
  in
  let fd = Unix.descr_of_out_channel out in
  match
    save_heap fd;
    Unix.fsync fd;
    Unix.rename temporary path
  with
  | () -> close_out out
  | exception exn ->
      let backtrace = Printexc.get_raw_backtrace () in
      close_out_noerr out;
      (try Sys.remove temporary with Sys_error _ -> ());
      Printexc.raise_with_backtrace exn backtrace
