(* Values that refer to values of the same file: they are not copied again, and stay in the file as
   long as anything refers to them, whatever becomes of their own keys. *)

open Test_support
open Values

let in_file f () = with_temp_dir (fun dir -> f (Filename.concat dir "image"))
let create path = Ancient.open_file ~mode:Create ~durable:false path
let big n = List.init 20_000 (fun i -> (n, string_of_int (n + i)))

type big = (int * string) list

let get_big md key : big = Ancient.follow (Ancient.get_key md key)
let verify_ok md = check_bool "verify" true (Ancient.verify md = Ok ())

(* In a process of its own, which has no pointers of before. *)
let () =
  role "read" (fun args ->
      let md = Ancient.open_file args.(0) in
      let one = get_big md (Name "one") in
      if one <> big 1 then failwith "one";
      let two : big * big = Ancient.follow (Ancient.get_key md (Name "two")) in
      if fst two != one || snd two <> big 2 then failwith "two";
      let same = get_big md (Name "same") in
      if same != one then failwith "same";
      let deep : (big * big) list = Ancient.follow (Ancient.get_key md (Name "deep")) in
      if List.length deep <> 2 || List.exists (fun pair -> pair != two) deep then
        failwith "deep";
      verify_ok md);
  role "deep only" (fun args ->
      let md = Ancient.open_file ~verify:(args.(1) = "verify") args.(0) in
      check_bool "keys" true (Ancient.keys md = [ Name "deep" ]);
      let deep : (big * big) list = Ancient.follow (Ancient.get_key md (Name "deep")) in
      (match deep with
      | [ (one, two); again ] ->
          check_bool "values" true (one = big 1 && two = big 2 && fst again == one)
      | _ -> failwith "deep");
      verify_ok md);
  role "compact" (fun args ->
      Ancient.compact (Ancient.open_file ~mode:Read_write args.(0)));
  role "overwrite" (fun args ->
      (* What is free is written over. *)
      let md = Ancient.open_file ~mode:Read_write ~durable:false args.(0) in
      for i = 1 to 40 do
        ignore (Ancient.share_key md (Name "x") (List.init (i * 700) (fun _ -> "over")))
      done;
      ignore (Ancient.remove md (Name "x")));
  role "remove" (fun args ->
      let md = Ancient.open_file ~mode:Read_write args.(0) in
      ignore (Ancient.remove md (Name args.(1))))

let make path =
  let md = create path in
  let name n = Ancient.Name n in
  let one = Ancient.follow (Ancient.share_key md (name "one") (big 1)) in
  let size = (Ancient.file_info md).file_size in
  let two, info = Ancient.share_key_info md (name "two") (one, big 2) in
  let two = Ancient.follow two in
  check_bool "one is not copied" true (fst two == one);
  check_bool "only two is" true (info.i_size < Ancient.((info md (Name "one")).size) + 100);
  let before = Ancient.file_info md in
  check_bool "one was large" true (before.file_size - size < size + 200_000);
  (* The value itself, under another key: no block is copied. *)
  let same, info = Ancient.share_key_info md (name "same") one in
  check_int "nothing is copied" 0 info.i_size;
  check_bool "the same" true (Ancient.follow same == one);
  let deep, info = Ancient.share_key_info md (name "deep") [ two; two ] in
  check_int "two cells are" 48 info.i_size;
  check_bool "the same" true
    (List.for_all (fun pair -> pair == two) (Ancient.follow deep));
  let after = Ancient.file_info md in
  (* Each a page, and pages of the key table. *)
  check_bool "grows by little" true (after.file_size - before.file_size <= 200_000);
  check_int "keys" 4 after.keys;
  verify_ok md;
  Ancient.detach md

let sharing path =
  make path;
  wait_ok (spawn "read" [ path ]);
  let md = create path in
  let one = get_big md (Name "one") in
  check_bool "equal after attaching again" true
    (fst (Ancient.follow (Ancient.get_key md (Name "two")) : big * big) == one);
  check_bool "one is all there" true (one = big 1)

(* Who shares and compacts in one process: what values refer to stays where it is. *)
let compacted path =
  wait_ok
    (fork (fun () ->
         let md = create path in
         ignore (Ancient.share md 0 [ big 0; big 5; big 6; big 7 ]);
         let one = Ancient.follow (Ancient.share_key md (Name "one") (big 1)) in
         ignore (Ancient.share_key md (Name "two") (one, big 2));
         ignore (Ancient.remove md (Int 0));
         Gc.full_major ();
         Ancient.compact md;
         verify_ok md));
  let md = Ancient.open_file path in
  let one = get_big md (Name "one") in
  let two : big * big = Ancient.follow (Ancient.get_key md (Name "two")) in
  check_bool "the same" true (fst two == one);
  check_bool "values" true (two = (big 1, big 2));
  verify_ok md

(* Key by key away, and everything that is free written over in between. *)
let survive compact path =
  wait_ok (fork (fun () -> make path));
  let compact () = if compact then wait_ok (spawn "compact" [ path ]) in
  List.iter
    (fun name ->
      wait_ok (spawn "remove" [ path; name ]);
      compact ();
      wait_ok (spawn "overwrite" [ path ]))
    [ "one"; "same"; "two" ];
  compact ();
  wait_ok (spawn "deep only" [ path; "" ]);
  wait_ok (spawn "deep only" [ path; "verify" ]);
  let used = (Unix.stat path).st_size in
  wait_ok (spawn "remove" [ path; "deep" ]);
  wait_ok (spawn "compact" [ path ]);
  check_bool "was used" true (used > 1_000_000);
  check_bool "nothing is left" true ((Unix.stat path).st_size <= 20_000)

let replaced path =
  (* A new value refers to the one that it replaces, a hundred times: a list that grows. *)
  let md = create path in
  ignore (Ancient.share md 0 ([] : string list));
  for i = 1 to 100 do
    let tail : string list = Ancient.follow (Ancient.get md 0) in
    let v, info = Ancient.share_info md 0 (string_of_int i :: tail) in
    check_int "a cell and a string" 40 info.i_size;
    check_bool "its tail" true (List.tl (Ancient.follow v) == tail)
  done;
  let expected = List.init 100 (fun i -> string_of_int (100 - i)) in
  Alcotest.(check (list string)) "all" expected (Ancient.follow (Ancient.get md 0));
  verify_ok md;
  Ancient.detach md;
  wait_ok (spawn "overwrite" [ path ]);
  wait_ok (spawn "compact" [ path ]);
  List.iter
    (fun verify ->
      wait_ok
        (fork (fun () ->
             let md = Ancient.open_file ~verify path in
             check_bool "after" true (Ancient.follow (Ancient.get md 0) = expected);
             verify_ok md)))
    [ false; true ]

(* What this process holds may be shared again after its key is gone, and its place free. *)
let revived path =
  let md = create path in
  let one : big = Ancient.follow (Ancient.share md 1 (big 1)) in
  check_bool "remove" true (Ancient.remove md (Int 1));
  wait_ok (spawn "overwrite" [ path ]);
  wait_ok (spawn "compact" [ path ]);
  let again, info = Ancient.share_info md 2 one in
  check_int "nothing is copied" 0 info.i_size;
  check_bool "the same" true (Ancient.follow again == one);
  verify_ok md;
  Ancient.detach md;
  wait_ok (spawn "overwrite" [ path ]);
  let check () =
    let md = Ancient.open_file path in
    check_bool "as it was" true (Ancient.follow (Ancient.get md 2) = big 1);
    verify_ok md
  in
  wait_ok (fork check);
  check ()

(* [share md 1 (follow (get md 0))], of every kind of value, and [share] of parts of values. *)
let kinds path =
  let md = create path in
  ignore (Ancient.share md 0 (everything ()));
  let v : everything = Ancient.follow (Ancient.get md 0) in
  let alike, info = Ancient.share_info md 1 v in
  check_int "nothing is copied" 0 info.i_size;
  check_bool "the same" true (Ancient.follow alike == v);
  let parts = Obj.dup (Obj.repr v) in
  let copy, info = Ancient.share_info md 2 (Obj.obj parts : everything) in
  check_int "one block is" (8 * (1 + Obj.size parts)) info.i_size;
  let copy = Ancient.follow copy in
  check_bool "parts" true
    (copy.bigarray == v.bigarray && copy.int64 == v.int64 && copy.table == v.table);
  (* Integers refer to nothing. *)
  let n : int Ancient.ancient =
    Ancient.share md 3 (Ancient.follow (Ancient.share md 4 5))
  in
  check_int "int" 5 (Ancient.follow n);
  (* What is derived from a value is the heap's: its data are copied. *)
  let row = Bigarray.Array2.slice_left v.bigarray 1 in
  let row' = Ancient.follow (Ancient.share md 5 row) in
  check_bool "slice" true (row' = row && Ancient.is_ancient row');
  Ancient.detach md;
  List.iter
    (fun verify ->
      wait_ok
        (fork (fun () ->
             let md = Ancient.open_file ~verify path in
             let zero : everything = Ancient.follow (Ancient.get md 0) in
             let one : everything = Ancient.follow (Ancient.get md 1) in
             let two : everything = Ancient.follow (Ancient.get md 2) in
             check_everything one;
             check_everything two;
             check_bool "the same" true (zero == one && zero.bigarray == two.bigarray);
             verify_ok md)))
    [ false; true ]

(* A file that is not the same one, and what is marked: copied. *)
let others path =
  let md = create path and other = create (path ^ "2") in
  let one : big = Ancient.follow (Ancient.share md 0 (big 1)) in
  let marked = Ancient.mark (big 2) in
  let v, info = Ancient.share_info other 0 (one, Ancient.follow marked) in
  check_bool "copied" true (info.i_size > 2_000_000);
  check_bool "not the same" true (fst (Ancient.follow v) != one);
  Ancient.delete marked;
  Ancient.detach md;
  Sys.remove path;
  check_bool "its own" true (Ancient.follow v = (big 1, big 2));
  verify_ok other;
  (* What was not followed in this process may still be its own file's. *)
  let again = create (path ^ "2") in
  let pair : big * big = Ancient.follow (Ancient.get again 0) in
  let _, info = Ancient.share_info other 1 (snd pair) in
  check_int "of the same file by another md" 0 info.i_size

let () =
  run "ancient file: shared parts"
    [
      ( "parts",
        [
          test "not copied again" (in_file sharing);
          test "compacted by who shared them" (in_file compacted);
          test "survive their keys" (in_file (survive false));
          test "survive their keys, compacted" (in_file (survive true));
          test "of the value that is replaced" (in_file replaced);
          test "of a value that was removed" (in_file revived);
          test "every kind of value" (in_file kinds);
          test "other files, and marked values" (in_file others);
        ] );
    ]
