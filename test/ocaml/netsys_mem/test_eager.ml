(* Huge pages, and pages put into memory before they are touched. *)

open Test_support
module A = Bigarray.Array1

let page = Netsys_mem.pagesize
let step = 2 lsl 20

(* What /proc/self/smaps says about the mappings that begin within [m]: kilobytes in memory, and
   flags. *)
let smaps m =
  let first = Netsys_mem.memory_address m in
  let last = Nativeint.add first (Nativeint.of_int (A.dim m)) in
  let within = ref false and resident = ref 0 and flags = ref [] in
  let line line =
    match String.split_on_char ' ' line |> List.filter (( <> ) "") with
    | "Rss:" :: kb :: _ when !within -> resident := !resident + int_of_string kb
    | "VmFlags:" :: more when !within -> flags := more @ !flags
    | range :: _ :: _ :: _ :: _ -> (
        match Scanf.sscanf_opt range "%nx-%nx%!" (fun a b -> (a, b)) with
        | Some (a, b) -> within := a < last && b > first
        | None -> ())
    | _ -> ()
  in
  In_channel.with_open_text "/proc/self/smaps" (fun ic ->
      String.split_on_char '\n' (In_channel.input_all ic) |> List.iter line);
  (!resident * 1024, !flags)

(* Where the kernel has been built without huge pages, no mapping can be flagged. *)
let has_huge_pages = Sys.file_exists "/sys/kernel/mm/transparent_hugepage/enabled"

let check_pages what ~huge ~resident m =
  let in_memory, flags = smaps m in
  check_bool (what ^ ": huge") (huge && has_huge_pages) (List.mem "hg" flags);
  if resident then
    check_bool (what ^ ": in memory") true (in_memory >= A.dim m / page * page)
  else check_int (what ^ ": not in memory") 0 in_memory

let zero m = Netsys_mem.string_of_memory m = String.make (A.dim m) '\000'

let pages () =
  let size = (3 * step) + page in
  let alloc ?exec ?huge ?prefault () =
    Netsys_mem.alloc_memory_pages ?exec ?huge ?prefault size
  in
  (* At addresses of their own: neighbours that are alike become one mapping. *)
  check_pages "lazy" ~huge:false ~resident:false
    (Netsys_mem.alloc_memory_pages ~addr:0x0a60_0000_0000n size);
  check_pages "prefault" ~huge:false ~resident:true (alloc ~prefault:true ());
  let huge = Netsys_mem.alloc_memory_pages ~addr:0x0a70_0000_0000n ~huge:true size in
  check_pages "huge" ~huge:true ~resident:false huge;
  let both = alloc ~exec:true ~huge:true ~prefault:true () in
  check_pages "both" ~huge:true ~resident:true both;
  check_bool "on a huge page" true
    (Nativeint.rem (Netsys_mem.memory_address both) (Nativeint.of_int step) = 0n);
  check_int "as long" size (A.dim both);
  check_bool "zero" true (zero both && zero huge);
  List.iter
    (fun m ->
      A.fill m 'x';
      Netsys_mem.memory_unmap_file m;
      check_int "unmapped" 0 (A.dim m))
    [ both; huge ];
  check_int "a page" page
    (A.dim (Netsys_mem.alloc_memory_pages ~huge:true ~prefault:true 1))

let refused () =
  let each f =
    f ~huge:true ~prefault:false;
    f ~huge:false ~prefault:true;
    f ~huge:true ~prefault:true
  in
  each (fun ~huge ~prefault ->
      let pages = Netsys_mem.alloc_memory_pages ~huge ~prefault in
      raises_invalid "negative" (fun () -> pages (-1));
      raises_unix "none" EINVAL (fun () -> pages 0);
      raises_unix "all" ENOMEM (fun () -> pages max_int);
      let aligned = Netsys_mem.alloc_aligned_memory ~huge ~prefault in
      raises_invalid "negative" (fun () -> aligned 64 (-1));
      raises_unix "alignment" EINVAL (fun () -> aligned 24 100);
      raises_unix "all" ENOMEM (fun () -> aligned 64 max_int);
      check_int "empty" 0 (A.dim (aligned 64 0));
      let small = aligned 64 100 in
      A.fill small 's';
      check_string "no whole page" (String.make 100 's')
        (Netsys_mem.string_of_memory small))

let aligned () =
  let size = 9 * step in
  check_pages "both" ~huge:true ~resident:true
    (Netsys_mem.alloc_aligned_memory ~huge:true ~prefault:true step size);
  let m = Netsys_mem.alloc_aligned_memory ~prefault:true step size in
  let in_memory, _ = smaps m in
  check_bool "prefaulted" true (in_memory >= size)

let files () =
  with_temp_dir (fun dir ->
      let path = Filename.concat dir "f" in
      let size = 50 * page in
      Out_channel.with_open_bin path (fun oc -> output_string oc (String.make size 'f'));
      let fd = Unix.openfile path [ O_RDWR ] 0 in
      List.iter
        (fun shared ->
          let map ?prefault () =
            Netsys_mem.memory_map_file fd ~pos:100L ?prefault shared (-1)
          in
          let m = map ~prefault:true () in
          let in_memory, _ = smaps m in
          check_bool "in memory" true (in_memory >= size);
          check_bool "as it was" true (A.get m 0 = 'f' && A.get m (size - 101) = 'f');
          let lazy_ = map () in
          check_int "not unless asked" 0 (fst (smaps lazy_)))
        [ true; false ];
      check_int "nothing" 0 (A.dim (Netsys_mem.memory_map_file fd ~prefault:true true 0));
      (* Pages that the file has no more: no signal. *)
      Unix.ftruncate fd page;
      let m = Netsys_mem.memory_map_file fd true (2 * page) in
      Unix.ftruncate fd 0;
      let again = Netsys_mem.memory_map_file fd ~prefault:true true (2 * page) in
      check_int "again" (2 * page) (A.dim again);
      ignore (Sys.opaque_identity m);
      Unix.close fd)

let suites =
  ( "pages ahead",
    [
      test "pages" pages;
      test "refused" refused;
      test "aligned memory" aligned;
      test "files" files;
    ] )
