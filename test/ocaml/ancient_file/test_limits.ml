(* What the system refuses: room on the disk, length of files, addresses. An exception, the file as it
   was, and everything goes on afterwards. *)

open Test_support
open Values

let in_dir f () = with_temp_dir f

(* This executable once more, as [what], by a shell that does something first; its exit status. *)
let through_shell ?(before = []) script what dir =
  let words = before @ [ "sh"; "-c"; script; dir; Sys.executable_name; what; dir ] in
  Sys.command (Filename.quote_command (List.hd words) (List.tl words) ^ " 2>&1")

(* A file system of 2 MB, where this process may make one: as root, in a namespace of its own. In a
   changed root, unshare can't make the mounts private; they are already. *)
let full_disk dir =
  let in_small_file_system before what =
    let script =
      {|mount -t tmpfs -o size=2m none "$0" || exit 99
        "$@"; status=$?; umount -l "$0"; exit $status|}
    in
    through_shell ~before script what dir
  in
  let unshare =
    [ [ "unshare"; "-m" ]; [ "unshare"; "-m"; "--propagation"; "unchanged" ] ]
  in
  match List.find_opt (fun u -> in_small_file_system u "nothing" = 0) unshare with
  | None -> print_endline "SKIPPED: a small tmpfs needs root"
  | Some unshare ->
      check_int "in the small file system" 0 (in_small_file_system unshare "full")

let list n = List.init n string_of_int

let check_list md key n =
  check_bool "kept" true (Ancient.follow (Ancient.get md key) = list n)

let verify_ok md = check_bool "verify" true (Ancient.verify md = Ok ())

(* Whatever [refused] is asked, the file is as it was, and so is what it holds. *)
let nothing_changes path md refused =
  let before = Ancient.file_info md and keys = Ancient.keys md in
  refused ();
  refused ();
  check_int "as long as it was" before.file_size (Unix.stat path).st_size;
  check_bool "as it was" true (Ancient.file_info md = before && Ancient.keys md = keys);
  verify_ok md

let in_full_disk dir =
  let path = Filename.concat dir "image" in
  let md = Ancient.open_file ~mode:Create path in
  ignore (Ancient.share md 0 (list 1000));
  let too_large () =
    raises_unix "disk full" ENOSPC (fun () -> Ancient.share md 0 (list 100_000));
    raises_unix "another key" ENOSPC (fun () ->
        Ancient.share_key md (Name "large") (String.make 4_000_000 'x'))
  in
  nothing_changes path md too_large;
  check_list md 0 1000;
  ignore (Ancient.share md 0 (list 2));
  check_list md 0 2;
  (* Not a page is left: what is free in the file is all there is. *)
  let rest = openfile (Filename.concat dir "rest") in
  (try
     while true do
       ignore (Unix.write rest (Bytes.create 512) 0 512)
     done
   with Unix.Unix_error (Unix.ENOSPC, _, _) -> ());
  nothing_changes path md (fun () ->
      raises_unix "no page" ENOSPC (fun () -> Ancient.share md 1 (list 10_000)));
  check_list md 0 2;
  let made = ref 0 in
  (try
     while true do
       ignore (Ancient.share md (10 + !made) (list !made));
       incr made
     done
   with Unix.Unix_error (Unix.ENOSPC, _, _) -> ());
  verify_ok md;
  for n = 0 to !made - 1 do
    check_list md (10 + n) n
  done;
  (* Removing needs pages for the key table, too; what can't be removed stays. *)
  (match Ancient.remove md (Int 0) with
  | removed -> check_bool "removed" true (removed && not (Ancient.mem md (Int 0)))
  | exception Unix.Unix_error (Unix.ENOSPC, _, _) -> check_list md 0 2);
  verify_ok md;
  let new_path = Filename.concat dir "new" in
  raises_unix "no room to begin" ENOSPC (fun () ->
      Ancient.open_file ~mode:Create new_path);
  check_int "empty" 0 (Unix.stat new_path).st_size;
  (* With room, all of it goes on. *)
  Unix.ftruncate rest 0;
  ignore (Ancient.share md 1 (list 10_000));
  check_list md 1 10_000;
  Ancient.compact md;
  check_list md 1 10_000;
  verify_ok md;
  Ancient.detach (Ancient.open_file ~mode:Create new_path)

(* No file longer than four megabytes, in units of 512 bytes; some shells take them for 1024. *)
let long_file dir =
  let script = {|trap "" XFSZ; ulimit -f 8192 || exit 99; "$@"|} in
  check_int "with short files" 0 (through_shell script "long" dir)

let with_short_files dir =
  let path = Filename.concat dir "image" in
  let md = Ancient.open_file ~mode:Create ~durable:false path in
  ignore (Ancient.share md 0 (list 1000));
  nothing_changes path md (fun () ->
      raises_unix "too long" EFBIG (fun () -> Ancient.share md 0 (list 400_000)));
  check_list md 0 1000;
  let rec fill n =
    match Ancient.share md n (String.make 30_000 'x') with
    | _ -> fill (n + 1)
    | exception Unix.Unix_error (Unix.EFBIG, _, _) -> n
  in
  let n = fill 1 in
  check_bool "many" true (n > 50 && (Unix.stat path).st_size <= 8_388_608);
  verify_ok md;
  nothing_changes path md (fun () ->
      raises_unix "full" EFBIG (fun () -> Ancient.share md n (String.make 30_000 'x')));
  (* What is free in the file is room still. *)
  check_bool "remove" true (Ancient.remove md (Int 1) && Ancient.remove md (Int 2));
  Gc.full_major ();
  ignore (Ancient.share md 1 (list 500));
  check_list md 1 500;
  Ancient.detach md

(* The tombstones that are put where values were came from a memory file of two megabytes, which was
   too long: [detach] and [delete] failed where SIGXFSZ was ignored, and killed the process elsewhere,
   though no file of theirs was longer than a few pages. *)
let tiny_files dir =
  let script = {|ulimit -f 1024 || exit 99; "$@"|} in
  check_int "with tiny files" 0 (through_shell script "tiny" dir)

let with_tiny_files dir =
  let md = Ancient.open_file ~mode:Create (Filename.concat dir "image") in
  let shared = Ancient.follow (Ancient.share md 0 (list 1000)) in
  let marked = Ancient.mark (list 1000) in
  let left = Ancient.follow marked in
  Ancient.delete marked;
  Ancient.detach md;
  let is_tombstone v = Obj.tag (Obj.repr (Sys.opaque_identity v)) = Obj.abstract_tag in
  check_bool "marked" true (is_tombstone left);
  check_bool "shared" true (is_tombstone shared);
  Gc.full_major ()

(* Addresses for five gigabytes: two are for the table of what a copy has visited. *)
let few_addresses dir =
  let path = Filename.concat dir "image" in
  wait_ok
    (fork (fun () ->
         let md = Ancient.open_file ~mode:Create ~durable:false path in
         ignore (Ancient.share md 0 (list 1000))));
  let script = {|ulimit -v 5000000 || exit 99; "$@"|} in
  check_int "with few addresses" 0 (through_shell script "few" dir)

let with_few_addresses dir =
  let path = Filename.concat dir "image" in
  (* It was made with room for 64 GB. *)
  raises_unix "no room" ENOMEM (fun () -> Ancient.open_file path);
  let terabyte () = Ancient.open_file ~mode:Create ~max_size:(1 lsl 40) (path ^ "2") in
  raises_unix "not there, either" ENOMEM terabyte;
  check_int "left empty" 0 (Unix.stat (path ^ "2")).st_size;
  (* A private copy needs less. *)
  let md = Ancient.open_file ~relocate:true path in
  check_list md 0 1000;
  Ancient.detach md;
  (* A new file gets what is free. *)
  wait_ok
    (fork (fun () ->
         let md = Ancient.open_file ~mode:Create (path ^ "3") in
         let room = (Ancient.file_info md).max_size in
         check_bool "less" true (room >= 64 lsl 20 && room < 5 lsl 30);
         ignore (Ancient.share md 0 "small");
         check_string "small" "small" (Ancient.follow (Ancient.get md 0))));
  let path = path ^ "4" in
  let md = Ancient.open_file ~mode:Create ~durable:false ~max_size:(256 lsl 20) path in
  ignore (Ancient.share md 0 (list 1000));
  let large = Bigarray.(Array1.create Char C_layout (40 lsl 20)) in
  (* Then nearly all of it is taken. *)
  let rec take taken =
    match Netsys_mem.alloc_memory_pages (16 lsl 20) with
    | memory -> take (memory :: taken)
    | exception (Unix.Unix_error (ENOMEM, _, _) | Out_of_memory) -> taken
  in
  let taken = take [] in
  nothing_changes path md (fun () ->
      match Ancient.share md 1 large with
      | _ -> Alcotest.fail "40 MB"
      | exception (Failure _ | Unix.Unix_error (ENOMEM, _, _)) -> ());
  check_list md 0 1000;
  List.iter Netsys_mem.memory_unmap_file taken;
  ignore (Ancient.share md 1 (list 10_000));
  check_list md 1 10_000;
  let large' = Ancient.follow (Ancient.share md 2 large) in
  check_int "large" (40 lsl 20) (Bigarray.Array1.dim large');
  verify_ok md

let () =
  match Sys.argv with
  | [| _; "nothing"; _ |] -> ()
  | [| _; "full"; dir |] -> in_full_disk dir
  | [| _; "long"; dir |] -> with_short_files dir
  | [| _; "tiny"; dir |] -> with_tiny_files dir
  | [| _; "few"; dir |] -> with_few_addresses dir
  | _ ->
      run "ancient file: limits"
        [
          ( "limits",
            [
              test "full disk" (in_dir full_disk);
              test "length of files" (in_dir long_file);
              test "length of files, a megabyte" (in_dir tiny_files);
              test "address space" (in_dir few_addresses);
            ] );
        ]
