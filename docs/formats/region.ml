(* Reads the header of a region's file. *)
let () =
  let region = Rszshm.make 4096 in
  Rszshm.store region 0 42;
  let file = In_channel.with_open_bin (Rszshm.path region) In_channel.input_all in
  let word n = Int64.to_int (String.get_int64_le file (8 * n)) in
  Printf.printf "%d bytes of %d, %S, version %d, a header of %d bytes\n" (word 0) (word 1)
    (String.sub file 24 8)
    (word 4 land 0xffffffff)
    (word 4 lsr 32);
  Printf.printf "at the address of its data less 64: %b; first word %d\n"
    (Nativeint.of_int (word 2) = Nativeint.sub (Rszshm.address region) 64n)
    (word 8);
  Rszshm.remove region
