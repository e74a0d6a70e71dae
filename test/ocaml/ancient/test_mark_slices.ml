(* A large value is marked while another domain runs: see slicing.ml; and nothing is left of it when a
   signal's handler raises between two slices. *)

open Test_support
open Slicing

let marks = { rounds = Fun.id; copy = (fun v -> Ancient.mark v); drop = Ancient.delete }

(* A collection waits for every domain: while one marked in one piece, the other got two done. *)
let others_collect_meanwhile () =
  let marking = Atomic.make false and collections = Atomic.make 0 in
  let collect () =
    let during = Atomic.get marking in
    Gc.minor ();
    if during && Atomic.get marking then Atomic.incr collections
  in
  let value = Array.init 4 (fun _ -> numbers ()) in
  let count ~size =
    let value = Array.sub value 0 size in
    Atomic.set collections 0;
    Atomic.set marking true;
    let marked = Ancient.mark value in
    Atomic.set marking false;
    let collections = Atomic.get collections in
    Array.iter check_numbers_in (Ancient.follow marked);
    Ancient.delete marked;
    collections
  in
  beside collect (fun () -> one_lets_pass_more_than 3 count)

(* Each of these ends the attempts in slices sooner or later: the last is in one piece. *)
let while_the_other_ends_cycles () =
  let value = numbers () in
  let done_ = Atomic.make 0 in
  let collect () =
    Atomic.incr done_;
    if (not verifying) && Atomic.get done_ mod 3 = 0 then Gc.compact ()
    else Gc.full_major ();
    ignore (Sys.opaque_identity (List.init 10_000 string_of_int))
  in
  beside collect (fun () ->
      for _ = 1 to rounds marks 5 do
        let marked = Ancient.mark value in
        check_numbers marked;
        Ancient.delete marked
      done)

exception Alarm

(* Everything the mark had taken is given back before the handler's exception leaves it. *)
let a_handler_raises_between_slices () =
  let value = numbers () in
  let armed = ref false and raised = ref 0 in
  with_alarm (fun () -> if !armed then raise Alarm) @@ fun alarm ->
  let try_to_mark () =
    alarm ();
    armed := true;
    match Ancient.mark value with
    | marked ->
        armed := false;
        Ancient.delete marked
    | exception Alarm -> incr raised
  in
  let try_often () =
    let tries = ref 0 in
    raised := 0;
    while !tries < 20 || (!raised < 5 && !tries < 500) do
      incr tries;
      try_to_mark ()
    done;
    armed := false;
    if !raised < 5 then Alcotest.failf "only %d marks of 500 were interrupted" !raised
  in
  beside idle try_often;
  (* Not looked at while the other domain is there: in the debug runtime, on a slow machine, it went
     on verifying the heap after this one had left the collection, and held 68 MB for that. *)
  leaves_no_memory ~most:(16 lsl 20) (fun () -> beside idle try_often);
  let marked = Ancient.mark value in
  check_numbers marked;
  Ancient.delete marked

let () =
  run "ancient mark, slices"
    [
      ( "a large value, two domains",
        tests marks
        @ [
            test "others collect meanwhile" others_collect_meanwhile;
            test "while the other ends cycles" while_the_other_ends_cycles;
            test "a handler raises" a_handler_raises_between_slices;
          ] );
    ]
