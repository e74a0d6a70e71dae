(* A value that zstd makes smaller than LZ4 does, there and back. *)
module Table (Compression : SharedMem.Compression) =
  SharedMem.CompressedHeap (Compression) (Int)
    (struct
      type t = string

      let description = "strings"
    end)

module Lz4 = Table (struct
  let compression = SharedMem.Lz4
end)

module Zstd = Table (struct
  let compression = SharedMem.Zstd 19
end)

let () =
  let config = { SharedMem.heap_size = 1 lsl 20; hash_table_pow = 10 } in
  ignore (Result.get_ok (SharedMem.init config ~num_workers:1));
  let value = String.concat ", " (List.init 5000 string_of_int) in
  Lz4.add 1 value;
  let lz4 = SharedMem.heap_size () in
  Zstd.add 1 value;
  let zstd = SharedMem.heap_size () - lz4 in
  assert (Lz4.get 1 = Some value && Zstd.get 1 = Some value && zstd < lz4);
  print_endline "zstd works"
