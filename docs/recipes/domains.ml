(* Domains read one marked value; none of their collections looks at it. *)
module Names = Map.Make (String)

let () =
  let add names i = Names.add (string_of_int i) i names in
  let names = List.fold_left add Names.empty (List.init 100_000 Fun.id) in
  let ancient = Ancient.mark names in
  let sum from =
    let names = Ancient.follow ancient in
    let rec go i sum =
      if i >= 100_000 then sum else go (i + 4) (sum + Names.find (string_of_int i) names)
    in
    go from 0
  in
  let domains = List.init 4 (fun i -> Domain.spawn (fun () -> sum i)) in
  Printf.printf "%d\n" (List.fold_left (fun n d -> n + Domain.join d) 0 domains);
  Ancient.delete ancient
