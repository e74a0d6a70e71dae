(* Written for ocaml-ancient: nothing here but its own interface. *)
let address = 0x440000000000n

let write path words =
  let fd = Unix.openfile path [ O_RDWR; O_CREAT; O_TRUNC ] 0o644 in
  let md = Ancient.attach fd address in
  let _, { Ancient.i_size } = Ancient.share_info md 0 words in
  Ancient.detach md;
  i_size

let read path =
  let md = Ancient.attach (Unix.openfile path [ O_RDWR ] 0o644) 0n in
  let words : (string * int) list Ancient.ancient = Ancient.get md 0 in
  let length = List.length (Ancient.follow words) in
  Ancient.detach md;
  length

let () =
  let words = List.init 100_000 (fun i -> (string_of_int i, i)) in
  let path = Filename.temp_file "words" ".data" in
  Printf.printf "%d bytes shared\n" (write path words);
  Printf.printf "%d words read\n" (read path);
  Sys.remove path;
  let marked = Ancient.mark words in
  Gc.compact ();
  Printf.printf "ancient: %b\n" (Ancient.is_ancient (Ancient.follow marked));
  Ancient.delete marked
