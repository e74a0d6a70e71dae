let expect what ok = if not ok then failwith what

let raises what expected f =
  match f () with
  | _ -> failwith (what ^ ": no exception")
  | exception e when expected e -> ()
  | exception e -> failwith (Printf.sprintf "%s: %s" what (Printexc.to_string e))

module Table =
  SharedMem.SerializedHeap
    (Int)
    (struct
      type t = string list

      let description = "lists"
    end)

let shared_mem () =
  let config = { SharedMem.heap_size = 1 lsl 16; hash_table_pow = 8 } in
  let heap = Result.get_ok (SharedMem.init config ~num_workers:1) in
  (match Unix.fork () with
  | 0 ->
      SharedMem.connect heap ~worker_id:1;
      Table.add 1 [ "of"; "a worker" ];
      Unix._exit 0
  | worker -> expect "worker" (snd (Unix.waitpid [] worker) = WEXITED 0));
  expect "what the worker added" (Table.get 1 = Some [ "of"; "a worker" ]);
  let large = List.init 20_000 string_of_int in
  raises "a value too large"
    (function SharedMem.Heap_full -> true | _ -> false)
    (fun () -> Table.add 2 large)

let ancient () =
  let words = List.init 1000 string_of_int in
  let proxy = Ancient.mark words in
  let copy = Ancient.follow proxy in
  Gc.compact ();
  expect "equal to its copy" (copy = words && Hashtbl.hash copy = Hashtbl.hash words);
  expect "is_ancient" (Ancient.is_ancient copy && not (Ancient.is_ancient words));
  Ancient.delete proxy;
  let refused = function Invalid_argument _ -> true | _ -> false in
  raises "a deleted value" refused (fun () -> Ancient.follow proxy);
  raises "a lazy value" refused (fun () ->
      Ancient.mark (lazy (Sys.opaque_identity (ref 0))));
  let path = Filename.temp_file "link" ".image" in
  let fd = Unix.openfile path [ O_RDWR; O_CLOEXEC ] 0 in
  let file = Ancient.attach fd 0n in
  Unix.close fd;
  Sys.remove path;
  ignore (Ancient.share file 7 words);
  expect "in a file" (Ancient.follow (Ancient.get file 7) = words);
  raises "a key without a value"
    (function Not_found -> true | _ -> false)
    (fun () -> Ancient.get file 8);
  Ancient.detach file

let netsys_mem () =
  let memory = Netsys_mem.alloc_memory_pages Netsys_mem.pagesize in
  let value = [ (1L, 2l, 3n, 4.); (5L, 6l, 7n, 8.) ] in
  let offset, _ = Netsys_mem.init_value memory 0 value [ Copy_custom_int ] in
  Gc.full_major ();
  expect "as_value" (Netsys_mem.as_value memory offset = value);
  expect "its int64, marshalled"
    (Marshal.from_string (Marshal.to_string (Netsys_mem.as_value memory offset) []) 0
    = value);
  raises "a buffer too small"
    (function Netsys_mem.Out_of_space -> true | _ -> false)
    (fun () -> Netsys_mem.init_value memory 0 (Array.make 4096 0) []);
  ignore (Sys.opaque_identity memory)

let rszshm () =
  let region = Rszshm.make 4096 in
  let before = Rszshm.capacity region in
  expect "grow" (Rszshm.grow region && Rszshm.capacity region > before);
  (match Unix.fork () with
  | 0 ->
      ignore (Rszshm.fetch_add region before 42);
      Unix._exit 0
  | child -> expect "child" (snd (Unix.waitpid [] child) = WEXITED 0));
  expect "what the child added" (Rszshm.load region before = 42);
  Rszshm.remove region;
  Rszshm.detach region;
  raises "a detached region"
    (function Unix.Unix_error (EBADF, _, _) -> true | _ -> false)
    (fun () -> Rszshm.data region)

let all =
  [
    ("SharedMem", shared_mem);
    ("Ancient", ancient);
    ("Netsys_mem", netsys_mem);
    ("Rszshm", rszshm);
  ]
