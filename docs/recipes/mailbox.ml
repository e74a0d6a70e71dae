(* Values are sent to another process without encoding them: the sender builds them in shared
   memory, and a pipe carries where. *)
let () =
  let memory = Netsys_mem.alloc_shared_memory (1 lsl 20) in
  let from_sender, to_receiver = Unix.pipe () in
  match Unix.fork () with
  | 0 ->
      let out = Unix.out_channel_of_descr to_receiver in
      let send offset message =
        let voffset, bytes = Netsys_mem.init_value memory offset message [ Copy_atom ] in
        output_binary_int out voffset;
        offset + bytes
      in
      let messages = [ ("apples", [ 1.5; 2. ]); ("pears", []) ] in
      ignore (List.fold_left send 0 messages);
      close_out out;
      Unix._exit 0
  | sender -> (
      Unix.close to_receiver;
      let input = Unix.in_channel_of_descr from_sender in
      try
        while true do
          let voffset = input_binary_int input in
          let name, prices = (Netsys_mem.as_value memory voffset : string * float list) in
          Printf.printf "%s: %.2f in all\n" name (List.fold_left ( +. ) 0. prices)
        done
      with End_of_file -> ignore (Unix.waitpid [] sender))
