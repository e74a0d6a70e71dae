(* What a file grows to: the places of values that nobody can read any more are used again. *)

open Test_support

let in_file f () = with_temp_dir (fun dir -> f (Filename.concat dir "image"))
let length path = (Unix.stat path).st_size
let edit path = Ancient.open_file ~mode:Create ~durable:false path
let value n = List.init 40 (fun i -> n + i)

(* Ten thousand values of a page each would be 40 MB. *)
let check_small path most =
  let length = length path in
  if length > most then Alcotest.failf "%d bytes, at most %d are enough" length most

let small = 5_000_000

let replace md n =
  for i = 1 to n do
    ignore (Ancient.share md 0 (value i))
  done;
  check_bool "the last" true (Ancient.follow (Ancient.get md 0) = value n)

let replaced path =
  let md = edit path in
  replace md 10_000;
  check_small path small;
  (* Values that are larger than what the collector thinks of a proxy. *)
  let large = String.make 1_000_000 'x' in
  for _ = 1 to 300 do
    ignore (Ancient.share md 1 large)
  done;
  check_small path 100_000_000

let removed path =
  let md = edit path in
  for i = 1 to 3000 do
    ignore (Ancient.share_key md (Name (string_of_int i)) (value i));
    if i > 10 then
      check_bool "remove" true (Ancient.remove md (Name (string_of_int (i - 10))))
  done;
  check_small path small

(* Getting a value without following it is no reason to keep it for good. *)
let got path =
  let md = edit path in
  for i = 1 to 5000 do
    ignore (Ancient.share md 0 (value i));
    for _ = 1 to 3 do
      ignore (Sys.opaque_identity (Ancient.get md 0 : int list Ancient.ancient))
    done;
    ignore (Ancient.mem md (Int 0));
    ignore (Ancient.info md (Int 0))
  done;
  check_small path small

(* A child has what its parent could read when it was forked. Once, a process that had forked took
   no claim on a value back any more, and its file grew with each one. *)
let forked path =
  let md = edit path in
  let children = ref [] in
  let stop_r, stop_w = Unix.pipe ~cloexec:true () in
  for round = 1 to 25 do
    (* What it couldn't reach, a child doesn't have. *)
    Gc.full_major ();
    let inherited : int list Ancient.ancient = Ancient.share md 1 (value round) in
    let child =
      fork (fun () ->
          if round land 1 = 0 then Unix._exit 0;
          Unix.close stop_w;
          ignore (Unix.read stop_r (Bytes.create 1) 0 1);
          check_bool "what was inherited" true (Ancient.follow inherited = value round))
    in
    children := child :: !children;
    replace md 400
  done;
  Gc.full_major ();
  replace md 400;
  check_small path small;
  Unix.close stop_w;
  List.iter wait_ok !children;
  check_bool "verify" true (Ancient.verify md = Ok ())

(* What is still in the hands of one who has not followed it. *)
let alive path =
  let md = edit path in
  let proxy : int list Ancient.ancient = Ancient.share md 0 (value 7) in
  let got : int list Ancient.ancient = Ancient.get md 0 in
  let followed : int list = Ancient.follow (Ancient.share md 1 (value 8)) in
  (* One more claim on the same value is given up; the others stay. *)
  ignore (Sys.opaque_identity (Ancient.get md 0 : int list Ancient.ancient));
  Gc.full_major ();
  replace md 1000;
  for i = 1 to 1000 do
    ignore (Ancient.share md 1 (value i))
  done;
  Gc.full_major ();
  wait_ok
    (fork (fun () ->
         let md = edit path in
         replace md 500;
         Ancient.compact md;
         replace md 500));
  check_bool "shared" true (Ancient.follow proxy = value 7);
  check_bool "got" true (Ancient.follow got == Ancient.follow proxy);
  check_bool "followed" true (followed = value 8)

(* [Obj.dup] of a proxy is one more name for the same claim: it ends with the first that is
   collected or followed, and then the other says so, instead of showing what is there by then. *)
let duplicated path =
  let md = edit path in
  ignore (Ancient.share md 0 (value 1));
  let dup (p : int list Ancient.ancient) : int list Ancient.ancient =
    Obj.obj (Obj.dup (Obj.repr p))
  in
  let orphan = dup (Sys.opaque_identity (Ancient.get md 0)) in
  Gc.full_major ();
  replace md 1000;
  raises_invalid "its original is collected" (fun () -> Ancient.follow orphan);
  let p : int list Ancient.ancient = Ancient.get md 0 in
  let q = dup p in
  check_bool "original" true (Ancient.follow p = value 1000);
  (match Ancient.follow q with
  | v -> check_bool "copy" true (v == Ancient.follow p)
  | exception Invalid_argument _ -> ());
  let r : int list Ancient.ancient = Ancient.share md 0 (value 2) in
  let v = Ancient.follow (dup r) in
  ignore (Sys.opaque_identity r);
  Gc.full_major ();
  replace md 1000;
  check_bool "followed by its copy" true (v = value 2)

(* A process that got thousands of values and let them go doesn't keep the file for ever: there
   are so many that it claims the whole file, until there are fewer. *)
let many path =
  let keys = 8600 in
  let in_child f = wait_ok (fork (fun () -> f (edit path))) in
  in_child (fun md ->
      for i = 1 to keys do
        ignore (Ancient.share md i (value i))
      done);
  let full = length path in
  let md = edit path in
  let proxies : int list Ancient.ancient list ref =
    (* Every other one, so that no two are side by side. *)
    ref (List.init (keys / 2) (fun i -> Ancient.get md (2 * (i + 1))))
  in
  let kept : int list = Ancient.follow (Ancient.get md 2) in
  check_bool "one" true (Ancient.follow (List.nth !proxies 4) = value 10);
  proxies := [];
  Gc.full_major ();
  in_child (fun md ->
      for i = 1 to keys do
        ignore (Ancient.remove md (Int i))
      done);
  in_child Ancient.compact;
  check_small path (full / 10);
  check_bool "kept" true (kept = value 2)

let () =
  run "ancient file: space"
    [
      ( "space",
        [
          test "a key replaced ten thousand times" (in_file replaced);
          test "keys added and removed" (in_file removed);
          test "values got and not followed" (in_file got);
          test "a parent that forks" (in_file forked);
          test "values that somebody has" (in_file alive);
          test "Obj.dup of a proxy" (in_file duplicated);
          test "thousands of values let go" (in_file many);
        ] );
    ]
