(* Hh_shared gives all four modules. One value goes through each of them and on to the next, in
   two domains at once while the collector compacts: what one module made, another copies. *)
open Test_support
open Hh_shared

module Table =
  SharedMem.SerializedHeap
    (Int)
    (struct
      type t = string list

      let description = "lists"
    end)

let half = 65_536

let pass ~region ~memory ~file domain =
  for i = 0 to 99 do
    let key = (domain * 1000) + i in
    let value = List.init 20 (fun j -> Printf.sprintf "%d-%d" key j) in
    Table.add key value;
    let marked = Ancient.mark (Option.get (Table.get key)) in
    ignore (Ancient.share file key (Ancient.follow marked));
    Ancient.delete marked;
    let shared : string list = Ancient.follow (Ancient.get file key) in
    let offset, _ = Netsys_mem.init_value memory (domain * half) shared [] in
    Table.add (10_000 + key) (Netsys_mem.as_value memory offset);
    ignore (Rszshm.fetch_add region 0 1);
    if i mod 25 = 0 then Gc.compact ();
    if Table.get (10_000 + key) <> Some value then failwith (string_of_int key)
  done

let through_all () =
  let config = { SharedMem.heap_size = 1 lsl 24; hash_table_pow = 12 } in
  ignore (Result.get_ok (SharedMem.init config ~num_workers:0));
  let region = Rszshm.make 4096 in
  let memory = Netsys_mem.alloc_memory_pages (2 * half) in
  with_temp_dir @@ fun dir ->
  let fd = Unix.openfile (Filename.concat dir "image") [ O_RDWR; O_CREAT ] 0o600 in
  let file = Ancient.attach fd 0n in
  Unix.close fd;
  let other = Domain.spawn (fun () -> pass ~region ~memory ~file 1) in
  pass ~region ~memory ~file 0;
  Domain.join other;
  check_int "passes" 200 (Rszshm.load region 0);
  check_int "entries" 400 (SharedMem.hash_stats ()).used_slots;
  Ancient.detach file;
  Rszshm.remove region;
  Rszshm.detach region

let () =
  run "Hh_shared" [ ("umbrella", [ test "through all modules, twice" through_all ]) ]
