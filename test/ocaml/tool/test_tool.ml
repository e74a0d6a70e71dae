(* What hh-shared says of files that Ancient makes: whole ones, cut ones, ones with flipped bits. *)

open Test_support

type outcome = { status : int; out : string; err : string }

let program =
  let path = Sys.getenv "HH_SHARED_TOOL" in
  if Filename.is_relative path then Filename.concat (Sys.getcwd ()) path else path

let read path = In_channel.with_open_bin path In_channel.input_all
let write path text = Out_channel.with_open_bin path (fun c -> output_string c text)

(* Runs it; whatever the file, it ends by itself, and with a status that it knows. *)
let tool dir args =
  let file name = Filename.concat dir name in
  let create name = Unix.openfile (file name) [ O_WRONLY; O_CREAT; O_TRUNC ] 0o600 in
  let out = create "out" and err = create "err" in
  let argv = Array.of_list (program :: args) in
  let pid = Unix.create_process program argv Unix.stdin out err in
  Unix.close out;
  Unix.close err;
  let finish status = { status; out = read (file "out"); err = read (file "err") } in
  match wait pid with
  | WEXITED ((0 | 1 | 2) as status) -> finish status
  | WEXITED n -> Alcotest.failf "exit status %d: %s" n (finish n).err
  | WSIGNALED n | WSTOPPED n -> Alcotest.failf "signal %d: %s" n (finish n).err

let contains text part =
  let n = String.length part in
  let rec from i =
    i + n <= String.length text && (String.sub text i n = part || from (i + 1))
  in
  from 0

let check_has what text parts =
  List.iter
    (fun part ->
      if not (contains text part) then Alcotest.failf "%s lacks %S:\n%s" what part text)
    parts

let succeeds dir args =
  let { status; out; err } = tool dir args in
  if status <> 0 || err <> "" then Alcotest.failf "status %d\n%s%s" status out err;
  out

let fails dir status args parts =
  let outcome = tool dir args in
  check_int "status" status outcome.status;
  check_has "the message" outcome.err parts

let in_dir f () = with_temp_dir f

type 'a tree = Leaf | Node of 'a tree * 'a * 'a tree

let rec tree low high =
  if low > high then Leaf
  else
    let middle = (low + high) / 2 in
    Node (tree low (middle - 1), middle, tree (middle + 1) high)

(* In a child, so that no place of it is held when the tool looks. *)
let make dir =
  let path = Filename.concat dir "image" in
  let fill () =
    let md = Ancient.open_file ~mode:Create ~durable:false path in
    ignore (Ancient.share md 0 (tree 1 100));
    ignore (Ancient.share md 1 42);
    ignore (Ancient.share md 2 "replaced");
    ignore (Ancient.share md 2 [ "a"; "b" ]);
    let scalars = (1l, 2L, 3n, 4.5, [| 1.; 2. |]) in
    let kept = Ancient.follow (Ancient.share_key md (Name "\027[31mred") scalars) in
    ignore (Ancient.share md 3 (kept, Bigarray.(Array1.init Char C_layout 5 Char.chr)));
    ignore (Ancient.remove md (Name "\027[31mred"));
    ignore (Ancient.share_key md (Name "\027[31mred") 6);
    let key = Ancient.Key.make "typed" ~description:"int list, v1" in
    ignore (Ancient.Key.share md key [ 1; 2; 3 ])
  in
  wait_ok (fork fill);
  path

let inspects dir =
  let path = make dir in
  let version = Scanf.sscanf Sys.ocaml_version "%d.%d" (Printf.sprintf "%d.%d") in
  let out = succeeds dir [ "inspect"; path ] in
  check_has "the report" out
    [
      path;
      "mode       rw-r--r--";
      "OCaml      " ^ version;
      "6 (4 numbers, 2 names)";
      "kept       4.0 KB of values that lost their keys";
      "no process holds a value of it";
      "\"typed\"";
      {|"\027[31mred"|};
      "\"int list, v1\"";
      "int 42";
      "tag 0: 106";
      "string: 2";
      "bigarray data: 1";
      "bigarray: 1";
    ];
  check_bool "lists no more than asked for" true
    (contains (succeeds dir [ "inspect"; "--keys"; "2"; path ]) "and 4 more: --keys 6");
  check_bool "quick counts no tags" false
    (contains (succeeds dir [ "inspect"; "--quick"; path ]) "tag 0");
  let md = Ancient.open_file path in
  let address = Printf.sprintf "%#nx" (Ancient.file_info md).base in
  ignore (Sys.opaque_identity (Ancient.follow (Ancient.get md 0)));
  let out = succeeds dir [ "inspect"; path ] in
  check_has "while a value is read" out [ address; "a process holds values of it" ];
  Ancient.detach md

let inspects_as_json dir =
  let path = make dir in
  let out = succeeds dir [ "inspect"; "--json"; path ] in
  check_has "the JSON" out
    [
      {|"keys_count": 6,|};
      {|"number": 3,|};
      {|"name": "typed",|};
      {|"name": "\u001b[31mred",|};
      {|"description": "int list, v1",|};
      {|"int": "42"|};
      {|"kept": 4096,|};
      {|"mode": "644",|};
      {|"tag 0": 106,|};
    ]

let verifies dir =
  let path = make dir in
  check_has "verify" (succeeds dir [ "verify"; path ]) [ "good: 6 keys" ];
  check_string "quiet" "" (succeeds dir [ "verify"; "--quiet"; path ]);
  let empty = Filename.concat dir "empty" in
  write empty "";
  check_has "an empty file" (succeeds dir [ "verify"; empty ]) [ "good: a new file" ];
  check_has "an empty file" (succeeds dir [ "inspect"; empty ]) [ "new: nothing" ]

(* A bit of a value is wrong: the fault has the value's key and place. *)
let verify_names_the_fault dir =
  let path = make dir in
  let bytes = Bytes.of_string (read path) in
  let at =
    (* The string "b" of key 2, of which nothing else is left in the file. *)
    let word = "b\000\000\000\000\000\000\006" in
    let rec find i = if Bytes.sub_string bytes i 8 = word then i else find (i + 8) in
    find 0
  in
  Bytes.set bytes at 'c';
  write path (Bytes.to_string bytes);
  let page = at / 4096 * 4096 in
  fails dir 1 [ "verify"; path ]
    [
      "hh-shared verify: " ^ path;
      Printf.sprintf "at offset %d, in the value of key 2: bad checksum" page;
      "backup";
    ]

let cannot_be_read dir =
  let missing = Filename.concat dir "missing" in
  fails dir 2 [ "verify"; missing ] [ missing; "No such file"; "check the path" ];
  fails dir 2 [ "inspect"; dir ] [ dir; "not a regular file" ];
  fails dir 2 [ "inspect" ] [ "FILE" ];
  fails dir 2 [ "frobnicate"; missing ] [ "frobnicate" ];
  let text = Filename.concat dir "text" in
  write text (String.make 10_000 't');
  List.iter
    (fun command ->
      fails dir 1 [ command; text ] [ "not a file made by Ancient"; "open_file made" ])
    [ "verify"; "inspect" ];
  check_has "help" (succeeds dir [ "--help" ]) [ "inspect"; "verify"; "Exit status" ]

(* Shares [v] under 7 in a file of its own, and is what is printed of it. *)
let dumped ?(options = []) dir v =
  let path = Filename.concat dir "value" in
  wait_ok
    (fork (fun () ->
         let md = Ancient.open_file ~mode:Create ~durable:false path in
         ignore (Ancient.share md 7 v)));
  succeeds dir ([ "dump"; path; "7" ] @ options)

type record = { name : string; mutable self : record option } [@@warning "-69"]
type shape = Point | Circle of float | Named of string * shape

let dumps dir =
  let check want got = check_string want (want ^ "\n") got in
  check "42" (dumped dir 42);
  check "-4611686018427387904" (dumped dir min_int);
  check {|[Tag1 ("a \"name\"\n", (1.5)); 0]|}
    (dumped dir [ Named ("a \"name\"\n", Circle 1.5); Point ]);
  check "(-1l, 2L, -3n, nan, [|1.; 2.5|])"
    (dumped dir (-1l, 2L, -3n, Float.nan, [| 1.; 2.5 |]));
  check "[|0; 1; 2; 3; 4; 5; 6; 7; 8; 9|]" (dumped dir (Array.init 10 Fun.id));
  check "[||]" (dumped dir [||]);
  check "<bigarray int32 fortran_layout 2x3 [|7l; 7l; 7l; 7l; 7l; 7l|]>"
    (let array = Bigarray.(Array2.create Int32 Fortran_layout 2 3) in
     Bigarray.Array2.fill array 7l;
     dumped dir array)

let dumps_sharing dir =
  let check want got = check_string want (want ^ "\n") got in
  let text = String.make 3 't' in
  check {|(x1 = "ttt", x1)|} (dumped dir (text, text));
  let tail = [ text; "u" ] in
  check {|(("0" :: x1), x1 = ["ttt"; "u"], 0)|} (dumped dir ("0" :: tail, tail, 0));
  let rec cycle = 1 :: 2 :: cycle in
  check "x1 = (1 :: 2 :: x1)" (dumped dir cycle);
  let record = { name = "r"; self = None } in
  record.self <- Some record;
  check {|x1 = ("r", (x1))|} (dumped dir record)

let dumps_in_limits dir =
  let check want got = check_string want (want ^ "\n") got in
  let options = [ "--width"; "3" ] in
  check "[0; 1; 2; …]" (dumped dir (List.init 1_000_000 Fun.id) ~options);
  check "(0, 1, 2, … 2 more)" (dumped dir (0, 1, 2, 3, 4) ~options);
  check {|"aaaaaaaaaaaa"… (* 5000 bytes *)|} (dumped dir (String.make 5000 'a') ~options);
  let rec nest n v = if n = 0 then v else nest (n - 1) (Obj.repr (ref v)) in
  check "((…))" (dumped dir (nest 300_000 (Obj.repr 0)) ~options:[ "--depth"; "2" ]);
  let huge = string_of_int max_int in
  let options = [ "--depth"; huge; "--width"; huge; "--blocks"; huge ] in
  let deep = dumped dir (nest 300_000 (Obj.repr 5)) ~options in
  check_int "all of it" 600_002
    (String.length (String.concat "" (String.split_on_char ' ' deep)));
  let many = List.init 1000 (fun i -> ref i) in
  check "[(0); (1); …; …]" (dumped dir many ~options:[ "--blocks"; "3"; "--width"; "3" ])

let dump_finds_keys dir =
  let path = make dir in
  check_string "a name" "[1; 2; 3]\n" (succeeds dir [ "dump"; path; "typed" ]);
  let fails = fails dir 2 in
  fails [ "dump"; path; "77" ] [ path; "no such key"; "inspect" ];
  fails [ "dump"; path; "2"; "--name" ] [ "no such key" ];
  fails [ "dump"; path ] [ "KEY" ];
  check_string "refers to what lost its key"
    {s|((1l, 2L, 3n, 4.5, [|1.; 2.|]),
 <bigarray char c_layout 5 [|'\000'; '\001'; '\002'; '\003'; '\004'|]>)
|s}
    (succeeds dir [ "dump"; path; "3" ])

(* What is damaged is shown as far as it makes sense, then said to be damaged. *)
let dumps_damage dir =
  let path = make dir in
  let text = read path in
  let word = "b\000\000\000\000\000\000\006" in
  let rec find i = if String.sub text i 8 = word then i else find (i + 8) in
  let bytes = Bytes.of_string text in
  Bytes.set bytes (find 0) 'c';
  write path (Bytes.to_string bytes);
  let outcome = tool dir [ "dump"; path; "2" ] in
  check_int "status" 1 outcome.status;
  check_string "what is there" "[\"a\"; \"c\"]\n" outcome.out;
  check_has "why" outcome.err [ "in the value of key 2"; "bad checksum" ]

let maps dir =
  let path = make dir in
  let svg = Filename.concat dir "out.svg" in
  check_string "nothing is said" "" (succeeds dir [ "map"; path; "--svg"; svg ]);
  let picture = read svg in
  let starts = "<svg xmlns=\"http://www.w3.org/2000/svg\"" in
  check_bool "SVG" true (String.starts_with ~prefix:starts picture);
  check_has "the picture" picture
    [
      path;
      "<title>key 0, from offset";
      "key &quot;typed&quot;: 4.0 KB</text>";
      "lost their keys";
      "free: ";
      "free after the next change";
      "</svg>";
    ];
  check_string "to the standard output" picture
    (succeeds dir [ "map"; path; "--svg"; "-" ]);
  (* A slip of the fingers doesn't cost the file. *)
  let before = read path in
  Unix.symlink path (Filename.concat dir "link");
  List.iter
    (fun out -> fails dir 2 [ "map"; path; "--svg"; out ] [ "replace the file itself" ])
    [ path; Filename.concat dir "link"; Filename.concat dir "./image" ];
  check_bool "untouched" true (read path = before);
  fails dir 2
    [ "map"; path; "--svg"; Filename.concat dir "no/folder" ]
    [ "no/folder"; "can't be written" ];
  fails dir 2 [ "map"; path ] [ "--svg" ];
  let missing = Filename.concat dir "missing" in
  fails dir 2 [ "map"; missing; "--svg"; svg ] [ missing; "No such file" ]

(* A file that is cut or has flipped bits: a message or a report, never a signal or another
   status; and if [verify] finds it good, so does the library. *)
let commands path =
  [
    [ "inspect"; path ];
    [ "inspect"; "--json"; path ];
    [ "verify"; path ];
    [ "dump"; path; "0" ];
    [ "dump"; path; "3" ];
    [ "dump"; path; "typed" ];
    [ "map"; path; "--svg"; "-" ];
  ]

let survives dir path text =
  write path text;
  List.iter
    (fun args ->
      let { status; out; err } = tool dir args in
      check_bool "says why" true (status = 0 || contains err path);
      check_bool "no control character" false
        (String.exists (fun c -> c < ' ' && c <> '\n') (out ^ err));
      if List.hd args = "verify" then begin
        let library =
          match Ancient.open_file path with
          | exception Failure _ -> status <> 0 || text = ""
          | md ->
              let good = Ancient.verify md = Ok () in
              Ancient.detach md;
              good = (status = 0)
        in
        check_bool "as the library says" true library
      end)
    (commands path)

let cut dir =
  let path = make dir in
  let whole = read path in
  let size = String.length whole in
  for _ = 1 to 40 do
    survives dir path (String.sub whole 0 (Random.int size))
  done

let flipped dir =
  let path = make dir in
  let whole = read path in
  let pages = String.length whole / 4096 in
  for _ = 1 to 80 do
    let bytes = Bytes.of_string whole in
    for _ = 0 to Random.int 3 do
      let at = (Random.int pages * 4096) + Random.int 300 in
      let old = Char.code (Bytes.get bytes at) in
      Bytes.set bytes at (Char.chr (old lxor (1 lsl Random.int 8)))
    done;
    survives dir path (Bytes.to_string bytes)
  done

(* It reads a file that a writer changes all the time, and never takes a change for damage. *)
let beside_a_writer dir =
  let path = make dir in
  let writer =
    fork (fun () ->
        let md = Ancient.open_file ~mode:Read_write ~durable:false path in
        for i = 1 to max_int do
          ignore (Ancient.share md 5 (List.init 300 (fun j -> (i, j))));
          if i mod 10 = 0 then Gc.full_major ()
        done)
  in
  Fun.protect
    ~finally:(fun () ->
      Unix.kill writer Sys.sigkill;
      ignore (wait writer))
    (fun () ->
      for _ = 1 to 10 do
        List.iter (fun args -> ignore (succeeds dir args)) (commands path)
      done)

let () =
  Random.self_init ();
  run "tool"
    [
      ( "inspect",
        [
          test "what a file holds" (in_dir inspects);
          test "as JSON" (in_dir inspects_as_json);
        ] );
      ( "verify",
        [
          test "good files" (in_dir verifies);
          test "the first fault" (in_dir verify_names_the_fault);
        ] );
      ( "dump",
        [
          test "each kind of value" (in_dir dumps);
          test "sharing and cycles" (in_dir dumps_sharing);
          test "limits" (in_dir dumps_in_limits);
          test "keys" (in_dir dump_finds_keys);
          test "damaged values" (in_dir dumps_damage);
        ] );
      ("map", [ test "a picture" (in_dir maps) ]);
      ( "hostile",
        [
          test "what can't be read" (in_dir cannot_be_read);
          test "cut" (in_dir cut);
          test "flipped bits" (in_dir flipped);
          test "beside a writer" (in_dir beside_a_writer);
        ] );
    ]
