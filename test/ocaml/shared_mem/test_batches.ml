(* Many keys at once, against one after the other. *)

open Test_support
open Tables
module Segment = SharedMem.HashtblSegment (StringKey)

let int (addr : _ SharedMem.addr) : int = Obj.magic addr
let addr : int -> [ `string ] SharedMem.addr = Obj.magic
let objects n = Array.init n (fun i -> addr (Prim.string_object (string_of_int i)))
let names n = Array.init n (fun i -> "name " ^ string_of_int i)

(* More than one call of the primitive does. *)
let many = 3000

let like_one_by_one _ =
  let names = names many and objects = objects many in
  (* Some are there, some come twice. *)
  for i = 0 to 99 do
    ignore (Segment.add names.(30 * i) objects.(0))
  done;
  let entries =
    Array.init many (fun i -> (names.(if i mod 7 = 6 then i - 1 else i), objects.(i)))
  in
  let first = Hashtbl.create many in
  for i = 0 to 99 do
    Hashtbl.add first names.(30 * i) objects.(0)
  done;
  let expected =
    Array.map
      (fun (name, addr) ->
        if not (Hashtbl.mem first name) then Hashtbl.add first name addr;
        Hashtbl.find first name)
      entries
  in
  check_bool "what is stored afterwards" true (Segment.add_batch entries = expected);
  let absent = Array.map (( ^ ) "no ") names in
  let asked = Array.append names absent in
  let found = Segment.get_batch asked in
  check_bool "found" true (found = Array.map Segment.get asked);
  check_bool "some are there, some not" true
    Array.(mem None found && mem (Some objects.(0)) found && mem (Some objects.(1)) found);
  check_bool "mem" true (Segment.mem_batch asked = Array.map Segment.mem asked);
  let hashes = Array.map Segment.hash_of_key asked in
  check_bool "by hash" true (Segment.get_hashes hashes = found);
  check_bool "nothing" true
    (Segment.get_batch [||] = [||] && Segment.add_batch [||] = [||]);
  check_int "counted" (Hashtbl.length first) (SharedMem.hash_stats ()).used_slots

let hashes_of_ones_own _ =
  let objects = objects 3 in
  let hashes = [| "12345678"; String.make 20 '\000'; "123456789" |] in
  let stored = Segment.add_hashes hashes objects in
  (* The first 8 bytes are the key. *)
  check_bool "stored" true (stored = [| objects.(0); objects.(1); objects.(0) |]);
  check_bool "the caller's array is left alone" true (objects.(2) <> objects.(0));
  check_int "as the primitives see it" (int objects.(1)) (Prim.get (String.make 8 '\000'));
  let not_many = [| objects.(0) |] in
  refused "fewer addresses" (fun () -> Segment.add_hashes hashes not_many);
  refused "fewer hashes" (fun () -> Segment.add_hashes [||] not_many)

(* What can't be done ends a batch there; it raises as one does. *)
let refusals _ =
  List.iter
    (fun at ->
      SharedMem.reset_heap ();
      let good = addr (Prim.string_object "good") in
      let hashes = Array.init many (fun i -> Digest.string (string_of_int i)) in
      let saved = hashes.(at) in
      hashes.(at) <- "1234567";
      refused "a short hash" (fun () -> Segment.get_hashes hashes);
      refused "a short hash" (fun () -> Segment.add_hashes hashes (Array.make many good));
      check_int "those before" at (SharedMem.hash_stats ()).used_slots;
      hashes.(at) <- saved;
      let addrs = Array.make many good in
      addrs.(at) <- addr (int good + 8);
      let is_header = function SharedMem.Invalid_header _ -> true | _ -> false in
      raises "no object" is_header (fun () -> ignore (Segment.add_hashes hashes addrs));
      check_int "those before" at (SharedMem.hash_stats ()).used_slots;
      addrs.(at) <- addr (1 lsl 40);
      let is_address = function SharedMem.Invalid_address _ -> true | _ -> false in
      raises "no address" is_address (fun () -> ignore (Segment.add_hashes hashes addrs)))
    [ 0; 1; 15; 1023; 1024; 1025; many - 1 ]

let full _ =
  let a = addr (Prim.string_object "a") in
  let hashes = Array.init 300 (fun i -> Digest.string (string_of_int i)) in
  raises "full" (( = ) SharedMem.Hash_table_full) (fun () ->
      ignore (Segment.add_hashes hashes (Array.make 300 a)));
  let found = Segment.get_hashes hashes in
  check_int "those before" 256
    (Array.fold_left (fun n b -> if b = Some a then n + 1 else n) 0 found)

let cancelled _ =
  let names = names many in
  ignore
    (Segment.add_batch (Array.map (fun name -> (name, addr (Prim.store 1 19))) names));
  let stopped f =
    raises "stopped" (( = ) SharedMem.WorkerCancel.Worker_should_cancel) f
  in
  SharedMem.WorkerCancel.stop_workers ();
  stopped (fun () -> ignore (Segment.get_batch names));
  stopped (fun () ->
      ignore
        (Segment.add_hashes (Array.map Digest.string names) (Array.make many (addr 8))));
  SharedMem.WorkerCancel.resume_workers ();
  check_bool "goes on" true (Array.for_all Stdlib.Fun.id (Segment.mem_batch names))

let tables _ =
  let names = names 500 in
  let lists = Array.map (fun name -> (name, list_of (String.length name))) names in
  Lists.add names.(3) (list_of 99);
  Lists.add_batch lists;
  let asked = Array.append names [| "absent" |] in
  let one_by_one = Array.map Lists.get asked in
  check_bool "values" true (Lists.get_batch asked = one_by_one);
  check_bool "the first stays" true (one_by_one.(3) = Some (list_of 99));
  check_bool "none" true (one_by_one.(500) = None);
  check_bool "mem" true (Lists.mem_batch asked = Array.map Lists.mem asked);
  let objects = objects 500 in
  ignore (Addrs.add names.(7) objects.(0));
  let stored =
    Addrs.add_batch (Array.map2 (fun name addr -> (name, addr)) names objects)
  in
  check_int "the first stays" (int objects.(0)) (int stored.(7));
  check_bool "addresses" true (Addrs.get_batch asked = Array.map Addrs.get asked)

(* Two processes add the same keys: each is told who came first, and both the same. *)
let racing handle =
  let hashes = Array.init 4000 (fun i -> Digest.string (string_of_int i)) in
  let shared =
    let file = Filename.temp_file "hh" "batches" in
    let fd = Unix.openfile file [ O_RDWR ] 0 in
    Unix.unlink file;
    Bigarray.array2_of_genarray
      (Unix.map_file fd Bigarray.int Bigarray.c_layout true [| 2; 4000 |])
  in
  let work id () =
    let mine = addr (Prim.string_object (string_of_int id)) in
    let hashes =
      if id = 1 then hashes else Array.init 4000 (fun i -> hashes.(3999 - i))
    in
    let stored = Segment.add_hashes hashes (Array.make 4000 mine) in
    Array.iteri
      (fun i addr -> shared.{id - 1, if id = 1 then i else 3999 - i} <- int addr)
      stored
  in
  List.map (fun id -> worker handle id (work id)) [ 1; 2 ] |> List.iter wait_ok;
  let found = Segment.get_hashes hashes in
  for i = 0 to 3999 do
    let winner = int (Option.get found.(i)) in
    check_int "one winner" winner shared.{0, i};
    check_int "one winner" winner shared.{1, i}
  done

(* Domains that collect meanwhile: the strings and the arrays are theirs to move between two calls
   of the primitive, and no sooner. *)
let while_others_collect _ =
  let stop = Atomic.make false in
  let collector =
    Domain.spawn (fun () ->
        while not (Atomic.get stop) do
          ignore (Sys.opaque_identity (List.init 1000 string_of_int));
          Gc.minor ()
        done)
  in
  let a = addr (Prim.string_object "a") in
  for round = 1 to 20 do
    let names = Array.init many (fun i -> Printf.sprintf "%d of round %d" i round) in
    ignore (Segment.add_batch (Array.map (fun name -> (name, a)) names));
    check_bool "found" true (Array.for_all (( = ) (Some a)) (Segment.get_batch names))
  done;
  Atomic.set stop true;
  Domain.join collector

(* Between finding a value and reading it the master may have removed it, and a collection freed it:
   that is no damage. Here the master is the same process: its signal's handler does it, at any time
   in the middle. *)
let freed_meanwhile _ =
  let n = 20_000 in
  let names = names n in
  let values = Array.mapi (fun i name -> (name, list_of (i mod 7))) names in
  let odd = Array.to_list names |> List.filteri (fun i _ -> i mod 2 = 1) in
  let free () =
    Lists.remove_batch (Lists.KeySet.of_list odd);
    Prim.start_cycle ();
    while Prim.gc_phase () = 1 do
      ignore (Prim.mark_slice max_int)
    done;
    while Prim.gc_phase () = 2 do
      ignore (Prim.sweep_slice max_int)
    done
  in
  let armed = ref false in
  let handler _ =
    if !armed then begin
      armed := false;
      free ()
    end
  in
  Sys.set_signal Sys.sigalrm (Signal_handle handler);
  let in_the_middle = ref false and round = ref 0 in
  while not !in_the_middle do
    incr round;
    SharedMem.reset_heap ();
    Lists.add_batch values;
    armed := true;
    let seconds = 0.001 *. float (1 + (!round mod 30)) in
    ignore (Unix.setitimer ITIMER_REAL { it_interval = 0.; it_value = seconds });
    let found = Lists.get_batch names in
    armed := false;
    let gone = ref 0 in
    Array.iteri
      (fun i value ->
        if i mod 2 = 1 && value = None then incr gone
        else check_bool "whole" true (value = Some (list_of (i mod 7))))
      found;
    in_the_middle := !gone > 0 && !gone < n / 2
  done

let () =
  let large = { config with hash_table_pow = 17 } in
  run "shared_mem batches"
    [
      ( "batches",
        [
          case "as one by one" like_one_by_one;
          case "hashes of one's own" hashes_of_ones_own;
          case "refusals" refusals;
          case "a full table" ~config:{ config with hash_table_pow = 8 } full;
          case "cancelled" cancelled;
          case "tables" tables;
          case "two processes" ~config:large racing;
          case "while others collect" ~config:large while_others_collect;
          case "freed meanwhile" ~config:large freed_meanwhile;
        ] );
    ]
