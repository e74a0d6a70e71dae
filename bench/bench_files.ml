(* Ancient's files: opening one and reading a key, against Marshal.from_channel, for files of ten
   megabytes to a gigabyte; and going over a value outside the heap, against the same in the heap.

     bench_files.exe [quick]     quick: no gigabyte

   Each opening is one process's first, started for it: it opens the file, gets the key, follows
   it and reads a field. What the operating system caches of the file is cached. *)

open Data

let rec sum = function Leaf -> 0 | Node (left, n, right) -> sum left + n + sum right

let timed f =
  let start = Unix.gettimeofday () in
  let result = Sys.opaque_identity (f ()) in
  (result, Unix.gettimeofday () -. start)

let median times =
  let sorted = List.sort Float.compare times in
  List.nth sorted (List.length sorted / 2)

(* In a process of its own. *)

let root = function Leaf -> 0 | Node (_, n, _) -> n

let open_image path =
  let n, seconds =
    timed (fun () ->
        let md = Ancient.open_file path in
        root (Ancient.follow (Ancient.get md 0)))
  in
  assert (n = 1);
  Printf.printf "%.9f" seconds

let open_marshalled path =
  let n, seconds =
    timed (fun () -> root (In_channel.with_open_bin path Marshal.from_channel))
  in
  assert (n = 1);
  Printf.printf "%.9f" seconds

let in_a_process what path =
  let self = Sys.executable_name in
  let channel = Unix.open_process_args_in self [| self; what; path |] in
  let seconds = float_of_string (In_channel.input_all channel) in
  assert (Unix.close_process_in channel = WEXITED 0);
  seconds

let rounds what path n = median (List.init n (fun _ -> in_a_process what path))

let opening depth =
  let image = Filename.temp_file "bench" ".image" in
  let marshalled = Filename.temp_file "bench" ".marshal" in
  let value = tree depth 1 in
  let md = Ancient.open_file image ~mode:Read_write ~durable:false in
  let _, info = Ancient.share_info md 0 value in
  Ancient.detach md;
  Out_channel.with_open_bin marshalled (fun c -> Marshal.to_channel c value []);
  let ours = rounds "open" image 9 in
  let marshal = rounds "marshal" marshalled (if depth > 22 then 1 else 5) in
  Printf.printf
    "open, get, follow: %6.0f MB %8.0f µs   Marshal %8.0f ms   %9.0f times\n%!"
    (float info.i_size /. 1e6)
    (ours *. 1e6) (marshal *. 1e3) (marshal /. ours);
  Sys.remove image;
  Sys.remove marshalled

(* Going over a value. *)

type walk = Walk : string * 'a * ('a -> int) -> walk

let walks () =
  let lengths = Array.fold_left (fun n s -> n + String.length s) 0 in
  let keys map = Strings.fold (fun s x n -> n + String.length s + int_of_float x) map 0 in
  let entries table = Hashtbl.fold (fun i s n -> n + i + String.length s) table 0 in
  [
    Walk ("tree of 2^20 nodes", tree 20 1, sum);
    Walk ("map of 500,000 strings", map 500_000, keys);
    Walk ("list of 2 M ints", list 2_000_000, List.fold_left ( + ) 0);
    Walk ("array of 1 M strings", strings 1_000_000, lengths);
    Walk ("hash table of 500,000", table 500_000, entries);
  ]

let go_over (Walk (name, value, walk)) =
  Gc.compact ();
  let marked = Ancient.mark value in
  let outside = Ancient.follow marked in
  match
    Measure.medians
      [
        Measure.contender "heap" (fun () -> walk value);
        Measure.contender "ancient" (fun () -> walk outside);
      ]
  with
  | [ (_, heap); (_, ancient) ] ->
      Ancient.delete marked;
      Printf.printf "go over a %-25s heap %7.1f ms   ancient %7.1f ms   %5.2f times\n%!"
        name (heap *. 1e3) (ancient *. 1e3) (heap /. ancient)
  | _ -> assert false

let () =
  match Sys.argv with
  | [| _; "open"; path |] -> open_image path
  | [| _; "marshal"; path |] -> open_marshalled path
  | _ ->
      let quick = Array.mem "quick" Sys.argv in
      List.iter opening (if quick then [ 18; 21 ] else [ 18; 21; 25 ]);
      List.iter go_over (walks ())
