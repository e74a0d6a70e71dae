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

let () =
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
        ] );
    ]
