open Bigarray

type blocks = (nativeint, nativeint_elt, c_layout) Array1.t

external blocks : 'a -> int -> blocks = "bench_blocks"

external copy_blocks : blocks -> (char, int8_unsigned_elt, c_layout) Array1.t -> unit
  = "bench_copy_blocks"

external allocate_blocks : blocks -> unit = "bench_allocate_blocks"
external fresh_table : int -> unit = "bench_fresh_table"
external take_place : string -> unit = "bench_take_place" [@@noalloc]
external see_place : string -> bool = "bench_see_place" [@@noalloc]

(* A block takes two words and more. *)
let blocks value ~bytes = blocks value ((bytes / 16) + 1)

let copying blocks ~bytes =
  let target = Scratch.buffer bytes in
  Measure.contender "limit: blocks in a known order" (fun () -> copy_blocks blocks target)

let allocating blocks =
  Measure.contender "limit: allocating the blocks" ~prepare:Gc.full_major (fun () ->
      allocate_blocks blocks)
