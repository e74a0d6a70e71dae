(* Two programs send orders to a third, which reads them where they were built. *)

type order = { from : string; number : int; items : (string * float) list; urgent : bool }

let orders = 1000

(* A sender has the pipes as its standard input and output. *)
let sender name from =
  let box = Mailbox.open_ name ~free:Unix.stdin ~full:Unix.stdout in
  for number = 1 to orders do
    let items = List.init (1 + (number mod 5)) (fun i -> ("item", float (number * i))) in
    Mailbox.send box { from; number; items; urgent = number mod 10 = 0 }
  done;
  match Mailbox.send box (Array.make 10_000 0) with
  | () -> failwith "more than a slot"
  | exception Netsys_mem.Out_of_space -> ()

let receiver () =
  let name = Printf.sprintf "hh-mailbox-%d" (Unix.getpid ()) in
  let free_out, free = Unix.pipe ~cloexec:true () in
  let full, full_in = Unix.pipe ~cloexec:true () in
  let box = Mailbox.create name ~slots:8 ~slot_bytes:1024 ~free ~full in
  let start from =
    Unix.create_process Sys.executable_name
      [| Sys.executable_name; name; from |]
      free_out full_in Unix.stderr
  in
  let senders = List.map start [ "north"; "south" ] in
  (* [free_out] stays open: the last slots are given back when nobody wants them any more. *)
  Unix.close full_in;
  let last = Hashtbl.create 2 and total = ref 0. and refused = ref 0 in
  let urgent = ref [] in
  let read order =
    (* In the order in which they were sent. *)
    let before = Option.value (Hashtbl.find_opt last order.from) ~default:0 in
    assert (order.number = before + 1);
    (* What outlives the message is copied. *)
    Hashtbl.replace last (Netsys_mem.copy_value [] order.from) order.number;
    total := List.fold_left (fun sum (_, price) -> sum +. price) !total order.items;
    if order.urgent then urgent := Netsys_mem.copy_value [] order :: !urgent
  in
  let rec receive () =
    match Mailbox.receive box read with
    | Some (Some ()) -> receive ()
    | Some None ->
        incr refused;
        receive ()
    | None -> ()
  in
  receive ();
  Mailbox.remove name;
  let ended pid = snd (Unix.waitpid [] pid) = WEXITED 0 in
  assert (List.for_all ended senders);
  List.iter
    (fun from -> Printf.printf "%s sent %d orders\n" from (Hashtbl.find last from))
    [ "north"; "south" ];
  let items = List.concat_map (fun order -> order.items) !urgent in
  Printf.printf "worth %.0f in all, %d urgent with %d items, %d longer than a slot\n"
    !total (List.length !urgent) (List.length items) !refused

let () = match Sys.argv with [| _; name; from |] -> sender name from | _ -> receiver ()
