(* Allocation and mapping. *)

open Checks

external alloc_pages : nativeint -> bool -> int -> int -> memory
  = "hh_netsys_alloc_memory_pages"

let alloc_memory_pages ?(addr = 0n) ?(exec = false) ?(huge = false) ?(prefault = false)
    size =
  if size < 0 then invalid "alloc_memory_pages: size %d" size;
  alloc_pages addr exec (eager_bits ~huge ~prefault) size

external alloc_aligned : int -> int -> int -> memory = "hh_netsys_alloc_aligned_memory"

let alloc_aligned_memory ?(huge = false) ?(prefault = false) alignment size =
  if size < 0 then invalid "alloc_aligned_memory: size %d" size;
  (* No power of two: the system's own refusal. *)
  alloc_aligned (max 0 alignment) (eager_bits ~huge ~prefault) size

external map_file : Unix.file_descr -> int64 -> nativeint -> bool -> int -> memory
  = "hh_netsys_map_file"

(* What follows [pos] in the file. *)
let rest_of_file fd pos =
  let end_ = (Unix.LargeFile.fstat fd).st_size in
  if end_ < pos then
    failwith
      (Printf.sprintf "Netsys_mem.memory_map_file: the file has %Ld bytes, pos is %Ld"
         end_ pos);
  Int64.to_int (Int64.sub end_ pos)

external prefault_file : memory -> unit = "hh_netsys_prefault_file"

let memory_map_file fd ?(pos = 0L) ?(addr = 0n) ?(prefault = false) shared size =
  if pos < 0L then invalid "memory_map_file: pos %Ld" pos;
  if size < -1 then invalid "memory_map_file: size %d" size;
  if size > 0 && pos > Int64.sub Int64.max_int (Int64.of_int size) then
    invalid "memory_map_file: pos %Ld + size %d is no file size" pos size;
  let m = map_file fd pos addr shared (if size = -1 then rest_of_file fd pos else size) in
  if prefault && length m > 0 then prefault_file m;
  m

external is_mapping : memory -> bool = "hh_netsys_is_mapping"
external release : memory -> unit = "hh_netsys_release" [@@noalloc]

let memory_unmap_file m = if is_mapping m then release m

external renew_pages : memory -> int -> int -> unit = "hh_netsys_zero_pages"

let zero_pages m pos len =
  check_memory "zero_pages" m pos len;
  let start = Nativeint.add (memory_address m) (Nativeint.of_int pos) in
  if Nativeint.rem start (Nativeint.of_int pagesize) <> 0n || len mod pagesize <> 0 then
    invalid "zero_pages: %d bytes at address 0x%nx are not whole pages" len start;
  renew_pages m pos len

external grab_range : nativeint -> int -> memory = "hh_netsys_grab"

let grab addr len =
  (* As unsigned numbers, the end is not before the start. *)
  if
    len < 0
    || Nativeint.unsigned_compare (Nativeint.add addr (Nativeint.of_int len)) addr < 0
  then invalid "grab: address 0x%nx, length %d" addr len;
  grab_range addr len
