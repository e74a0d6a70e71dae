(* Tables of each compression, applied in one order by all programs of this folder, and values. *)

module Table (Compression : SharedMem.Compression) =
  SharedMem.CompressedHeap
    (Compression)
    (struct
      type t = string

      let to_string s = s
      let compare = String.compare
    end)
    (struct
      type t = string

      let description = "strings"
    end)

module Plain = Table (struct
  let compression = SharedMem.No_compression
end)

module Lz4 = Table (struct
  let compression = SharedMem.Lz4
end)

module Fast = Table (struct
  let compression = SharedMem.Zstd 1
end)

module Small = Table (struct
  let compression = SharedMem.Zstd 19
end)

let make ?(heap_size = 1 lsl 27) () =
  let config = { SharedMem.heap_size; hash_table_pow = 12 } in
  Result.get_ok (SharedMem.init config ~num_workers:2)

(* The next of a sequence of numbers that is the same in every process. *)
let random state =
  state := ((!state * 0x5851f42d4c957f2d) + 1442695040888963407) land max_int;
  !state lsr 24

(* What compresses well: [len] bytes of words. *)
let text len =
  let state = ref 1 and buffer = Buffer.create (len + 20) in
  while Buffer.length buffer < len do
    Buffer.add_string buffer (string_of_int (random state mod 1000));
    Buffer.add_string buffer " bottles, "
  done;
  Buffer.sub buffer 0 len

(* What doesn't. *)
let noise len =
  let state = ref 1 in
  String.init len (fun _ -> Char.chr (random state land 255))
