(* init_value and copy_value of what has a way of its own: atoms, custom blocks, bigarrays. *)

open Test_support
open Test_copy
module A = Bigarray.Array1

let atoms () =
  let m = buffer 256 in
  let v = Sys.opaque_identity ([||], "a", [||]) in
  let (a, _, b) : int array * string * int array = init ~flags:[ Copy_atom ] m v in
  check_bool "a copy" true (a != [||] && a == b && a = [||] && Array.length a = 0);
  check_bool "appends" true (Array.append a [| 1 |] = [| 1 |]);
  let (a, _, b) : int array * string * int array = init ~flags:[ Keep_atom ] m v in
  check_bool "kept" true (a == [||] && b == [||]);
  let (a, _, _) : int array * string * int array =
    init ~flags:[ Copy_atom; Keep_atom ] m v
  in
  check_bool "kept if both" true (a == [||]);
  let copied = init ~flags:[ Copy_atom ] m v in
  let (a, s, _) : int array * string * int array = Netsys_mem.copy_value [] copied in
  let b : int array =
    Netsys_mem.copy_value []
      (let a, _, _ = copied in
       a)
  in
  A.fill m '\255';
  check_bool "this process's again" true (Array.append a [| 1 |] = [| 1 |] && s = "a");
  check_bool "at the root" true (Array.length b = 0 && a == b);
  check_bool "immediate" true
    (Netsys_mem.copy_value [] 5 = 5 && Netsys_mem.copy_value [] [||] = [||])

let customs () =
  let m = buffer 1024 in
  let v = (Int32.of_int (Sys.opaque_identity 7), Int64.of_int 8, Nativeint.of_int 9) in
  let flags = [ Netsys_mem.Copy_custom ] in
  check_bool "equal" true (init ~flags m v = v);
  let ops =
    [ ("_j", 0x1230n); ("_i", 0x4560n); ("_j", 0x7890n); ("_n", 0xabc0n); ("_x", 1n) ]
  in
  ignore (Netsys_mem.init_value ~target_custom_ops:ops m 0 v flags);
  let word offset = Bytes.get_int64_ne (Netsys_mem.bytes_of_memory m) offset in
  (* The tuple, then three blocks of operations and number. *)
  let operations = List.map (fun i -> word (40 + (24 * i))) [ 0; 1; 2 ] in
  Alcotest.(check (list int64))
    "operations, the first of each name" [ 0x4560L; 0x1230L; 0xabc0L ] operations

(* Blocks of another process, whose operations are nowhere in this one. *)
let foreign_customs () =
  let m = buffer 1024 in
  let target_custom_ops = [ ("_j", 0x10n); ("_bigarr02", 0x7fff_ffff_f000n) ] in
  let write v =
    let voffset, _ = Netsys_mem.init_value ~target_custom_ops m 0 [ v ] all in
    List.hd (Netsys_mem.as_value m voffset : Obj.t list)
  in
  List.iter
    (fun foreign ->
      raises_invalid "operations" (fun () -> Netsys_mem.get_custom_ops foreign);
      check_bool "bigarray" false (Netsys_mem.is_bigarray foreign);
      let text =
        raises_failure "copy" (fun () -> Netsys_mem.copy_value all (1, foreign))
      in
      check_string "text"
        "Netsys_mem.copy_value: cannot copy custom block of another process at field 1"
        text)
    [
      write (Obj.repr (Int64.of_int (Sys.opaque_identity 1))); write (Obj.repr (buffer 8));
    ]

let bigarrays () =
  let m = buffer 8192 in
  let two =
    Bigarray.Array2.init Bigarray.float64 Bigarray.fortran_layout 3 5 (fun i j ->
        float ((10 * i) + j))
  in
  let part = A.sub (A.init Bigarray.int16_unsigned Bigarray.c_layout 100 Fun.id) 10 7 in
  let mapped = keep (Netsys_mem.alloc_memory_pages 4096) in
  A.fill mapped 'm';
  let empty = A.create Bigarray.char Bigarray.c_layout 0 in
  let v = (two, part, mapped, empty) in
  let flags = [ Netsys_mem.Copy_bigarray ] in
  let ((two', part', mapped', empty') as copy) = init ~flags m v in
  check_bool "equal" true (compare copy v = 0 && Graphs.image copy = Graphs.image v);
  check_bool "shape" true
    (Bigarray.Array2.dim2 two' = 5
    && A.dim part' = 7
    && A.dim mapped' = 4096
    && A.dim empty' = 0);
  A.set part' 0 4242;
  check_int "data of its own" 10 part.{0};
  let sub = A.sub mapped' 10 20 in
  Netsys_mem.memory_unmap_file mapped';
  check_bool "not unmapped" true (A.get mapped' 4095 = 'm' && A.get sub 19 = 'm');
  let out = Netsys_mem.copy_value flags copy in
  A.fill m '\255';
  let _, part'', mapped'', _ = out in
  Gc.full_major ();
  check_bool "its own memory" true (part''.{0} = 4242 && A.get mapped'' 77 = 'm');
  let sub = A.sub mapped'' 4000 96 in
  check_bool "parts" true (A.get sub 95 = 'm');
  let small = List.init 20 (fun i -> Netsys_mem.memory_of_string (string_of_int i)) in
  let copies = List.map (Netsys_mem.copy_value flags) small in
  Gc.minor ();
  ignore (Sys.opaque_identity (List.init 1000 string_of_int));
  Gc.full_major ();
  check_bool "small ones" true (copies = small);
  let gone = Netsys_mem.alloc_memory_pages 1 in
  Netsys_mem.memory_unmap_file gone;
  let back : Netsys_mem.memory = Netsys_mem.copy_value flags gone in
  check_int "unmapped, empty" 0 (A.dim back)

(* In a process of its own: OCaml's collector counts the cycles that other tests forced as work done
   ahead, and would do none for a while. *)
let () =
  role "counted" (fun _ ->
      let v = buffer (4 lsl 20) in
      let before = resident_bytes () in
      for _ = 1 to 500 do
        ignore (Sys.opaque_identity (Netsys_mem.copy_value all v))
      done;
      let more = (resident_bytes () - before) asr 20 in
      check_bool (Printf.sprintf "memory stays small (%d MB more)" more) true (more < 1024))

let bigarray_copies_are_counted () = wait_ok (spawn "counted" [])

let suites =
  ( "copies of kinds",
    [
      test "atoms" atoms;
      test "custom blocks" customs;
      test "custom blocks of another process" foreign_customs;
      test "bigarrays" bigarrays;
      test "copied bigarrays are counted" bigarray_copies_are_counted;
    ] )
