(* Asking workers to stop, and where they must not be. *)

open Test_support
open Tables
open SharedMem.WorkerCancel

let cancelled f = raises "cancelled" (( = ) Worker_should_cancel) f

let cancellation _ =
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

let every_primitive _ =
  let key = Digest.string "k" in
  let a = Prim.store 1 19 in
  let asked f =
    stop_workers ();
    cancelled f;
    set_can_worker_stop false;
    ignore (f ());
    set_can_worker_stop true;
    resume_workers ();
    ignore (f ())
  in
  asked (fun () -> ignore (Prim.store 1 19));
  asked (fun () -> ignore (Prim.deserialize a : int));
  asked (fun () -> ignore (Prim.add key a));
  asked (fun () -> ignore (Prim.mem key));
  asked (fun () -> ignore (Prim.get key));
  (* These are not stopped. *)
  stop_workers ();
  ignore (Prim.alloc 1);
  ignore (SharedMem.heap_size ());
  Prim.remove key;
  SharedMem.commit_transaction ();
  SharedMem.compact ();
  resume_workers ()

let exceptions_pass _ =
  stop_workers ();
  raises "its own" (( = ) Exit) (fun () -> with_no_cancellations (fun () -> raise Exit));
  check_bool "can stop" true (get_can_worker_stop ());
  cancelled check_should_cancel;
  (* Within one that was switched off by hand, nothing is stopped, also at the end. *)
  set_can_worker_stop false;
  with_no_cancellations (fun () -> check_should_cancel ());
  check_bool "still off" false (get_can_worker_stop ());
  set_can_worker_stop true;
  cancelled check_should_cancel

let before_init () =
  alone (fun () ->
      let inside = ref true in
      refused "no heap" (fun () ->
          with_no_cancellations (fun () -> inside := get_can_worker_stop ()));
      check_bool "off inside" false !inside;
      check_bool "on" true (get_can_worker_stop ()))

(* It was a flag: the first domain to enter put it off, the second found it so and left it alone;
   then the first left, put it on again, and the second was stopped in the midst of what it had
   been promised to finish. *)
let the_first_to_leave _ =
  stop_workers ();
  let step = Atomic.make 0 in
  let await n =
    while Atomic.get step < n do
      Domain.cpu_relax ()
    done
  in
  let first =
    Domain.spawn (fun () ->
        match
          with_no_cancellations (fun () ->
              Atomic.set step 1;
              await 2)
        with
        | () | (exception Worker_should_cancel) -> Atomic.set step 3)
  in
  await 1;
  let finished = ref false in
  cancelled (fun () ->
      with_no_cancellations (fun () ->
          Atomic.set step 2;
          await 3;
          check_bool "off" false (get_can_worker_stop ());
          check_should_cancel ();
          Ints.add "a" 1;
          finished := true));
  Domain.join first;
  check_bool "it was left to finish" true !finished;
  check_bool "can stop" true (get_can_worker_stop ())

let domains_come_and_go _ =
  stop_workers ();
  let work () =
    for n = 1 to 2000 do
      match
        with_no_cancellations (fun () ->
            check_should_cancel ();
            with_no_cancellations (fun () -> Ints.add (key (n mod 10)) n);
            check_should_cancel ();
            if n mod 3 = 0 then raise Exit)
      with
      | () | (exception (Exit | Worker_should_cancel)) -> ()
    done
  in
  let work () = try work () with Worker_should_cancel -> failwith "stopped inside" in
  let others = List.init 2 (fun _ -> Domain.spawn work) in
  work ();
  List.iter Domain.join others;
  check_bool "can stop" true (get_can_worker_stop ());
  cancelled check_should_cancel

let () =
  run "shared_mem cancellation"
    [
      ( "one domain",
        [
          case "asked, and taken back" cancellation;
          case "what is stopped" every_primitive;
          case "exceptions" exceptions_pass;
          test "before there is a heap" before_init;
        ] );
      ( "domains",
        [
          case "the first to leave leaves the second alone" the_first_to_leave;
          case "coming and going" domains_come_and_go;
        ] );
    ]
