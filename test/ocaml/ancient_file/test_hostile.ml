(* Files that are no images, or no longer: an exception that says what and where, and no crash. *)

open Test_support
open Values

let in_dir f () = with_temp_dir f

let image dir =
  let path = Filename.concat dir "image" in
  let md = attach path in
  for key = 0 to 9 do
    ignore (Ancient.share md key (List.init 50 (fun i -> (key, string_of_int i))))
  done;
  Ancient.detach md;
  path

let read path = In_channel.with_open_bin path In_channel.input_all

let write path text =
  Out_channel.with_open_bin path (fun out -> Out_channel.output_string out text)

(* Reads all that is there. Anything but these exceptions fails the test; a crash fails it, too,
   because all of it happens in a child. *)
let try_reading path =
  wait_ok
    (fork (fun () ->
         match attach ~flags:read_only path with
         | exception (Failure text | Invalid_argument text) ->
             if String.length text < 20 then failwith ("no reason: " ^ text)
         | md ->
             for key = 0 to 10 do
               match (Ancient.get md key : (int * string) list Ancient.ancient) with
               | exception (Not_found | Failure _) -> ()
               | v -> ignore (Sys.opaque_identity (Ancient.follow v))
             done))

let expect_failure what path =
  match attach path with
  | _ -> Alcotest.failf "%s: attached" what
  | exception Failure text -> text

let cut dir =
  let path = image dir in
  let whole = read path in
  let copy = Filename.concat dir "cut" in
  List.iter
    (fun n ->
      write copy (String.sub whole 0 n);
      try_reading copy;
      let text = expect_failure (string_of_int n) copy in
      if n < 8192 then check_bool text true (String.ends_with ~suffix:"header)" text);
      check_int "left as it is" n (Unix.stat copy).st_size)
    [
      1;
      7;
      8;
      9;
      100;
      511;
      512;
      513;
      4095;
      4096;
      4097;
      4607;
      4608;
      8191;
      8192;
      8193;
      20000;
    ]

let flipped dir =
  let path = image dir in
  let whole = read path in
  let copy = Filename.concat dir "flipped" in
  (* Both superblocks: no state is left. *)
  let bytes = Bytes.of_string whole in
  List.iter (fun at -> Bytes.set bytes at '\xff') [ 80; 4096 + 80 ];
  write copy (Bytes.to_string bytes);
  let text = expect_failure "superblocks" copy in
  check_bool text true (String.length text > 60);
  for _ = 1 to 60 do
    let bytes = Bytes.of_string whole in
    let at = Random.int (if Random.bool () then 1200 else Bytes.length bytes) in
    Bytes.set bytes at
      (Char.chr (Char.code (Bytes.get bytes at) lxor (1 lsl Random.int 8)));
    write copy (Bytes.to_string bytes);
    try_reading copy
  done

let contains words text =
  let length = String.length words in
  let rec from at =
    at + length <= String.length text
    && (String.sub text at length = words || from (at + 1))
  in
  from 0

let foreign dir =
  let path = Filename.concat dir "foreign" in
  let try_text text =
    write path text;
    try_reading path;
    let told = expect_failure "foreign" path in
    let words = "not a file made by Ancient" in
    if text.[0] <> '\000' && not (contains words told) then
      Alcotest.failf "%S lacks %S" told words;
    check_string "left as it is" text (read path)
  in
  (* Who gave the wrong path is told that first, and not only which bytes are wrong. *)
  try_text "hello";
  try_text (String.make 10_000 'x');
  try_text (String.make 100_000 '\000');
  try_text (Marshal.to_string (List.init 10_000 Fun.id) []);
  try_text (read Sys.executable_name)

let not_files dir =
  raises_invalid "directory" (fun () -> attach ~flags:read_only dir);
  let a, b = Unix.(socketpair PF_UNIX SOCK_STREAM 0) in
  (match Ancient.attach a 0n with
  | _ -> Alcotest.fail "a socket"
  | exception (Invalid_argument _ | Unix.Unix_error _) -> ());
  let r, w = Unix.pipe () in
  raises_invalid "pipe" (fun () -> Ancient.attach r 0n);
  List.iter Unix.close [ a; b; r; w ];
  raises_unix "closed descriptor" Unix.EBADF (fun () -> Ancient.attach r 0n);
  let path = Filename.concat dir "x" in
  raises_invalid "write-only" (fun () ->
      attach ~flags:[ Unix.O_WRONLY; Unix.O_CREAT ] path);
  (match attach ~flags:[ Unix.O_RDONLY ] path with
  | _ -> Alcotest.fail "empty and read-only"
  | exception Failure _ -> ());
  check_int "still empty" 0 (Unix.stat path).st_size

let emptied dir =
  let path = image dir in
  let md = attach path in
  Unix.truncate path 0;
  (match (Ancient.get md 0 : int Ancient.ancient) with
  | _ -> Alcotest.fail "get from an emptied file"
  | exception Failure _ -> ());
  match Ancient.share md 0 1 with
  | _ -> Alcotest.fail "share into an emptied file"
  | exception Failure _ -> ()

let replaced_under_us dir =
  let path = image dir in
  let md = attach path in
  let other = Filename.concat dir "other" in
  Ancient.detach (attach other);
  (* Same inode, another image. *)
  write path (read other);
  match (Ancient.get md 0 : int Ancient.ancient) with
  | _ -> Alcotest.fail "get from another image"
  | exception Failure _ -> ()

(* A file system of 2 MB, where this process may make one: as root, in a namespace of its own. In a
   changed root, unshare can't make the mounts private; they are already. *)
let full_disk dir =
  let in_small_file_system unshare command =
    let script =
      {|mount -t tmpfs -o size=2m none "$0" || exit 99
        "$@"; status=$?; umount -l "$0"; exit $status|}
    in
    let words = (unshare @ [ "sh"; "-c"; script; dir ]) @ command in
    Sys.command (Filename.quote_command "unshare" words ^ " 2>&1")
  in
  let unshare = [ [ "-m" ]; [ "-m"; "--propagation"; "unchanged" ] ] in
  match List.find_opt (fun u -> in_small_file_system u [ "true" ] = 0) unshare with
  | None -> print_endline "SKIPPED: a small tmpfs needs root"
  | Some unshare ->
      check_int "in the small file system" 0
        (in_small_file_system unshare [ Sys.executable_name; "full"; dir ])

let in_full_disk dir =
  let path = Filename.concat dir "image" in
  let md = attach path in
  ignore (Ancient.share md 0 (List.init 1000 Fun.id));
  let size = (Unix.stat path).st_size in
  let too_large () = Ancient.share md 0 (List.init 1_000_000 Fun.id) in
  raises_unix "disk full" Unix.ENOSPC too_large;
  raises_unix "again" Unix.ENOSPC too_large;
  check_int "as long as it was" size (Unix.stat path).st_size;
  let kept () = Ancient.follow (Ancient.get md 0) in
  Alcotest.(check (list int)) "kept" (List.init 1000 Fun.id) (kept ());
  ignore (Ancient.share md 0 [ 1; 2 ]);
  Alcotest.(check (list int)) "goes on" [ 1; 2 ] (kept ());
  (* Not even room for the header. *)
  let rest = openfile (Filename.concat dir "rest") in
  (try
     while true do
       ignore (Unix.write rest (Bytes.create 512) 0 512)
     done
   with Unix.Unix_error (Unix.ENOSPC, _, _) -> ());
  let path = Filename.concat dir "new" in
  raises_unix "no room to begin" Unix.ENOSPC (fun () -> attach path);
  check_int "empty" 0 (Unix.stat path).st_size

let () =
  match Sys.argv with
  | [| _; "full"; dir |] -> in_full_disk dir
  | _ ->
      Random.self_init ();
      run "ancient file: hostile files"
        [
          ( "hostile",
            [
              test "cut" (in_dir cut);
              test "flipped bits" (in_dir flipped);
              test "foreign" (in_dir foreign);
              test "directory, socket, pipe, wrong modes" (in_dir not_files);
              test "emptied while attached" (in_dir emptied);
              test "another image under the same inode" (in_dir replaced_under_us);
              test "full disk" (in_dir full_disk);
            ] );
        ]
