(* How long another domain, which allocates all the time, has to wait while this one copies a
   large value: the longest turn of its loop. *)

open Data

let topic = "Longest wait of another domain meanwhile"

type other = { marking : bool Atomic.t; longest : float Atomic.t; turns : int Atomic.t }

let rec allocate stop other =
  if not (Atomic.get stop) then begin
    let before = Atomic.get other.marking in
    let (), turn = Scratch.timed (fun () -> ignore (List.init 100 ref)) in
    if before && turn > Atomic.get other.longest then Atomic.set other.longest turn;
    Atomic.incr other.turns;
    allocate stop other
  end

(* The turn in which the other waited may not be over when the copy is. *)
let rec wait_for turns other =
  if Atomic.get other.turns < turns then begin
    Domain.cpu_relax ();
    wait_for turns other
  end

let longest other name ?(after = ignore) copy =
  Measure.reported name (fun () ->
      Atomic.set other.longest 0.;
      Atomic.set other.marking true;
      let copied = copy () in
      wait_for (Atomic.get other.turns + 2) other;
      Atomic.set other.marking false;
      after copied;
      Atomic.get other.longest)

let beside other (Data (what, make)) =
  let value = make () in
  Measure.race ~rounds:7 ~warm:false
    [
      longest other "Ancient.mark" ~after:Ancient.delete (fun () -> Ancient.mark value);
      longest other "Marshal.to_bytes" (fun () -> Marshal.to_bytes value []);
    ]
  |> Results.add ~topic ~what ~size:0. ~base:"Marshal.to_bytes"

let run () =
  let stop = Atomic.make false in
  let other =
    { marking = Atomic.make false; longest = Atomic.make 0.; turns = Atomic.make 0 }
  in
  let domain = Domain.spawn (fun () -> allocate stop other) in
  List.iter (beside other)
    (if Measure.quick then [ Data ("list of 1 M ints", fun () -> list 1_000_000) ]
     else
       [
         Data ("list of 10 M ints", fun () -> list 10_000_000);
         Data ("map of 1 M strings", fun () -> map 1_000_000);
       ]);
  Atomic.set stop true;
  Domain.join domain
