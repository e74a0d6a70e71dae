(* [attach ~verify:true] on good files, and what it is for: files that others cut and overwrite. *)

open Test_support
open Values

let in_file f () = with_temp_dir (fun dir -> f (Filename.concat dir "image"))
let verified ?mode path = Ancient.open_file ?mode ~verify:true path

let good path =
  let writer = Ancient.open_file ~mode:Create ~durable:false path in
  let values : Obj.t list =
    let rec cycle = 1 :: 2 :: cycle in
    [
      Obj.repr (everything ());
      Obj.repr cycle;
      Obj.repr 42;
      Obj.repr "";
      Obj.repr (String.make 100_000 's');
      Obj.repr [||];
      Obj.repr [| 1.; nan |];
      Obj.repr 2.5;
      Obj.repr (List.init 10_000 Int64.of_int);
      Obj.repr (Array.init 1000 (fun i -> (Int32.of_int i, Nativeint.of_int i)));
      Obj.repr (Bigarray.(Array3.init Complex64 Fortran_layout) 3 4 5 (fun i j k ->
          { Complex.re = float (i * j); im = float k }));
      Obj.repr (Bigarray.(Genarray.create Int16_signed C_layout) [| 0; 3 |]);
      Obj.repr (`Poly (Some (Float 3.)));
      Obj.repr (Ok (Some 0.5));
    ]
  [@ocamlformat "disable"]
  in
  List.iteri (fun i v -> ignore (Ancient.share writer i v)) values;
  let zero : everything = Ancient.follow (Ancient.get writer 0) in
  ignore (Ancient.share_key writer (Name "parts") (zero.int64, zero.table, zero.record));
  let md = verified path in
  check_bool "verify" true (Ancient.verify md = Ok ());
  let check md =
    List.iteri
      (fun i v ->
        let got : Obj.t = Ancient.follow (Ancient.get md i) in
        if i <> 1 then check_same (string_of_int i) got v
        else
          let cycle : int list = Obj.obj got in
          check_bool "cycle" true (List.tl (List.tl cycle) == cycle))
      values;
    let zero : everything = Ancient.follow (Ancient.get md 0) in
    check_everything zero;
    let int64, table, record = Ancient.follow (Ancient.get_key md (Name "parts")) in
    check_bool "parts" true
      (int64 == zero.int64 && table == zero.table && record == zero.record)
  in
  (* In the process that has it mapped, and where it is read into private memory. *)
  check md;
  wait_ok (fork (fun () -> check (verified path)));
  Ancient.detach writer;
  check md;
  Ancient.detach md;
  wait_ok (spawn "verified" [ path ])

let () =
  role "verified" (fun args ->
      let md = verified args.(0) in
      check_int "not relocated" 0 (Ancient.relocations ());
      let zero : everything = Ancient.follow (Ancient.get md 0) in
      check_everything zero;
      check_bool "ancient" true (Ancient.is_ancient zero);
      Ancient.detach md;
      for _ = 1 to 2 do
        ignore (Sys.opaque_identity (List.init 100_000 string_of_int));
        Gc.compact ()
      done;
      check_bool "not any more" false (Ancient.is_ancient zero);
      (* Again: elsewhere, and checked again. *)
      let md = verified args.(0) in
      let zero' : everything = Ancient.follow (Ancient.get md 0) in
      check_everything zero';
      check_bool "at another address" true (zero' != zero);
      check_int "which is counted" 1 (Ancient.relocations ());
      (* One that was never followed leaves no pointer behind. *)
      Ancient.detach md)

let writes path =
  (* Through an md that verifies, values are shared as through any other. *)
  let md = verified ~mode:Create path in
  let v = everything () in
  check_same "own" (Ancient.follow (Ancient.share md 0 v)) v;
  for i = 1 to 50 do
    let tail : int list = if i = 1 then [] else Ancient.follow (Ancient.get md 1) in
    let p, info = Ancient.share_info md 1 (i :: tail) in
    check_int "a cell" 24 info.i_size;
    check_bool "the tail" true (List.tl (Ancient.follow p) == tail)
  done;
  Ancient.compact md;
  check_bool "verify" true (Ancient.verify md = Ok ());
  wait_ok
    (fork (fun () ->
         let md = Ancient.open_file path in
         check_everything (Ancient.follow (Ancient.get md 0));
         check_bool "list" true
           (Ancient.follow (Ancient.get md 1) = List.init 50 (fun i -> 50 - i))))

let size = 300_000
let large key = List.init size (fun i -> (key * size) + i)

let make path =
  wait_ok
    (fork (fun () ->
         let md = Ancient.open_file ~mode:Create ~durable:false path in
         for key = 0 to 2 do
           ignore (Ancient.share md key (large key))
         done))

let damaged what f =
  match f () with
  | (_ : int list Ancient.ancient) -> Alcotest.failf "%s: no exception" what
  | exception Failure text ->
      check_bool text true (contains "offset" text && String.length text > 40)

(* What was got stays good, whatever becomes of the file; what wasn't is an exception. *)
let destroyed destroy path =
  make path;
  wait_ok
    (fork (fun () ->
         let md = verified path in
         let zero : int list = Ancient.follow (Ancient.get md 0) in
         let one : int list Ancient.ancient = Ancient.get md 1 in
         destroy path;
         Gc.compact ();
         check_bool "followed" true (zero = large 0);
         check_bool "got" true (Ancient.follow one = large 1);
         damaged "two" (fun () -> Ancient.get md 2);
         (match Ancient.verify md with
         | Ok () -> Alcotest.fail "verify"
         | Error fault -> check_bool "reason" true (fault.reason <> ""));
         Ancient.detach md;
         Gc.compact ();
         match verified path with
         | exception Failure _ -> ()
         | md -> damaged "two, attached again" (fun () -> Ancient.get md 2)))

let emptied path = Unix.truncate path 0

(* Behind the superblocks and two values. *)
let cut path = Unix.truncate path (8192 + (2 * size * 24))

let overwritten path =
  let fd = openfile ~flags:[ O_RDWR ] path in
  let length = (Unix.fstat fd).st_size in
  let junk = Bytes.make 65536 '\x41' in
  ignore (Unix.lseek fd 8192 SEEK_SET);
  for _ = 1 to length / 65536 do
    ignore (Unix.write fd junk 0 65536)
  done;
  Unix.close fd

(* A handle that trusts, and one that doesn't, on the same file: each value is checked for the one,
   and the blocks are the same. *)
let both path =
  make path;
  let trusting = Ancient.open_file path in
  let zero : int list = Ancient.follow (Ancient.get trusting 0) in
  let md = verified path in
  check_bool "the same blocks" true (Ancient.follow (Ancient.get md 0) == zero);
  check_bool "another" true (Ancient.follow (Ancient.get md 1) = large 1);
  (* Damage in a value that only the one looks at. *)
  let fd = openfile ~flags:[ O_RDWR ] path in
  let at = 8192 + (2 * size * 24) + 300_000 in
  ignore (Unix.lseek fd at SEEK_SET);
  ignore (Unix.write_substring fd "\xff\xff\xff" 0 3);
  Unix.close fd;
  damaged "two" (fun () -> Ancient.get md 2);
  check_bool "trusted" true (Ancient.is_ancient (Ancient.follow (Ancient.get trusting 2)))

let () =
  run "ancient file: verified"
    [
      ( "verified",
        [
          test "every kind of value" (in_file good);
          test "written through" (in_file writes);
          test "emptied while attached" (in_file (destroyed emptied));
          test "cut while attached" (in_file (destroyed cut));
          test "overwritten while attached" (in_file (destroyed overwritten));
          test "beside a handle that trusts" (in_file both);
        ] );
    ]
