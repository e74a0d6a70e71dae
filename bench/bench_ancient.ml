(* Ancient.mark and Ancient.share against Marshal.to_bytes and a plain copy of as many bytes.

   One line per data set: the copy's size, the medians in milliseconds, how many times faster
   than Marshal the copies are, and how many times slower than the plain copy the first is.
   [copied] is the copy alone, into a buffer that exists (by Netsys_mem.init_value, which copies
   as mark does); [mark] and [share] include getting their memory; the plain copy goes between
   two buffers that exist.

   Before, a small value, in nanoseconds; and behind, how long another domain, which allocates
   all the time, has to wait while large values are marked. *)

open Data

let cmts directory =
  let cmt name =
    if Filename.check_suffix name ".cmt" then
      Some (Cmt_format.read_cmt (Filename.concat directory name))
    else None
  in
  List.filter_map cmt (List.sort compare (Array.to_list (Sys.readdir directory)))

(* A buffer that is in memory already. *)
let buffer bytes =
  let b = Bigarray.Array1.create Bigarray.char Bigarray.c_layout bytes in
  Bigarray.Array1.fill b 'x';
  b

let plain_copy bytes =
  let source = buffer bytes and target = buffer bytes in
  fun () -> Bigarray.Array1.blit source target

(* For a little more: static data is copied, too. *)
let copied bytes value =
  let target = buffer (bytes + 65536) in
  fun () -> Netsys_mem.init_value target 0 value Netsys_mem.[ Copy_atom; Copy_custom_int ]

let bench md (Data (name, make)) =
  let value = make () in
  Gc.compact ();
  let marked, info = Ancient.mark_info value in
  Ancient.delete marked;
  let bytes = info.Ancient.i_size in
  let measure () =
    Measure.medians
      [
        Measure.contender "memcpy" (plain_copy bytes);
        Measure.contender "copied" (copied bytes value);
        Measure.contender "mark" ~after:Ancient.delete (fun () -> Ancient.mark value);
        Measure.contender "share" (fun () -> Ancient.share md 0 value);
        Measure.contender "Marshal" (fun () -> Marshal.to_bytes value []);
      ]
  in
  match measure () with
  | [ (_, memcpy); (_, copied); (_, mark); (_, share); (_, marshal) ] ->
      Printf.printf
        "%-24s %6.1f %8.1f %8.1f %8.1f %8.1f %8.1f %8.1f %8.1f %8.1f %8.1f\n%!" name
        (float bytes /. 1e6)
        (memcpy *. 1e3) (copied *. 1e3) (mark *. 1e3) (share *. 1e3) (marshal *. 1e3)
        (marshal /. copied) (marshal /. mark) (marshal /. share) (copied /. memcpy)
  | _ -> assert false

type part = { name : string; index : int; weight : float } [@@warning "-69"]

(* 41 blocks, as a compiler's symbol may have. *)
let small_value () =
  let part i = { name = Printf.sprintf "part %d" i; index = i; weight = float i } in
  ( Sys.opaque_identity "src/module.ml" ^ "",
    List.init 9 part,
    Array.init 4 float,
    Some (ref 1.5) )

let small () =
  let value = small_value () and times = 100_000 in
  (* The memory of the next is that of one before, as in a program that has run for a while. *)
  let mark () =
    for _ = 1 to times do
      Ancient.delete (Ancient.mark value)
    done
  in
  let marshal () =
    for _ = 1 to times do
      ignore (Sys.opaque_identity (Marshal.to_string value []))
    done
  in
  Measure.medians
    [
      Measure.contender "mark and delete" mark;
      Measure.contender "Marshal.to_string" marshal;
    ]
  |> List.iter (fun (name, seconds) ->
         Printf.printf "a value of 41 blocks, %-20s %10s\n%!" name
           (Measure.per times seconds))

(* The longest turn of a loop in another domain, while values are marked. *)
let waits data =
  let stop = Atomic.make false and marking = Atomic.make false in
  let longest = Atomic.make 0. in
  let allocate () =
    while not (Atomic.get stop) do
      let before = Atomic.get marking and start = Unix.gettimeofday () in
      ignore (Sys.opaque_identity (List.init 100 ref));
      let turn = Unix.gettimeofday () -. start in
      if before && turn > Atomic.get longest then Atomic.set longest turn
    done
  in
  let other = Domain.spawn allocate in
  let wait (Data (name, make)) =
    let value = make () in
    Atomic.set longest 0.;
    for _ = 1 to Measure.rounds do
      Atomic.set marking true;
      let marked = Ancient.mark value in
      Atomic.set marking false;
      Ancient.delete marked
    done;
    Printf.printf "longest wait beside %d marks of a %-20s %8.1f ms\n%!" Measure.rounds
      name
      (Atomic.get longest *. 1e3)
  in
  List.iter wait data;
  Atomic.set stop true;
  Domain.join other

let () =
  small ();
  print_newline ();
  let path = Filename.temp_file "bench" ".image" in
  let md = Ancient.attach (Unix.openfile path [ O_RDWR ] 0) 0n in
  Sys.remove path;
  Printf.printf "share writes to a file in %s\n" (Filename.dirname path);
  Printf.printf "medians of %d, ms%-8s %6s %8s %8s %8s %8s %8s %8s %8s %8s %8s\n"
    Measure.rounds "" "MB" "memcpy" "copied" "mark" "share" "Marshal" "Mars/cpd"
    "Mars/mrk" "Mars/shr" "cpd/mcpy";
  let data =
    [
      tree_20;
      map_500k;
      list_2m;
      strings_1m;
      table_500k;
      Data (".cmt files of the stdlib", fun () -> cmts Config.standard_library);
    ]
  in
  List.iter (bench md) data;
  print_newline ();
  waits
    [
      Data ("list of 10 M ints", fun () -> list 10_000_000);
      Data ("map of 1 M strings", fun () -> map 1_000_000);
      Data ("string of 1 GB", fun () -> Bytes.make (1 lsl 30) 'x');
    ]
