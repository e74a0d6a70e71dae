(* Values through a file, between processes that have nothing else in common. *)

open Test_support
open Values

let check_reader path =
  let md = attach ~flags:read_only path in
  check_everything (Ancient.follow (Ancient.get md 0));
  let cycle : record = Ancient.follow (Ancient.get md 1) in
  (match cycle.self with
  | Some c when c == cycle -> ()
  | _ -> failwith "the cycle is cut");
  Gc.compact ();
  check_everything (Ancient.follow (Ancient.get md 0));
  md

let () =
  role "reader" (fun args -> ignore (check_reader args.(0)));
  role "writer" (fun args ->
      let md = attach args.(0) in
      ignore (Ancient.share md 0 (everything ())));
  role "next" (fun args ->
      (* Adds one to the number under key 0, under the next key, and again. *)
      let md = attach args.(0) in
      for _ = 1 to int_of_string args.(1) do
        let n : int list = Ancient.follow (Ancient.get md 0) in
        ignore (Ancient.share md 0 (List.map succ n))
      done);
  role "own-key" (fun args ->
      let md = attach args.(0) in
      let key = int_of_string args.(1) in
      for i = 1 to 100 do
        ignore (Ancient.share md key (List.init i (fun j -> (key, j))))
      done)

let in_file f () = with_temp_dir (fun dir -> f (Filename.concat dir "image"))

let unrelated path =
  let md = attach path in
  let v, info = Ancient.share_info md 0 (everything ()) in
  check_everything (Ancient.follow v);
  check_bool "size" true (info.i_size > 5000 && info.i_size < 20000);
  let rec r =
    {
      int = 1;
      string = "";
      float = 0.;
      floats = [||];
      point = { x = 0.; y = 0. };
      self = Some r;
    }
  in
  ignore (Ancient.share md 1 r);
  wait_ok (spawn "reader" [ path ]);
  wait_ok (fork (fun () -> ignore (check_reader path)));
  let md' = attach path in
  check_everything (Ancient.follow (Ancient.get md' 0));
  Ancient.detach md';
  check_everything (Ancient.follow (Ancient.get md 0));
  (* And what another process wrote. *)
  wait_ok (spawn "writer" [ path ]);
  check_everything (Ancient.follow (Ancient.get md 0))

let keys path =
  let md = attach path in
  let all = [ 0; 1; 2; 3; 31; 32; 33; 1023; 1024; 5000; 1_000_000; max_int ] in
  List.iter (fun k -> ignore (Ancient.share md k (string_of_int k))) all;
  List.iter
    (fun k -> check_string "value" (string_of_int k) (Ancient.follow (Ancient.get md k)))
    all;
  let rec count k =
    match (Ancient.get md k : string Ancient.ancient) with
    | _ -> count (k + 1)
    | exception Not_found -> k
  in
  check_int "keys 0, 1, 2, … until Not_found" 4 (count 0);
  raises_invalid "negative key of get" (fun () -> Ancient.get md (-1));
  raises_invalid "negative key of share" (fun () -> Ancient.share md (-1) "");
  check_bool "small file" true ((Unix.stat path).st_size < 1_000_000)

let many_keys path =
  let md = attach path in
  for k = 0 to 599 do
    ignore (Ancient.share md (k * 7) k)
  done;
  for k = 0 to 599 do
    check_int "value" k (Ancient.follow (Ancient.get md (k * 7)));
    match (Ancient.get md ((k * 7) + 1) : int Ancient.ancient) with
    | _ -> Alcotest.fail "a key that was never set"
    | exception Not_found -> ()
  done

let replace path =
  let md = attach path in
  let old : string list = Ancient.follow (Ancient.share md 3 [ "old"; "value" ]) in
  for i = 1 to 50 do
    ignore (Ancient.share md 3 (List.init (i * 10) string_of_int))
  done;
  check_int "new" 500 (List.length (Ancient.follow (Ancient.get md 3) : string list));
  (* What was followed before stays what it was. *)
  Alcotest.(check (list string)) "old" [ "old"; "value" ] old

let immediate path =
  let md = attach path in
  ignore (Ancient.share md 0 42);
  ignore (Ancient.share md 1 ([] : int list));
  ignore (Ancient.share md 2 Constant);
  ignore (Ancient.share md 3 "");
  ignore (Ancient.share md 4 ([||] : int array));
  ignore (Ancient.share md 5 1.5);
  let again = attach ~flags:read_only path in
  check_int "int" 42 (Ancient.follow (Ancient.get again 0));
  check_bool "[]" true (Ancient.follow (Ancient.get again 1) = ([] : int list));
  check_bool "constant" true (Ancient.follow (Ancient.get again 2) = Constant);
  check_string "string" "" (Ancient.follow (Ancient.get again 3));
  check_int "[||]" 0 (Array.length (Ancient.follow (Ancient.get again 4) : int array));
  check_bool "float" true (Ancient.follow (Ancient.get again 5) = 1.5)

exception Mine of int

let refused path =
  let md = attach path in
  ignore (Ancient.share md 0 "before");
  let refuse what part f =
    match f () with
    | (_ : Obj.t Ancient.ancient) -> Alcotest.failf "%s: shared" what
    | exception Invalid_argument text ->
        if not (contains part text) then
          Alcotest.failf "%s: %S does not say %S" what text part
  in
  let share v = Ancient.share md 0 (Obj.repr v) in
  refuse "closure" "closure" (fun () -> share (1, [ Some (fun () -> md) ]));
  refuse "closure's place" "field 1" (fun () -> share (1, [ Some (fun () -> md) ]));
  refuse "object" "object" (fun () ->
      share
        [
          object
            method m = md
          end;
        ]);
  refuse "lazy" "lazy" (fun () -> share (lazy (String.length path)));
  refuse "exception" "exception" (fun () -> share [ Mine 1 ]);
  refuse "predefined exception" "Not_found" (fun () -> share (Error Not_found));
  refuse "channel" "_chan" (fun () -> share (0, stdin));
  refuse "mutex" "_mutex" (fun () -> share (Mutex.create ()));
  check_string "as it was" "before" (Ancient.follow (Ancient.get md 0))

let long_list path =
  let md = attach path in
  let n = 5_000_000 in
  let l = List.init n Fun.id in
  let l' = Ancient.follow (fst (Ancient.share_info md 0 l)) in
  check_int "length" n (List.length l');
  check_bool "equal" true (List.for_all2 ( = ) l l');
  wait_ok
    (fork (fun () ->
         let md = attach ~flags:read_only path in
         if List.length (Ancient.follow (Ancient.get md 0) : int list) <> n then exit 1))

let own_library path =
  (* A value that is ancient already, in the same file and in another. *)
  let md = attach path and other = attach (path ^ "2") in
  let v : string list = Ancient.follow (Ancient.share md 0 [ "a"; "b" ]) in
  ignore (Ancient.share md 1 ("x" :: v));
  ignore (Ancient.share other 0 ("y" :: v));
  ignore (Ancient.share md 0 "replaced");
  Ancient.detach md;
  Alcotest.(check (list string))
    "copied" [ "y"; "a"; "b" ]
    (Ancient.follow (Ancient.get other 0))

let in_turn path =
  let md = attach path in
  ignore (Ancient.share md 0 [ 0; 0 ]);
  let children = List.init 2 (fun _ -> spawn "own-key" [ path; "7" ]) in
  let other = spawn "own-key" [ path; "8" ] in
  let adder = spawn "next" [ path; "50" ] in
  List.iter wait_ok (other :: adder :: children);
  Alcotest.(check (list int))
    "no step lost" [ 50; 50 ]
    (Ancient.follow (Ancient.get md 0));
  List.iter
    (fun k ->
      let v : (int * int) list = Ancient.follow (Ancient.get md k) in
      Alcotest.(check (list (pair int int))) "last" (List.init 100 (fun j -> (k, j))) v)
    [ 7; 8 ]

let forked_writers path =
  let md = attach path in
  let children =
    List.init 4 (fun c ->
        fork (fun () ->
            for i = 0 to 24 do
              ignore (Ancient.share md ((100 * c) + i) (c, i))
            done))
  in
  List.iter wait_ok children;
  for c = 0 to 3 do
    for i = 0 to 24 do
      Alcotest.(check (pair int int))
        "all there" (c, i)
        (Ancient.follow (Ancient.get md ((100 * c) + i)))
    done
  done

let () =
  run "ancient file: share"
    [
      ( "share",
        [
          test "every kind of value, in unrelated processes" (in_file unrelated);
          test "keys" (in_file keys);
          test "600 keys" (in_file many_keys);
          test "replace" (in_file replace);
          test "immediates, empty and small values" (in_file immediate);
          test "refused, with the place" (in_file refused);
          test "a list of 5 million" (in_file long_list);
          test "values that are ancient already" (in_file own_library);
          test "processes writing in turn" (in_file in_turn);
          test "forked children sharing one handle" (in_file forked_writers);
        ] );
    ]
