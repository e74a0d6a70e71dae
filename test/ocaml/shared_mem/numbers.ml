(* Sorted sets of numbers in the heap, for the tests of sets. *)

open SharedMem.NewAPI
open Prepare_syntax

type set = [ `int64 ] sklist

module Sets =
  SharedMem.AddrHeap
    (Tables.StringKey)
    (struct
      type t = set
    end)

let make key = ignore (Sets.add key (alloc prepare_write_sklist))
let get key : set SharedMem.addr = Option.get (Sets.get key)
let compare a b = Int64.compare (read_int64 a) (read_int64 b)
let number n = alloc (prepare_write_int64 (Int64.of_int n))

let add set n =
  let node =
    alloc
      (let+ element = prepare_write_int64 (Int64.of_int n)
       and+ node = prepare_write_sknode () in
       node element)
  in
  sklist_add compare set node

let remove set n = sklist_remove compare set (number n)
let mem set n = sklist_mem compare set (number n)

(* The elements; fails unless they are in order. *)
let elements set =
  let found = ref [] in
  let each element =
    let n = Int64.to_int (read_int64 element) in
    (match !found with
    | last :: _ when last >= n -> Alcotest.failf "%d comes before %d" last n
    | _ -> ());
    found := n :: !found
  in
  sklist_iter each set;
  List.rev !found
