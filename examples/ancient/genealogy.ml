(* A server that loads its base before it forks its workers, as GeneWeb does: seven arrays, marked
   one by one, each given back by the collector; workers read all of them; and at last the memory
   is freed, which the original never could. *)

type person = { surname : int; family : int option; notes : string }

let people = 20_000
let strings = Array.init 5_000 (Printf.sprintf "name %d")

(* Each array in turn is built, marked, and garbage. *)
let mark array =
  let ancient = Ancient.mark array in
  Gc.compact ();
  ancient

type base = {
  persons : person array Ancient.ancient;
  ascends : int option array Ancient.ancient;
  unions : int array array Ancient.ancient;
  families : (int * int) array Ancient.ancient;
  couples : float array Ancient.ancient;
  descends : int list array Ancient.ancient;
  strings : string array Ancient.ancient;
}

let load () =
  let person i =
    let family = if i mod 3 = 0 then None else Some (i / 2) in
    let notes = if i mod 10 = 0 then "" else Printf.sprintf "person %d" i in
    { surname = i * 7 mod 4_999; family; notes }
  in
  {
    persons = mark (Array.init people person);
    ascends = mark (Array.init people (fun i -> if i < 2 then None else Some (i / 2)));
    unions = mark (Array.init people (fun i -> if i mod 5 = 0 then [||] else [| i / 2 |]));
    families = mark (Array.init (people / 2) (fun i -> (2 * i, (2 * i) + 1)));
    couples = mark (Array.init (people / 2) float);
    descends = mark (Array.init (people / 2) (fun i -> [ 2 * i; (2 * i) + 1 ]));
    strings = mark (Array.copy strings);
  }

(* One worker's share of the work, over every array; each access follows anew. *)
let checksum base ~worker ~workers =
  let sum = ref 0 in
  for i = 0 to people - 1 do
    if i mod workers = worker then begin
      let p = (Ancient.follow base.persons).(i) in
      let name = (Ancient.follow base.strings).(p.surname) in
      let depth =
        match ((Ancient.follow base.ascends).(i), p.family) with
        | None, _ | _, None -> 0
        | Some family, Some _ ->
            let father, _ = (Ancient.follow base.families).(family) in
            father
            + List.length (Ancient.follow base.descends).(family)
            + int_of_float (Ancient.follow base.couples).(family)
      in
      let unions = Array.length (Ancient.follow base.unions).(i) in
      sum := !sum + Hashtbl.hash (name, p.notes) + depth + unions
    end
  done;
  !sum

let fork worker =
  let from_worker, to_parent = Unix.pipe () in
  match Unix.fork () with
  | 0 ->
      Unix.close from_worker;
      let out = Unix.out_channel_of_descr to_parent in
      output_value out (worker () : int);
      close_out out;
      Unix._exit 0
  | pid ->
      Unix.close to_parent;
      let channel = Unix.in_channel_of_descr from_worker in
      let sum : int = input_value channel in
      close_in channel;
      ignore (Unix.waitpid [] pid);
      sum

let () =
  let base = load () in
  let alone = checksum base ~worker:0 ~workers:1 in
  let workers = 4 in
  let sums =
    List.init workers (fun worker -> fork (fun () -> checksum base ~worker ~workers))
  in
  Printf.printf "%d people, %d workers: %s\n" people workers
    (if List.fold_left ( + ) 0 sums = alone then "the same sum" else "another sum");
  Ancient.delete base.persons;
  Ancient.delete base.ascends;
  Ancient.delete base.unions;
  Ancient.delete base.families;
  Ancient.delete base.couples;
  Ancient.delete base.descends;
  Ancient.delete base.strings;
  Gc.compact ();
  match Ancient.follow base.persons with
  | exception Invalid_argument text -> Printf.printf "persons: %s\n" text
  | _ -> assert false
