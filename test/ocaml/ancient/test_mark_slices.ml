(* A large value is marked while another domain runs: in slices, so that the other one gets on
   with its collections; right whatever the other one does; and left alone when a signal's
   handler raises between two slices. *)

open Test_support

(* Runs [other] again and again in another domain, as long as [f] runs: what [f] gives. *)
let beside other f =
  let stop = Atomic.make false in
  let domain =
    Domain.spawn (fun () ->
        (* Signals are for the domain that marks. *)
        ignore (Unix.sigprocmask SIG_BLOCK [ Sys.sigalrm ]);
        while not (Atomic.get stop) do
          other ()
        done)
  in
  Fun.protect f ~finally:(fun () ->
      Atomic.set stop true;
      Domain.join domain)

(* The debug runtime looks through the whole heap at every cycle, and fails a check of its own
   when several domains compact, see test_mark_domains. *)
let verifies =
  match Sys.getenv_opt "OCAMLRUNPARAM" with
  | Some p -> String.contains p 'V'
  | None -> false

let rounds n = if verifies then 2 else n
let cells = if verifies then 1_500_000 else 3_000_000
let numbers () = List.init cells Fun.id

let check_numbers marked =
  check_int "sum"
    (cells * (cells - 1) / 2)
    (List.fold_left ( + ) 0 (Ancient.follow marked))

(* A collection waits for every domain: while one marked in one piece, the other got two done. *)
let others_collect_meanwhile () =
  let marking = Atomic.make false and collections = Atomic.make 0 in
  let collect () =
    let during = Atomic.get marking in
    Gc.minor ();
    if during && Atomic.get marking then Atomic.incr collections
  in
  let value = numbers () in
  beside collect (fun () ->
      for _ = 1 to rounds 5 do
        Atomic.set marking true;
        let marked = Ancient.mark value in
        Atomic.set marking false;
        check_numbers marked;
        Ancient.delete marked
      done);
  let collections = Atomic.get collections in
  if collections <= 3 * rounds 5 then Alcotest.failf "only %d collections" collections

(* Each of these ends the attempts in slices sooner or later: the last is in one piece. *)
let while_the_other_ends_cycles () =
  let value = numbers () in
  let done_ = Atomic.make 0 in
  let collect () =
    Atomic.incr done_;
    if (not verifies) && Atomic.get done_ mod 3 = 0 then Gc.compact ()
    else Gc.full_major ();
    ignore (Sys.opaque_identity (List.init 10_000 string_of_int))
  in
  beside collect (fun () ->
      for _ = 1 to rounds 5 do
        let marked = Ancient.mark value in
        check_numbers marked;
        Ancient.delete marked
      done)

(* Where there are few blocks to mark, cycles end all the time: of a long string, the attempts in
   slices all came to nothing. *)
let bytes_while_the_other_ends_cycles () =
  let length = 128 lsl 20 in
  let bytes = Bytes.init length (fun n -> Char.unsafe_chr (n * 7)) in
  let floats = Array.init 1_000_000 float in
  let bigarray =
    Bigarray.Array1.init Bigarray.int8_unsigned C_layout (length + 3) Fun.id
  in
  let value = (bytes, [ floats ], [| bigarray |], Bytes.sub bytes 3 100_000) in
  let marking = Atomic.make false and cycles = Atomic.make 0 in
  let collect () =
    let during = Atomic.get marking in
    Gc.full_major ();
    if during && Atomic.get marking then Atomic.incr cycles
  in
  beside collect (fun () ->
      for _ = 1 to rounds 5 do
        Atomic.set marking true;
        let marked = Ancient.mark value in
        Atomic.set marking false;
        check_bool "equal" true (Ancient.follow marked = value);
        Ancient.delete marked
      done);
  let cycles = Atomic.get cycles in
  (* An attempt that ends with the first cycle lets one pass, and there are five. *)
  if cycles <= 5 * rounds 5 then Alcotest.failf "only %d collections" cycles

(* What the other domain takes out of the value is garbage soon, and what it puts in is young. The
   copier meets the boxes, then copies strings for many slices while cycle after cycle ends, and
   looks into the boxes only then. *)
let while_the_other_changes_it collect () =
  let size = 20_000 in
  let boxes = Array.init size (fun n -> ref [ n; n; n ]) in
  let strings = Array.init 6_000 (fun n -> Bytes.make 32_000 (Char.chr (n mod 256))) in
  let random = Random.State.make [| 7 |] in
  let change () =
    for _ = 1 to size do
      let n = Random.State.int random size in
      boxes.(n) := List.init (1 + Random.State.int random 5) (fun _ -> n)
    done;
    collect ()
  in
  beside change (fun () ->
      for _ = 1 to rounds 12 do
        let marked = Ancient.mark (boxes, strings) in
        let marked_boxes, marked_strings = Ancient.follow marked in
        Array.iteri
          (fun n box ->
            let list = !box in
            if list = [] || List.exists (fun m -> m <> n) list then
              Alcotest.failf "box %d is wrong" n)
          marked_boxes;
        check_bool "strings" true (marked_strings = strings);
        Ancient.delete marked
      done)

exception Alarm

(* Everything the mark had taken is given back before the handler's exception leaves it. *)
let a_handler_raises_between_slices () =
  let value = numbers () in
  let armed = ref false and raised = ref 0 in
  let before =
    Sys.signal Sys.sigalrm (Signal_handle (fun _ -> if !armed then raise Alarm))
  in
  let alarm seconds =
    ignore (Unix.setitimer ITIMER_REAL { it_interval = 0.; it_value = seconds })
  in
  let try_to_mark () =
    alarm 0.025;
    armed := true;
    match Ancient.mark value with
    | marked ->
        armed := false;
        Ancient.delete marked
    | exception Alarm -> incr raised
  in
  let idle () = ignore (Sys.opaque_identity (List.init 1000 string_of_int)) in
  beside idle (fun () ->
      for _ = 1 to 5 do
        try_to_mark ()
      done;
      let resident = resident_bytes () in
      for _ = 1 to 20 do
        try_to_mark ()
      done;
      armed := false;
      alarm 0.;
      let grown = resident_bytes () - resident in
      if grown > 40 * 1024 * 1024 then Alcotest.failf "%d bytes more" grown;
      let marked = Ancient.mark value in
      check_numbers marked;
      Ancient.delete marked);
  Sys.set_signal Sys.sigalrm before;
  if !raised < 5 then
    Alcotest.failf "only %d of 25 marks were interrupted" !raised
  [@ocamlformat "disable"]

let () =
  run "ancient mark, slices"
    [
      ( "a large value, two domains",
        [
          test "others collect meanwhile" others_collect_meanwhile;
          test "while the other ends cycles" while_the_other_ends_cycles;
          test "bytes while the other ends cycles" bytes_while_the_other_ends_cycles;
          test "the other changes it, young" (while_the_other_changes_it Gc.minor);
          test "the other changes it, old" (while_the_other_changes_it Gc.full_major);
          test "a handler raises" a_handler_raises_between_slices;
        ] );
    ]
