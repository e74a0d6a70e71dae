(* Ancient.copy, and Netsys_mem.copy_value from a buffer, against unmarshalling as much. *)

open Data

(* 41 blocks, 99 words. *)
let small () =
  let item i = (string_of_int i, float i, Some i) in
  (List.init 8 item, Array.init 7 Fun.id)

let rec times n f =
  if n > 0 then begin
    ignore (Sys.opaque_identity (f ()));
    times (n - 1) f
  end

(* [n] times what [Data] says. *)
let bench (n, Data (name, make)) =
  let value = make () in
  let marked, { Ancient.i_size } = Ancient.mark_info value in
  let ancient = Ancient.follow marked in
  let bytes = Marshal.to_bytes value [] in
  let string = Bytes.to_string bytes in
  let memory = Netsys_mem.alloc_memory_pages i_size in
  let voffset, _ = Netsys_mem.init_value memory 0 value [] in
  let built = Netsys_mem.as_value memory voffset in
  let contender name f =
    Measure.contender name ~prepare:Gc.full_major (fun () -> times n f)
  in
  let results =
    Measure.medians
      [
        contender "copy" (fun () -> Ancient.copy ancient);
        contender "copy_value" (fun () -> Netsys_mem.copy_value [] built);
        contender "from_string" (fun () -> Marshal.from_string string 0);
        contender "from_bytes" (fun () -> Marshal.from_bytes bytes 0);
      ]
  in
  ignore (Sys.opaque_identity memory);
  match List.map snd results with
  | [ copy; copy_value; from_string; from_bytes ] ->
      let each seconds = seconds /. float n *. 1e9 in
      Printf.printf "%-28s %9d %12.0f %12.0f %12.0f %12.0f %8.2f %8.2f\n%!" name i_size
        (each copy) (each copy_value) (each from_string) (each from_bytes)
        (from_string /. copy) (from_bytes /. copy)
  | _ -> assert false

let () =
  Printf.printf "medians of %d, ns %-10s %9s %12s %12s %12s %12s %8s %8s\n" Measure.rounds
    "" "bytes" "copy" "copy_value" "from_string" "from_bytes" "str/copy" "byt/copy";
  List.iter bench
    [
      (1_000_000, Data ("41 blocks", small));
      (10_000, Data ("1,000 strings", fun () -> List.init 1000 key));
      (1, tree_20);
      (1, map_500k);
      (1, list_2m);
      (1, strings_1m);
    ]
