exception Worker_should_cancel

let () = Callback.register_exception "worker_should_cancel" Worker_should_cancel

external stop_workers : unit -> unit = "hh_stop_workers"
external resume_workers : unit -> unit = "hh_resume_workers"
external check_should_cancel : unit -> unit = "hh_check_should_cancel"
external set_can_worker_stop : bool -> unit = "hh_set_can_worker_stop"
external get_can_worker_stop : unit -> bool = "hh_get_can_worker_stop"

(* Counts, in the process: a flag would be taken back by the first of several that leaves. *)
external shield : bool -> unit = "hh_shield" [@@noalloc]

let with_no_cancellations f =
  shield true;
  match f () with
  | result ->
      shield false;
      check_should_cancel ();
      result
  | exception exn ->
      let backtrace = Printexc.get_raw_backtrace () in
      shield false;
      Printexc.raise_with_backtrace exn backtrace
