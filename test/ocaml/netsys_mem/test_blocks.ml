(* Single blocks built in a buffer, and what can be asked about blocks. *)

open Test_support
module A = Bigarray.Array1

(* Kept reachable, as values in a buffer don't keep it. *)
let buffers = ref []

let buffer n =
  let m = Netsys_mem.alloc_aligned_memory 64 n in
  buffers := m :: !buffers;
  A.fill m '\255';
  m

let pair = Alcotest.(pair int int)

let strings () =
  for len = 0 to 40 do
    let m = buffer 128 in
    let ((voffset, bytelen) as result) = Netsys_mem.init_string m 16 len in
    Alcotest.check pair "result" (24, ((len / 8) + 2) * 8) result;
    check_int "bytelen" bytelen (Netsys_mem.init_string_bytelen len);
    let s : Bytes.t = Netsys_mem.as_value m voffset in
    check_int "length" len (Bytes.length s);
    let expected = String.init len (fun i -> Char.chr (97 + (i mod 26))) in
    Bytes.blit_string expected 0 s 0 len;
    Gc.full_major ();
    check_string "contents" expected (Bytes.to_string s);
    check_bool "equal, hashed, marshalled" true
      (compare (Obj.repr s) (Obj.repr expected) = 0
      && Hashtbl.hash s = Hashtbl.hash expected
      && Marshal.to_string s [] = Marshal.to_string expected []);
    check_bool "nothing before or after" true
      (A.get m 15 = '\255' && A.get m (16 + bytelen) = '\255')
  done

let arrays () =
  let m = buffer 128 in
  for size = 0 to 10 do
    let ((voffset, bytelen) as result) = Netsys_mem.init_array m 8 size in
    Alcotest.check pair "result" (16, (size + 1) * 8) result;
    check_int "bytelen" bytelen (Netsys_mem.init_array_bytelen size);
    let a : int array = Netsys_mem.as_value m voffset in
    Alcotest.(check (array int)) "zeros" (Array.make size 0) a;
    if size > 2 then a.(2) <- 77;
    Gc.full_major ();
    check_int "sum" (if size > 2 then 77 else 0) (Array.fold_left ( + ) 0 a);
    Alcotest.check pair "floats"
      (16, (size + 1) * 8)
      (Netsys_mem.init_float_array m 8 size);
    check_int "bytelen" bytelen (Netsys_mem.init_float_array_bytelen size);
    let a : float array = Netsys_mem.as_value m voffset in
    check_bool "zeros" true (a = Array.make size 0.);
    if size > 2 then a.(2) <- 7.5;
    check_bool "set" true (Array.length a = size && (size <= 2 || a.(2) = 7.5))
  done

let headers () =
  let m = buffer 64 in
  Netsys_mem.init_header m 0 Obj.double_tag 1;
  A.blit
    (Netsys_mem.memory_of_string
       (let b = Bytes.create 8 in
        Bytes.set_int64_ne b 0 (Int64.bits_of_float 2.5);
        Bytes.to_string b))
    (A.sub m 8 8);
  check_bool "a float" true (Netsys_mem.as_value m 8 = 2.5);
  Netsys_mem.init_header m 56 0 0;
  check_int "at the end" 0 (Array.length (Netsys_mem.as_value m 64));
  let o = Netsys_mem.as_obj m 8 in
  check_int "tag" Obj.double_tag (Obj.tag o);
  check_bool "black" true (Netsys_mem.color o = Black);
  let bad offset tag size =
    raises_invalid "header" (fun () -> Netsys_mem.init_header m offset tag size)
  in
  List.iter (fun offset -> bad offset 0 0) [ -8; -1; 1; 4; 60; 64; max_int; min_int ];
  List.iter (fun tag -> bad 0 tag 0) [ -1; 256; max_int ];
  List.iter (fun size -> bad 0 0 size) [ -1; Sys.max_array_length + 1; max_int ]

let out_of_space () =
  let m = buffer 64 in
  let full what f =
    Alcotest.check_raises what Netsys_mem.Out_of_space (fun () -> ignore (f ()))
  in
  check_string "by its name" "Netsys_mem.Out_of_space"
    (Printexc.to_string Netsys_mem.Out_of_space);
  full "string" (fun () -> Netsys_mem.init_string m 0 56);
  ignore (Netsys_mem.init_string m 0 55);
  full "string later" (fun () -> Netsys_mem.init_string m 40 16);
  List.iter
    (fun len -> full "huge" (fun () -> Netsys_mem.init_string m 0 len))
    [ 65; 1 lsl 40; max_int - 7; max_int ];
  full "array" (fun () -> Netsys_mem.init_array m 0 8);
  ignore (Netsys_mem.init_array m 0 7);
  List.iter
    (fun size -> full "huge" (fun () -> Netsys_mem.init_array m 0 size))
    [ 65; 1 lsl 60; max_int / 8; max_int ];
  List.iter
    (fun size -> full "huge" (fun () -> Netsys_mem.init_float_array m 0 size))
    [ 8; 1 lsl 60; max_int ];
  List.iter
    (fun off -> full "beyond" (fun () -> Netsys_mem.init_array m off 0))
    [ 64; 72; 1 lsl 40; max_int - 7 ];
  let bad what f = raises_invalid what f in
  List.iter
    (fun off ->
      bad "offset" (fun () -> Netsys_mem.init_string m off 1);
      bad "offset" (fun () -> Netsys_mem.init_array m off 1);
      bad "offset" (fun () -> Netsys_mem.init_float_array m off 1))
    [ -8; -1; 1; 7; min_int; max_int ];
  bad "length" (fun () -> Netsys_mem.init_string m 0 (-1));
  bad "size" (fun () -> Netsys_mem.init_array m 0 (-1));
  bad "size" (fun () -> Netsys_mem.init_float_array m 0 min_int);
  List.iter
    (fun n ->
      bad "string bytelen" (fun () -> Netsys_mem.init_string_bytelen n);
      bad "array bytelen" (fun () -> Netsys_mem.init_array_bytelen n);
      bad "float bytelen" (fun () -> Netsys_mem.init_float_array_bytelen n))
    [ -1; min_int; max_int ];
  (* A buffer that begins off the word boundary. *)
  let odd = A.sub (buffer 64) 3 40 in
  bad "unaligned" (fun () -> Netsys_mem.init_string odd 0 1);
  Alcotest.check pair "aligned" (13, 16) (Netsys_mem.init_string odd 5 1)

let values () =
  let m = buffer 64 in
  ignore (Netsys_mem.init_array m 0 2);
  List.iter
    (fun off -> raises_invalid "value" (fun () -> Netsys_mem.as_obj m off))
    [ min_int; -8; 0; 1; 7; 9; 65; 72; max_int ];
  Netsys_mem.value_area m;
  let o = Netsys_mem.as_obj m 8 in
  let address = Netsys_mem.memory_address m in
  check_bool "address" true (Netsys_mem.obj_address o = Nativeint.add address 8n);
  check_bool "header" true (Netsys_mem.hdr_address o = address);
  raises_invalid "no address" (fun () -> Netsys_mem.obj_address (Obj.repr 1));
  raises_invalid "no header" (fun () -> Netsys_mem.hdr_address (Obj.repr 1))

let colors () =
  let m = buffer 64 in
  ignore (Netsys_mem.init_array m 0 2);
  let o = Netsys_mem.as_obj m 8 in
  Netsys_mem.set_color o Black;
  raises_invalid "white" (fun () -> Netsys_mem.set_color o White);
  raises_invalid "no color" (fun () -> Netsys_mem.color (Obj.repr 1));
  let young = Obj.repr (ref 1) in
  check_bool "young is white" true (Netsys_mem.color young = White);
  raises_invalid "not ours" (fun () -> Netsys_mem.set_color young Black)

let customs () =
  let id v = fst (Netsys_mem.get_custom_ops v) in
  check_string "int32" "_i" (id 1l);
  check_string "int64" "_j" (id 1L);
  check_string "nativeint" "_n" (id 1n);
  check_string "bigarray" "_bigarr02" (id (buffer 8));
  check_string "pages" "_bigarr02" (id (Netsys_mem.alloc_memory_pages 8));
  check_bool "same operations" true
    (Netsys_mem.get_custom_ops 1L = Netsys_mem.get_custom_ops 2L);
  raises_invalid "int" (fun () -> Netsys_mem.get_custom_ops 1);
  raises_invalid "string" (fun () -> Netsys_mem.get_custom_ops "x");
  let is v = Netsys_mem.is_bigarray (Obj.repr v) in
  check_bool "bigarrays" true (is (buffer 8) && is (Netsys_mem.alloc_memory_pages 8));
  check_bool "others" false (is 1 || is 1L || is "x" || is stdout || is [| 1 |])

let suites =
  ( "blocks",
    [
      test "strings" strings;
      test "arrays" arrays;
      test "headers" headers;
      test "out of space" out_of_space;
      test "values" values;
      test "colors" colors;
      test "custom operations" customs;
    ] )
