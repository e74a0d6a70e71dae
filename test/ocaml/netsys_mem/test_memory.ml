(* Allocation and mapping: what they give, what they refuse, and that it goes away again. *)

open Test_support
module A = Bigarray.Array1

let page = Netsys_mem.pagesize
let address = Netsys_mem.memory_address
let aligned_to n m = Nativeint.rem (address m) (Nativeint.of_int n) = 0n
let all_zero m = Netsys_mem.string_of_memory m = String.make (A.dim m) '\000'

let raises_failure what f =
  match f () with
  | _ -> Alcotest.failf "%s: no exception" what
  | exception Failure _ -> ()

let page_size () =
  check_int "asked again" page (Netsys_mem.getpagesize ());
  check_bool "a power of two" true (page >= 4096 && page land (page - 1) = 0)

let pages () =
  let m = Netsys_mem.alloc_memory_pages 1 in
  check_int "rounded up" page (A.dim m);
  check_bool "aligned" true (aligned_to page m);
  check_bool "zero" true (all_zero m);
  check_int "whole" (2 * page) (A.dim (Netsys_mem.alloc_memory_pages (2 * page)));
  check_int "next" (3 * page) (A.dim (Netsys_mem.alloc_memory_pages ((2 * page) + 1)));
  let wish = 0x0a00_0000_0000n in
  let there = Netsys_mem.alloc_memory_pages ~addr:wish 10 in
  check_bool "address" true (address there = wish);
  let elsewhere = Netsys_mem.alloc_memory_pages ~addr:wish 10 in
  check_bool "never over another" true (address elsewhere <> wish);
  A.set there 0 'x';
  check_bool "its own" true (A.get elsewhere 0 = '\000')

(* The line of /proc/self/maps that holds [addr]. *)
let map_line addr =
  let within line =
    Scanf.sscanf line "%Lx-%Lx" (fun first last ->
        let addr = Int64.of_nativeint addr in
        first <= addr && addr < last)
  in
  In_channel.with_open_text "/proc/self/maps" In_channel.input_all
  |> String.split_on_char '\n'
  |> List.find_opt (fun line -> line <> "" && within line)

let executable () =
  let perms m =
    Option.map (fun l -> List.nth (String.split_on_char ' ' l) 1) (map_line (address m))
  in
  let m = Netsys_mem.alloc_memory_pages ~exec:true page in
  Alcotest.(check (option string)) "exec" (Some "rwxp") (perms m);
  Alcotest.(check (option string))
    "not" (Some "rw-p")
    (perms (Netsys_mem.alloc_memory_pages page))

let refused_sizes () =
  raises_invalid "negative" (fun () -> Netsys_mem.alloc_memory_pages (-1));
  raises_invalid "min_int" (fun () -> Netsys_mem.alloc_memory_pages min_int);
  raises_unix "none" EINVAL (fun () -> Netsys_mem.alloc_memory_pages 0);
  raises_unix "all" ENOMEM (fun () -> Netsys_mem.alloc_memory_pages max_int);
  raises_invalid "aligned, negative" (fun () -> Netsys_mem.alloc_aligned_memory 64 (-1));
  raises_unix "aligned, all" ENOMEM (fun () -> Netsys_mem.alloc_aligned_memory 64 max_int);
  List.iter
    (fun a ->
      raises_unix "alignment" EINVAL (fun () -> Netsys_mem.alloc_aligned_memory a 10))
    [ min_int; -8; 0; 1; 4; 24; 65; max_int ]

let aligned () =
  List.iter
    (fun a ->
      let m = Netsys_mem.alloc_aligned_memory a 100 in
      check_int "size" 100 (A.dim m);
      check_bool "aligned" true (aligned_to a m);
      A.fill m 'x')
    [ 8; 16; 64; 4096; 1 lsl 20 ];
  check_int "empty" 0 (A.dim (Netsys_mem.alloc_aligned_memory 64 0))

(* Unreachable buffers go away by themselves: in all 40 times as much as may stay. *)
let pages_are_counted () =
  let chunk = 8 lsl 20 in
  for _ = 1 to 400 do
    let m = Netsys_mem.alloc_memory_pages chunk in
    A.fill m 'x';
    ignore (Sys.opaque_identity m)
  done;
  check_bool "memory stays small" true (resident_bytes () < 1 lsl 30)

let finaliser_unmaps () =
  let allocate () =
    address
      (Sys.opaque_identity (Netsys_mem.alloc_memory_pages ~addr:0x0a10_0000_0000n page))
  in
  let addr = allocate () in
  Gc.full_major ();
  Gc.full_major ();
  Alcotest.(check (option string)) "unmapped" None (map_line addr);
  let sub () =
    let m = Netsys_mem.alloc_memory_pages ~addr:0x0a20_0000_0000n (2 * page) in
    A.set m (page + 1) 'q';
    Sys.opaque_identity (A.sub m page 8)
  in
  let s = sub () in
  Gc.full_major ();
  Gc.full_major ();
  check_bool "a part keeps it" true (A.get s 1 = 'q');
  check_bool "all of it" true (map_line 0x0a20_0000_0000n <> None);
  ignore (Sys.opaque_identity s)

let with_file ?(contents = "") f =
  with_temp_dir (fun dir ->
      let path = Filename.concat dir "file" in
      Out_channel.with_open_bin path (fun oc -> output_string oc contents);
      let fd = Unix.openfile path [ O_RDWR ] 0 in
      Fun.protect ~finally:(fun () -> Unix.close fd) (fun () -> f path fd))

let file_size path = (Unix.stat path).st_size

let maps_a_file () =
  with_file ~contents:"hello, file" (fun path fd ->
      let shared = Netsys_mem.memory_map_file fd true (-1) in
      let privately = Netsys_mem.memory_map_file fd false 5 in
      check_string "all" "hello, file" (Netsys_mem.string_of_memory shared);
      check_string "part" "hello" (Netsys_mem.string_of_memory privately);
      A.set shared 0 'H';
      A.set privately 1 'E';
      check_string "only the shared" "Hello, file"
        (In_channel.with_open_bin path In_channel.input_all);
      check_int "as long" 11 (file_size path))

let maps_from_anywhere () =
  let contents = String.init 20000 (fun i -> Char.chr (i * 7 land 255)) in
  with_file ~contents (fun path fd ->
      List.iter
        (fun pos ->
          let m = Netsys_mem.memory_map_file fd ~pos:(Int64.of_int pos) true 100 in
          check_string "there" (String.sub contents pos 100)
            (Netsys_mem.string_of_memory m);
          Netsys_mem.memory_unmap_file m)
        [ 0; 1; 8; 4095; 4096; 5000; 19900 ];
      let m = Netsys_mem.memory_map_file fd ~pos:19990L true (-1) in
      check_int "the rest" 10 (A.dim m);
      let beyond = Netsys_mem.memory_map_file fd ~pos:30001L true 10 in
      check_int "extended" 30011 (file_size path);
      check_bool "by zeros" true (all_zero beyond);
      A.fill beyond 'e';
      check_int "nothing" 0 (A.dim (Netsys_mem.memory_map_file fd ~pos:7L true 0));
      check_int "nothing, at the end" 0
        (A.dim (Netsys_mem.memory_map_file fd ~pos:30011L true (-1)));
      let wish = 0x0a30_0000_0000n in
      let m = Netsys_mem.memory_map_file fd ~addr:wish true 10 in
      check_bool "address" true (address m = wish))

let new_part_has_storage () =
  with_file (fun path fd ->
      let m = Netsys_mem.memory_map_file fd true (1 lsl 20) in
      (* Blocks of 512 bytes, whatever the file system's. *)
      let out = Filename.temp_file "stat" "" in
      ignore
        (Sys.command (Filename.quote_command "stat" ~stdout:out [ "-c"; "%b"; path ]));
      let blocks =
        int_of_string (String.trim (In_channel.with_open_text out In_channel.input_all))
      in
      Sys.remove out;
      check_bool "reserved" true (blocks * 512 >= 1 lsl 20);
      ignore (Sys.opaque_identity m))

let refused_files () =
  with_file ~contents:"0123456789" (fun path fd ->
      let map ?pos size () = Netsys_mem.memory_map_file fd ?pos true size in
      raises_invalid "pos" (map ~pos:(-1L) 1);
      raises_invalid "size" (map (-2));
      raises_invalid "min_int" (map min_int);
      raises_invalid "sum" (map ~pos:Int64.max_int 1);
      raises_invalid "sum" (map ~pos:(Int64.sub Int64.max_int 5L) 10);
      raises_failure "beyond the end" (map ~pos:11L (-1));
      raises_unix "too long" ENOMEM (map (1 lsl 60));
      check_int "length as before" 10 (file_size path);
      let read_only = Unix.openfile path [ O_RDONLY ] 0 in
      raises_unix "not for writing" EACCES (fun () ->
          Netsys_mem.memory_map_file read_only true 5);
      check_string "private" "01234"
        (Netsys_mem.string_of_memory (Netsys_mem.memory_map_file read_only false 5));
      Unix.close read_only;
      raises_unix "closed" EBADF (fun () -> Netsys_mem.memory_map_file read_only false 5);
      raises_unix "closed" EBADF (fun () ->
          Netsys_mem.memory_map_file read_only false (-1)));
  let r, w = Unix.pipe () in
  raises_unix "a pipe" ENODEV (fun () -> Netsys_mem.memory_map_file r false 10);
  Unix.close r;
  Unix.close w

let full_tmpfs () =
  if Sys.file_exists "/dev/shm" then begin
    let path = Printf.sprintf "/dev/shm/hh-netsys-%d" (Unix.getpid ()) in
    let fd = Unix.openfile path [ O_RDWR; O_CREAT; O_EXCL ] 0o600 in
    Fun.protect
      ~finally:(fun () ->
        Unix.close fd;
        Unix.unlink path)
      (fun () ->
        raises_unix "full" ENOSPC (fun () ->
            Netsys_mem.memory_map_file fd true (1 lsl 44));
        check_int "length as before" 0 (file_size path))
  end

let unmapping () =
  with_file ~contents:(String.make 10000 'a') (fun _ fd ->
      let addr = 0x0a40_0000_0000n in
      let m = Netsys_mem.memory_map_file fd ~pos:100L ~addr true 5000 in
      let there () = map_line addr <> None in
      (* In a function of its own: bytecode keeps what is on the stack. *)
      let with_part () =
        let s = Sys.opaque_identity (A.sub m 10 20) in
        Netsys_mem.memory_unmap_file m;
        check_bool "kept by a part" true (there () && A.get m 0 = 'a' && A.get s 0 = 'a');
        ignore (Sys.opaque_identity s)
      in
      with_part ();
      Gc.full_major ();
      Gc.full_major ();
      Netsys_mem.memory_unmap_file m;
      check_bool "gone" false (there ());
      check_int "without bytes" 0 (A.dim m);
      check_bool "without address" true (address m = 0n);
      raises_invalid "get" (fun () -> A.get m 0);
      raises_invalid "set" (fun () -> A.set m 0 'x');
      raises_invalid "sub" (fun () -> A.sub m 0 1);
      raises_invalid "blit" (fun () ->
          Netsys_mem.blit_memory_to_bytes m 0 (Bytes.create 1) 0 1);
      raises_invalid "blit" (fun () -> Netsys_mem.blit_string_to_memory "x" 0 m 0 1);
      raises_invalid "value" (fun () -> Obj.repr (Netsys_mem.as_value m 8));
      raises_invalid "header" (fun () -> Netsys_mem.init_header m 0 0 0);
      raises_invalid "read" (fun () -> Netsys_mem.mem_read fd m 0 1);
      raises_invalid "zero" (fun () -> Netsys_mem.zero_pages m 0 page);
      Alcotest.check_raises "string" Netsys_mem.Out_of_space (fun () ->
          ignore (Netsys_mem.init_string m 0 0));
      check_string "nothing" "" (Netsys_mem.string_of_memory m);
      A.fill m 'x';
      Netsys_mem.memory_unmap_file m;
      (* Nothing of ours is left to unmap what somebody maps there. *)
      let other = Netsys_mem.alloc_memory_pages ~addr page in
      let forget m = ignore (Sys.opaque_identity m) in
      forget m;
      Gc.full_major ();
      check_bool "still there" true (address other = addr && there ()))

let unmapping_a_part_last () =
  with_file ~contents:(String.make 20000 'a') (fun _ fd ->
      let addr = 0x0a50_0000_0000n in
      let part =
        let m = Netsys_mem.memory_map_file fd ~addr true 20000 in
        Sys.opaque_identity (A.sub m 16000 10)
      in
      Gc.full_major ();
      Gc.full_major ();
      Netsys_mem.memory_unmap_file part;
      check_bool "all of it" true
        (map_line addr = None && map_line (Nativeint.add addr 16384n) = None))

let unmapping_others () =
  with_file ~contents:(String.make 5000 'a') (fun _ fd ->
      let theirs =
        Bigarray.array1_of_genarray
          (Unix.map_file fd ~pos:10L Bigarray.char Bigarray.c_layout true [| 100 |])
      in
      let addr = address theirs in
      Netsys_mem.memory_unmap_file theirs;
      check_bool "Unix.map_file's" true (A.dim theirs = 0 && map_line addr = None);
      let malloced = Netsys_mem.memory_of_string "abc" in
      Netsys_mem.memory_unmap_file malloced;
      check_string "others stay" "abc" (Netsys_mem.string_of_memory malloced);
      let pages = Netsys_mem.alloc_memory_pages page in
      Netsys_mem.memory_unmap_file pages;
      check_int "pages" 0 (A.dim pages);
      let region = Rszshm.make page in
      let view = Rszshm.data region in
      Netsys_mem.memory_unmap_file view;
      A.set view 0 'r';
      check_bool "a region's stays" true (A.get (Rszshm.data region) 0 = 'r');
      Rszshm.remove region)

let mappings_do_not_pile_up () =
  with_file ~contents:(String.make 100 'a') (fun _ fd ->
      let before = mappings () in
      for _ = 1 to 20_000 do
        ignore (Sys.opaque_identity (Netsys_mem.memory_map_file fd false 100))
      done;
      check_bool "few at a time" true (mappings () < before + 10_000))

let zero_pages () =
  let m = Netsys_mem.alloc_memory_pages (4 * page) in
  A.fill m 'x';
  Netsys_mem.zero_pages m page (2 * page);
  let expected =
    String.make page 'x' ^ String.make (2 * page) '\000' ^ String.make page 'x'
  in
  check_string "the middle" expected (Netsys_mem.string_of_memory m);
  A.fill m 'y';
  Netsys_mem.zero_pages m page 0;
  List.iter
    (fun (pos, len) ->
      raises_invalid (Printf.sprintf "%d %d" pos len) (fun () ->
          Netsys_mem.zero_pages m pos len))
    [
      (1, page);
      (0, 1);
      (0, 5 * page);
      (4 * page, page);
      (-page, page);
      (page, max_int);
      (0, -page);
    ];
  check_string "untouched" (String.make (4 * page) 'y') (Netsys_mem.string_of_memory m);
  with_file ~contents:(String.make page 'f') (fun path fd ->
      let m = Netsys_mem.memory_map_file fd true page in
      Netsys_mem.zero_pages m 0 page;
      check_bool "zero" true (all_zero m);
      A.fill m 'z';
      check_string "the file stays" (String.make page 'f')
        (In_channel.with_open_bin path In_channel.input_all))

let grab () =
  let m = Netsys_mem.alloc_memory_pages page in
  let again = Netsys_mem.grab (address m) 10 in
  A.set again 3 'g';
  check_bool "same memory" true (A.get m 3 = 'g' && A.dim again = 10);
  Netsys_mem.memory_unmap_file again;
  check_int "not unmapped" 10 (A.dim again);
  raises_invalid "negative" (fun () -> Netsys_mem.grab (address m) (-1));
  raises_invalid "around" (fun () -> Netsys_mem.grab (-1n) 2);
  ignore (Sys.opaque_identity m)

let suites =
  ( "memory",
    [
      test "page size" page_size;
      test "pages" pages;
      test "executable pages" executable;
      test "refused sizes" refused_sizes;
      test "aligned memory" aligned;
      test "pages are counted by the collector" pages_are_counted;
      test "a finaliser unmaps" finaliser_unmaps;
      test "maps a file" maps_a_file;
      test "maps from any byte" maps_from_anywhere;
      test "the new part of a file has storage" new_part_has_storage;
      test "refused files" refused_files;
      test "a full tmpfs" full_tmpfs;
      test "unmapping" unmapping;
      test "unmapping the last part" unmapping_a_part_last;
      test "unmapping what others mapped" unmapping_others;
      test "mappings do not pile up" mappings_do_not_pile_up;
      test "zero pages" zero_pages;
      test "grab" grab;
    ] )
