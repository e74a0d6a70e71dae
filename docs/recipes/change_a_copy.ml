(* What is ancient must not be changed: take a copy back into the heap, change that, and mark or
   share it anew. *)
type account = { owner : string; mutable balance : int }

let () =
  let bank = Ancient.mark [| { owner = "Ada"; balance = 10 } |] in
  let mine = Ancient.copy (Ancient.follow bank) in
  mine.(0).balance <- 20;
  Ancient.delete bank;
  let bank = Ancient.mark mine in
  let account = (Ancient.follow bank).(0) in
  Printf.printf "%s has %d\n" account.owner account.balance
