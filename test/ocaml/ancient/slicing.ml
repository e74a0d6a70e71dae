(* What holds of a large value's copy while another domain runs, be it marked or shared: it is made
   in slices, so that the other one gets on with its collections, and is right whatever the other
   one does. *)

open Test_support

(* How a value is copied, and given up afterwards; and how often, where it is done often. *)
type copier = {
  rounds : int -> int;
  copy : 'a. 'a -> 'a Ancient.ancient;
  drop : 'a. 'a Ancient.ancient -> unit;
}

(* Runs [other] again and again in another domain, as long as [f] runs: what [f] gives. *)
let beside other f =
  let stop = Atomic.make false in
  let domain =
    Domain.spawn (fun () ->
        (* Signals are for the domain that copies. *)
        ignore (Unix.sigprocmask SIG_BLOCK [ Sys.sigprof ]);
        while not (Atomic.get stop) do
          other ()
        done)
  in
  Fun.protect f ~finally:(fun () ->
      Atomic.set stop true;
      Domain.join domain)

let idle () = ignore (Sys.opaque_identity (List.init 1000 string_of_int))

(* [f alarm], where [alarm ()] has [handler] run soon, likely between two slices of what is copied
   then, and [alarm ~again:true ()] again and again. (SIGALRM is the watchdog's, SIGVTALRM the
   threads'.) *)
let with_alarm handler f =
  let set it_interval it_value =
    ignore (Unix.setitimer ITIMER_PROF { it_interval; it_value })
  in
  let alarm ?(again = false) () = if again then set 0.01 0.01 else set 0. 0.04 in
  let before = Sys.signal Sys.sigprof (Signal_handle (fun _ -> handler ())) in
  Fun.protect
    (fun () -> f alarm)
    ~finally:(fun () ->
      set 0. 0.;
      Sys.set_signal Sys.sigprof before)

(* The debug runtime looks through the whole heap at every cycle, and fails a check of its own
   when several domains compact, see test_mark_domains. *)
let rounds copier n = if verifying then 2 else copier.rounds n
let cells = if verifying then 1_500_000 else 3_000_000
let numbers () = List.init cells Fun.id

let check_numbers_in numbers =
  check_int "sum" (cells * (cells - 1) / 2) (List.fold_left ( + ) 0 numbers)

let check_numbers copied = check_numbers_in (Ancient.follow copied)

(* How often the other domain collects while one copy is made depends on the machine, and on what
   else runs there: [count ~size:1], which copies once, is asked again, then for something twice and
   four times as large, until one copy lets more than [most] pass, which is what the broken copier
   lets pass of whatever size. *)
let one_lets_pass_more_than most count =
  let rec go size tries best =
    if best <= most then
      if tries > 0 then go size (tries - 1) (max best (count ~size))
      else if size < 4 then go (2 * size) 10 best
      else Alcotest.failf "only %d collections during any copy" best
  in
  go 1 10 0

(* Where there are few blocks to mark, cycles end all the time: of a long string, the attempts in
   slices all came to nothing. *)
let bytes_while_the_other_ends_cycles copier () =
  let value size =
    let length = size * (128 lsl 20) in
    let bytes = Bytes.init length (fun n -> Char.unsafe_chr (n * 7)) in
    let floats = Array.init 1_000_000 float in
    let bigarray =
      Bigarray.Array1.init Bigarray.int8_unsigned C_layout (length + 3) Fun.id
    in
    (bytes, [ floats ], [| bigarray |], Bytes.sub bytes 3 100_000)
  in
  let made = ref (1, value 1) in
  let copying = Atomic.make false and cycles = Atomic.make 0 in
  let collect () =
    let during = Atomic.get copying in
    Gc.full_major ();
    if during && Atomic.get copying then Atomic.incr cycles
  in
  let count ~size =
    if fst !made <> size then made := (size, value size);
    let value = snd !made in
    Atomic.set cycles 0;
    Atomic.set copying true;
    let copied = copier.copy value in
    Atomic.set copying false;
    let cycles = Atomic.get cycles in
    check_bool "equal" true (Ancient.follow copied = value);
    copier.drop copied;
    cycles
  in
  beside collect (fun () ->
      for _ = 2 to rounds copier 5 do
        ignore (count ~size:1)
      done;
      (* An attempt that ends with the first cycle lets one pass, and there are five; another may
         pass before them and after them. *)
      one_lets_pass_more_than 7 count)

(* What the other domain takes out of the value is garbage soon, and what it puts in is young. The
   copier meets the boxes, then copies strings for many slices while cycle after cycle ends, and
   looks into the boxes only then. *)
let while_the_other_changes_it copier collect () =
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
      for _ = 1 to rounds copier 12 do
        let copied = copier.copy (boxes, strings) in
        let copied_boxes, copied_strings = Ancient.follow copied in
        Array.iteri
          (fun n box ->
            let list = !box in
            if list = [] || List.exists (fun m -> m <> n) list then
              Alcotest.failf "box %d is wrong" n)
          copied_boxes;
        check_bool "strings" true (copied_strings = strings);
        copier.drop copied
      done)

let tests copier =
  [
    test "bytes while the other ends cycles" (bytes_while_the_other_ends_cycles copier);
    test "the other changes it, young" (while_the_other_changes_it copier Gc.minor);
    test "the other changes it, old" (while_the_other_changes_it copier Gc.full_major);
  ]
