(* Files whose addresses are taken in this process: private copies at other addresses. *)

open Test_support
open Values

let in_file f () = with_temp_dir (fun dir -> f (Filename.concat dir "image"))

(* Something else of this process, where the file at [path] would have to be: at its start, or far
   in the room that it has to grow. *)
let take base =
  let memory = Netsys_mem.alloc_memory_pages ~addr:base 65536 in
  if Netsys_mem.memory_address memory <> base then
    failwith "the address was not to be had";
  Bigarray.Array1.fill memory 'm';
  memory

let check_taken memory =
  for i = 0 to 65535 do
    if memory.{i} <> 'm' then failwith "what was there was overwritten"
  done

let relocated ?mode ?verify path = Ancient.open_file ?mode ?verify ~relocate:true path

type tree = Leaf | Node of tree * int64 * tree

let rec tree depth =
  if depth = 0 then Leaf else Node (tree (depth - 1), Int64.of_int depth, tree (depth - 1))

let fill path =
  let md = Ancient.open_file ~mode:Create ~durable:false path in
  let all = everything () in
  let rec r = { all.record with self = Some r } in
  ignore (Ancient.share md 0 all);
  ignore (Ancient.share md 1 r);
  ignore (Ancient.share md 2 (tree 14));
  (* Parts of another value, and of that one's part. *)
  let zero : everything = Ancient.follow (Ancient.get md 0) in
  ignore (Ancient.share md 3 (zero.bigarray, zero.table, "own"));
  let three : _ * _ * string = Ancient.follow (Ancient.get md 3) in
  ignore (Ancient.share md 4 [ three; three ]);
  ignore (Ancient.share md 5 17);
  ignore (Ancient.share_key md (Name "same") zero);
  let base = (Ancient.file_info md).base in
  Ancient.detach md;
  base

let check md =
  let zero : everything = Ancient.follow (Ancient.get md 0) in
  check_everything zero;
  let r : record = Ancient.follow (Ancient.get md 1) in
  (match r.self with Some r' when r' == r -> () | _ -> failwith "the cycle is cut");
  let t : tree = Ancient.follow (Ancient.get md 2) in
  check_same "tree" t (tree 14);
  let ((bigarray, table, own) as three) : _ * _ * string =
    Ancient.follow (Ancient.get md 3)
  in
  if bigarray != zero.bigarray || table != zero.table || own <> "own" then
    failwith "parts of another value";
  let four : 'a list = Ancient.follow (Ancient.get md 4) in
  if not (List.for_all (fun v -> v == three) four) then failwith "parts of parts";
  check_int "int" 17 (Ancient.follow (Ancient.get md 5));
  if Ancient.follow (Ancient.get_key md (Name "same")) != zero then failwith "same";
  (* The tables of the standard library write into what they read. *)
  check_int "iter" 5050 (Hashtbl.fold (fun _ n sum -> n + sum) zero.table 0);
  zero

let () =
  role "taken" (fun args ->
      let path = args.(0) and base = Nativeint.of_string args.(1) in
      let verify = args.(2) = "verify" in
      let memory = take (Nativeint.add base (Nativeint.of_string args.(3))) in
      (match Ancient.open_file path with
      | _ -> failwith "attached over something else"
      | exception Failure text ->
          check_bool text true (contains path text && contains "0x" text));
      check_int "none yet" 0 (Ancient.relocations ());
      let md = relocated ~verify path in
      check_int "one" 1 (Ancient.relocations ());
      let info = Ancient.file_info md in
      check_bool "elsewhere" true (info.relocated && info.base <> base);
      let zero = check md in
      check_bool "ancient" true (Ancient.is_ancient zero && Ancient.is_ancient zero.table);
      (* Each value is read once: whoever asks again gets the same blocks. *)
      check_bool "the same blocks" true (check md == zero);
      let again = relocated path in
      check_bool "by another md, too" true (check again == zero);
      check_int "which is no relocation" 1 (Ancient.relocations ());
      check_bool "verify" true (Ancient.verify md = Ok ());
      check_bool "keys" true (List.length (Ancient.keys md) >= 7);
      Gc.full_major ();
      Gc.compact ();
      ignore (check md);
      Ancient.detach md;
      ignore (check again);
      Ancient.detach again;
      for _ = 1 to 2 do
        ignore (Sys.opaque_identity (List.init 100_000 string_of_int));
        Gc.compact ()
      done;
      check_bool "no longer ancient" false (Ancient.is_ancient zero);
      (* Attached again it is at another address, for [zero] may still be somewhere. *)
      let md = relocated ~verify path in
      check_bool "not the same blocks" true (check md != zero);
      check_int "counted" 2 (Ancient.relocations ());
      check_taken memory);
  role "write" (fun args ->
      let path = args.(0) and base = Nativeint.of_string args.(1) in
      let memory = take base in
      let md = relocated ~mode:Read_write path in
      let zero = check md in
      let own = (everything (), "by a relocated process") in
      let proxy = Ancient.share_key md (Name "new") own in
      check_same "own" (Ancient.follow proxy) own;
      check_bool "in the private copy" true (Ancient.is_ancient (Ancient.follow proxy));
      (* What it refers to is at other addresses here than in the file: it is copied. *)
      let parts, info = Ancient.share_info md 7 [ zero.table ] in
      check_bool "copied" true (info.i_size > 1000);
      check_same "parts" (Ancient.follow parts) [ zero.table ];
      (* Beyond what was there when it was attached. *)
      let list = List.init 200_000 (fun i -> (i, Int64.of_int i)) in
      check_bool "large" true (Ancient.follow (Ancient.share md 8 list) = list);
      check_bool "remove" true (Ancient.remove md (Int 8));
      Ancient.compact md;
      check_bool "verify" true (Ancient.verify md = Ok ());
      check_bool "still" true (check md == zero);
      check_taken memory);
  role "read" (fun args ->
      let md = Ancient.open_file args.(0) in
      check_int "not relocated" 0 (Ancient.relocations ());
      check_bool "its own address" true
        ((Ancient.file_info md).base = Nativeint.of_string args.(1));
      ignore (check md);
      if args.(2) = "new" then begin
        let v : everything * string = Ancient.follow (Ancient.get_key md (Name "new")) in
        check_everything (fst v);
        check_string "new" "by a relocated process" (snd v);
        let parts : (string, int) Hashtbl.t list = Ancient.follow (Ancient.get md 7) in
        check_same "parts" parts [ (everything ()).table ]
      end)

let text = Printf.sprintf "%nd"

let taken verify path =
  let base = fill path in
  let digest = Digest.file path in
  List.iter
    (fun place -> wait_ok (spawn "taken" [ path; text base; verify; place ]))
    (* The first page; behind the file's end; the last pages of its 64 GB. *)
    [ "0"; "0x40000000"; "0xfffff0000" ];
  check_string "the file" (Digest.to_hex digest) (Digest.to_hex (Digest.file path));
  wait_ok (spawn "read" [ path; text base; "" ])

let written path =
  let base = fill path in
  wait_ok (spawn "write" [ path; text base ]);
  wait_ok (spawn "read" [ path; text base; "new" ]);
  wait_ok (spawn "taken" [ path; text base; ""; "0" ])

(* The usual reason: a file that was copied with its address. *)
let copied path =
  ignore (fill path);
  let two = path ^ "2" in
  ignore (Sys.command (Filename.quote_command "cp" [ path; two ]));
  wait_ok
    (fork (fun () ->
         let md = Ancient.open_file path in
         let one = check md in
         (match Ancient.open_file two with
         | _ -> failwith "both at one address"
         | exception Failure _ -> ());
         let md2 = relocated two in
         check_bool "each its own" true (check md2 != one);
         (* A value of one is copied into the other. *)
         ignore (check md);
         Sys.remove two;
         ignore (check md2)));
  (* Where the address is free, asking for relocation changes nothing. *)
  wait_ok
    (fork (fun () ->
         let md = relocated path in
         ignore (check md);
         check_bool "not relocated" false (Ancient.file_info md).relocated;
         check_int "none" 0 (Ancient.relocations ())))

let () =
  run "ancient file: relocated"
    [
      ( "relocated",
        [
          test "where something else is" (in_file (taken ""));
          test "where something else is, verified" (in_file (taken "verify"));
          test "written through" (in_file written);
          test "a file and its copy" (in_file copied);
        ] );
    ]
