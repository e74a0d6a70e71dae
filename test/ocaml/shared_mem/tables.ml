(* What the tests of this folder share: heaps in processes of their own, as a process has but
   one, and a few tables. All executables apply the functors in this one order. *)

open Test_support

let config = { SharedMem.heap_size = 1 lsl 24; hash_table_pow = 12 }

let make ?(config = config) num_workers =
  match SharedMem.init config ~num_workers with
  | Ok handle -> handle
  | Error () -> failwith "init"

(* [alone f] runs [f] in a child process, which may make a heap. *)
let alone f = wait_ok (fork f)

(* [with_heap f] runs [f handle] in a child process that is the master of a heap. *)
let with_heap ?config ?(workers = 2) f = alone (fun () -> f (make ?config workers))

let case ?config ?workers name f =
  test name (fun () -> with_heap ?config ?workers (fun handle -> f handle))

(* [worker handle id f] is the pid of a forked worker that runs [f]. *)
let worker handle worker_id f =
  fork (fun () ->
      SharedMem.connect handle ~worker_id;
      f ())

module StringKey = struct
  type t = string

  let to_string s = s
  let compare = String.compare
end

module Ints =
  SharedMem.SerializedHeap
    (StringKey)
    (struct
      type t = int

      let description = "ints"
    end)

module Lists =
  SharedMem.SerializedHeap
    (StringKey)
    (struct
      type t = (int * string) list

      let description = "lists"
    end)

module Addrs =
  SharedMem.AddrHeap
    (StringKey)
    (struct
      type t = [ `string ]
    end)

module Fun =
  SharedMem.SerializedHeap
    (StringKey)
    (struct
      type t = int -> int

      let description = "functions"
    end)

let list_of n = List.init (1 + (n mod 50)) (fun i -> (n + i, string_of_int (n * i)))
let key n = "key " ^ string_of_int n

(* [refused what f] fails unless [f ()] raises Invalid_argument. *)
let refused what f = raises_invalid what f

let raises what expected f =
  match f () with
  | _ -> Alcotest.failf "%s: nothing was raised" what
  | exception exn ->
      if not (expected exn) then
        Alcotest.failf "%s: raised %s" what (Printexc.to_string exn)
