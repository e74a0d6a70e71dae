(* Attaching and detaching: addresses, pointers left behind, what readers hold. *)

open Test_support
open Values

let in_file f () = with_temp_dir (fun dir -> f (Filename.concat dir "image"))
let churn () = ignore (Sys.opaque_identity (List.init 100_000 (fun i -> string_of_int i)))

let () =
  role "hold" (fun args ->
      (* Follows key 0, says so, and waits to be killed. *)
      let md = attach ~flags:read_only args.(0) in
      let v : string list = Ancient.follow (Ancient.get md 0) in
      print_char 'k';
      flush stdout;
      ignore (Unix.read Unix.stdin (Bytes.create 1) 0 1);
      if v <> List.init 2000 (fun _ -> "held") then exit 3)

let stale path =
  let md = attach path in
  ignore (Ancient.share md 0 (everything ()));
  let proxy : everything Ancient.ancient = Ancient.get md 0 in
  let v = Ancient.follow proxy in
  check_bool "is_ancient" true (Ancient.is_ancient v && Ancient.is_ancient v.record);
  let weak = Weak.create 1 in
  Weak.set weak 0 (Some v.record);
  let holders = ref [ Obj.repr v; Obj.repr [| v.record |]; Obj.repr (Some v.table) ] in
  let int64 : int64 = Obj.obj (Obj.dup (Obj.repr v.int64)) in
  let sub = Bigarray.Array2.sub_left v.bigarray 0 1 in
  Ancient.detach md;
  check_bool "no longer ancient" false (Ancient.is_ancient v);
  for _ = 1 to 3 do
    churn ();
    Gc.full_major ();
    Gc.compact ()
  done;
  (* The copy of a boxed number still finds its operations. *)
  check_bool "dup of an int64" true (Int64.equal int64 0x1234_5678_9abc_def0L);
  check_bool "compare" true (compare int64 0x1234_5678_9abc_def0L = 0);
  check_int "hash" (Hashtbl.hash 0x1234_5678_9abc_def0L) (Hashtbl.hash int64);
  check_int "dimension" 1 (Bigarray.Array2.dim1 sub);
  check_int "holders" 3 (List.length !holders);
  holders := [];
  Gc.full_major ();
  raises_invalid "follow after detach" (fun () -> Ancient.follow proxy);
  raises_invalid "get after detach" (fun () -> Ancient.get md 0);
  raises_invalid "share after detach" (fun () -> Ancient.share md 0 0);
  raises_invalid "detach after detach" (fun () -> Ancient.detach md)

let again path =
  let md = attach path in
  let v : string list = Ancient.follow (Ancient.share md 0 [ "here" ]) in
  let address = Ancient.address_of v in
  Ancient.detach md;
  (* Others go on writing; what this process may have pointers to is left alone. *)
  wait_ok
    (fork (fun () ->
         let md = attach path in
         for i = 1 to 20 do
           ignore (Ancient.share md 0 [ string_of_int i ])
         done));
  let md = attach path in
  Alcotest.(check (list string)) "newest" [ "20" ] (Ancient.follow (Ancient.get md 0));
  check_bool "same address" true (Nativeint.equal address (Ancient.address_of v));
  Alcotest.(check (list string)) "the pointer from before" [ "here" ] v;
  Ancient.detach md;
  for i = 1 to 30 do
    let md = attach path in
    ignore (Ancient.share md 1 i);
    Ancient.detach md
  done;
  check_int "attached many times" 30 (Ancient.follow (Ancient.get (attach path) 1))

let twice path =
  let one = attach path in
  let two = attach path in
  let v : string = Ancient.follow (Ancient.share one 0 "shared") in
  check_bool "the same block" true (v == Ancient.follow (Ancient.get two 0));
  Ancient.detach one;
  check_string "still there" "shared" v;
  raises_invalid "the detached handle" (fun () -> Ancient.get one 0);
  check_string "the other handle" "shared" (Ancient.follow (Ancient.get two 0));
  Ancient.detach two

let base path =
  let wanted = 0x1000_0000_0000n in
  let md = attach ~base:wanted path in
  let v = Ancient.follow (Ancient.share md 0 "x") in
  let address = Ancient.address_of v in
  check_bool "at the base" true
    (Nativeint.compare address wanted > 0
    && Nativeint.compare address (Nativeint.add wanted 1_000_000n) < 0);
  (match attach ~base:wanted (path ^ "2") with
  | _ -> Alcotest.fail "two files at one address"
  | exception Failure text -> check_bool text true (String.length text > 40));
  check_int "left empty" 0 (Unix.stat (path ^ "2")).st_size;
  raises_invalid "odd base" (fun () -> attach ~base:100_000_001n (path ^ "3"));
  (* Of a file that exists, the base is its own. *)
  let md' = attach ~base:0x2000_0000_0000n path in
  check_string "where it was" "x" (Ancient.follow (Ancient.get md' 0))

let taken path =
  (* A file copied with its address: both can't be in one process. *)
  let md = attach path in
  ignore (Ancient.share md 0 "x");
  ignore (Sys.command (Filename.quote_command "cp" [ path; path ^ "2" ]));
  match attach (path ^ "2") with
  | _ -> Alcotest.fail "attached over another file"
  | exception Failure _ -> check_string "unharmed" "x" (Ancient.follow (Ancient.get md 0))

let read_only_file path =
  let md = attach path in
  let table = Hashtbl.create 10 in
  for i = 1 to 1000 do
    Hashtbl.replace table i (string_of_int i)
  done;
  ignore (Ancient.share md 0 table);
  Unix.chmod path 0o400;
  let digest = Digest.file path in
  let use md =
    let t : (int, string) Hashtbl.t = Ancient.follow (Ancient.get md 0) in
    let n = ref 0 in
    Hashtbl.iter (fun k v -> if string_of_int k = v then incr n) t;
    check_int "iter" 1000 !n;
    check_int "fold" 500500 (Hashtbl.fold (fun k _ s -> k + s) t 0);
    (* Not to be done; but it must not reach the file. *)
    Hashtbl.replace t 1 "changed"
  in
  wait_ok
    (fork (fun () ->
         let md = attach ~flags:read_only path in
         use md;
         raises_invalid "share" (fun () -> Ancient.share md 0 0)));
  (* A handle to write with, too, maps values copy-on-write. *)
  use md;
  check_string "the file" (Digest.to_hex digest) (Digest.to_hex (Digest.file path))

let held path =
  let md = attach path in
  ignore (Ancient.share md 0 (List.init 2000 (fun _ -> "held")));
  let stdin_r, stdin_w = Unix.pipe ~cloexec:true () in
  let stdout_r, stdout_w = Unix.pipe ~cloexec:true () in
  let child = spawn ~stdin:stdin_r ~stdout:stdout_w "hold" [ path ] in
  check_int "ready" 1 (Unix.read stdout_r (Bytes.create 1) 0 1);
  Ancient.detach md;
  let fill () =
    wait_ok
      (fork (fun () ->
           (* A fresh process for each: what it shares, it holds. *)
           let md = attach path in
           ignore (Ancient.share md 0 (List.init 2000 string_of_int))))
  in
  for _ = 1 to 10 do
    fill ()
  done;
  ignore (Unix.write_substring stdin_w "k" 0 1);
  wait_ok child;
  (* With nobody left who follows old values, the file does not grow. *)
  let size = (Unix.stat path).st_size in
  for _ = 1 to 20 do
    fill ()
  done;
  check_int "size" size (Unix.stat path).st_size

let memfd path =
  (* The descriptor may be all there is of a file. *)
  let fd = openfile path in
  Unix.unlink path;
  let md = Ancient.attach fd 0n in
  ignore (Ancient.share md 0 "no name");
  Ancient.detach md;
  match Ancient.attach fd 0n with
  | _ -> Alcotest.fail "attached again, after its space was given up"
  | exception Failure _ -> ()

let () =
  run "ancient file: lifetime"
    [
      ( "lifetime",
        [
          test "pointers left behind do the collector no harm" (in_file stale);
          test "attach again" (in_file again);
          test "attach twice at once" (in_file twice);
          test "base address" (in_file base);
          test "address taken" (in_file taken);
          test "nothing that is read is written" (in_file read_only_file);
          test "what a reader follows is not reused until it is gone" (in_file held);
          test "a file without a name" (in_file memfd);
        ] );
    ]
