(* A program with the primitives' names in externals of its own, as Flow's modules declare them. *)
type config = { heap_size : int; hash_table_pow : int }
type buf = (char, Bigarray.int8_unsigned_elt, Bigarray.c_layout) Bigarray.Array1.t

exception Heap_full

let () = Callback.register_exception "heap_full" Heap_full

external init : config -> num_workers:int -> buf * Unix.file_descr = "hh_shared_init"
external connect : Unix.file_descr -> worker_id:int -> buf = "hh_connect"
external store : 'a -> int -> int = "hh_store_ocaml"
external deserialize : int -> 'a = "hh_deserialize"
external add : string -> int -> int = "hh_add"
external mem : string -> bool = "hh_mem"
external get : string -> int = "hh_get"

let () =
  let _, fd = init { heap_size = 1 lsl 20; hash_table_pow = 10 } ~num_workers:1 in
  let key = Digest.string "a key" in
  (match Unix.fork () with
  | 0 ->
      ignore (connect fd ~worker_id:1);
      ignore (add key (store [ "of"; "a worker" ] 19));
      Unix._exit 0
  | worker -> assert (snd (Unix.waitpid [] worker) = WEXITED 0));
  assert (mem key && deserialize (get key) = [ "of"; "a worker" ]);
  let noise = String.init 2_000_000 (fun _ -> Char.chr (Random.int 256)) in
  match store noise 19 with
  | _ -> assert false
  | exception Heap_full -> print_endline "the primitives work"
