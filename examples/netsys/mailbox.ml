(* A mailbox in POSIX shared memory, as ocamlnet's Netcamlbox has it: one receiver, any number of
   senders, each in a program of its own. A message is any OCaml value: its sender builds it in a slot
   of the mailbox, its receiver reads it there, and nothing is ever encoded.

   Which slots are free and which are full is told through two pipes, a byte for each slot. Senders
   that share the end of a pipe get each byte once, so a slot has one owner at any time; and what was
   stored before a byte was written is seen by who has read it. *)

type t = {
  memory : Netsys_mem.memory;
  slot_bytes : int;
  slots : int;
  free : Unix.file_descr; (* senders read it, the receiver writes it *)
  full : Unix.file_descr; (* the receiver reads it, senders write it *)
}

(* The file begins with a page of its own: where the receiver has the mailbox, and how it is cut. *)
let header_bytes = Netsys_mem.pagesize
let word memory i = (Netsys_mem.as_value memory 8 : int array).(i)
let start box slot = header_bytes + (slot * box.slot_bytes)
let path name = "/dev/shm/" ^ name

let create name ~slots ~slot_bytes ~free ~full =
  if slots > 256 || slot_bytes mod 8 <> 0 then invalid_arg "Mailbox.create";
  let file = Unix.openfile (path name) [ O_RDWR; O_CREAT; O_EXCL ] 0o600 in
  let size = header_bytes + (slots * slot_bytes) in
  let memory = Netsys_mem.memory_map_file file true size in
  Unix.close file;
  let address = Nativeint.to_int (Netsys_mem.memory_address memory) in
  ignore (Netsys_mem.init_value memory 0 [| address; slots; slot_bytes |] []);
  let box = { memory; slots; slot_bytes; free; full } in
  for slot = 0 to slots - 1 do
    ignore (Unix.write free (Bytes.make 1 (Char.chr slot)) 0 1)
  done;
  box

let remove name = Unix.unlink (path name)

let open_ name ~free ~full =
  let file = Unix.openfile (path name) [ O_RDWR ] 0 in
  let memory = Netsys_mem.memory_map_file file true (-1) in
  Unix.close file;
  { memory; slots = word memory 1; slot_bytes = word memory 2; free; full }

(* The slot that the next byte of a pipe names; None at its end. *)
let next box pipe =
  let b = Bytes.create 1 in
  match Unix.read pipe b 0 1 with
  | 0 -> None
  | _ ->
      let slot = Char.code (Bytes.get b 0) in
      if slot >= box.slots then failwith "Mailbox: no such slot";
      Some slot

let pass pipe slot = ignore (Unix.write pipe (Bytes.make 1 (Char.chr slot)) 0 1)

let send box message =
  match next box box.free with
  | None -> raise End_of_file
  | Some slot -> (
      let start = start box slot in
      (* Only this slot, so that a message too long is an exception and not the neighbour's end. *)
      let room = Bigarray.Array1.sub box.memory start box.slot_bytes in
      let receivers = Nativeint.of_int (word box.memory 0 + start) in
      match Netsys_mem.init_value ~targetaddr:receivers room 0 message [ Copy_atom ] with
      | _ -> pass box.full slot
      | exception error ->
          (* Only the receiver writes [free]: it gets an empty message for a slot. *)
          Netsys_mem.init_header room 0 0 0;
          pass box.full slot;
          raise error)

(* [f] must not keep any part of the message: its slot is filled anew. Netsys_mem.copy_value keeps. *)
let receive box f =
  match next box box.full with
  | None -> None
  | Some slot ->
      let message = Netsys_mem.as_value box.memory (start box slot + 8) in
      let answer = if Obj.size (Obj.repr message) = 0 then None else Some (f message) in
      pass box.free slot;
      Some answer
