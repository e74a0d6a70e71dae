(* Reads a heap that SharedMem saved. *)
module Table =
  SharedMem.CompressedHeap
    (struct
      let compression = SharedMem.No_compression
    end)
    (Int)
    (struct
      type t = string

      let description = "texts"
    end)

let () =
  let path = Filename.temp_file "one" ".heap" in
  ignore (SharedMem.init { heap_size = 1 lsl 20; hash_table_pow = 8 } ~num_workers:0);
  Table.add 1 "a text";
  SharedMem.save_heap_to path;
  let file = In_channel.with_open_bin path In_channel.input_all in
  let word n = Int64.to_int (String.get_int64_le file (8 * n)) in
  let heap_bytes = word 1 and heap_start = word 2 and entries = word 3 in
  Printf.printf "magic %S, %d entry, %d bytes of heap\n" (String.sub file 0 8) entries
    heap_bytes;
  (* The table is one piece, and a checksum; then the heap begins. *)
  let address = word 9 in
  let heap = 8 + (2 * entries) + 1 in
  let object_ = heap + ((address - heap_start) / 8) in
  let header = word object_ in
  Printf.printf "an object of %d words, tag %d, %d words unpacked\n" (header lsr 36)
    ((header lsr 2) land 63)
    ((header lsr 8) land 0xfffffff);
  Printf.printf "with %S in it: %b\n" "a text"
    (let bytes = String.sub file (8 * (object_ + 1)) (8 * (header lsr 36)) in
     List.exists
       (fun i -> String.sub bytes i 6 = "a text")
       (List.init (String.length bytes - 5) Fun.id));
  Sys.remove path
