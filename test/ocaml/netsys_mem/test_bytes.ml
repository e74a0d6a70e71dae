(* Bytes in and out, arrays seen as bytes, allocation, mapping. *)

open Test_support
module A = Bigarray.Array1

let mem_of = Netsys_mem.memory_of_string
let check_mem what expected m = check_string what expected (Netsys_mem.string_of_memory m)

let blits () =
  let m = mem_of "0123456789" in
  let b = Bytes.make 6 '.' in
  Netsys_mem.blit_memory_to_bytes m 2 b 1 4;
  check_string "to bytes" ".2345." (Bytes.to_string b);
  Netsys_mem.blit_memory_to_bytes_unsafe m 0 b 0 1;
  check_string "unsafe" "02345." (Bytes.to_string b);
  Netsys_mem.blit_bytes_to_memory (Bytes.of_string "abc") 1 m 8 2;
  check_mem "from bytes" "01234567bc" m;
  Netsys_mem.blit_string_to_memory "xyz" 0 m 0 3;
  check_mem "from a string" "xyz34567bc" m;
  Netsys_mem.blit_string_to_memory_unsafe "AB" 1 m 9 1;
  Netsys_mem.blit_bytes_to_memory_unsafe (Bytes.of_string "Q") 0 m 5 1;
  check_mem "unsafe" "xyz34Q67bB" m;
  Netsys_mem.blit_memory_to_bytes m 10 b 6 0;
  (Netsys_mem.blit_memory_to_string [@alert "-deprecated"]) m 0 b 0 3;
  (Netsys_mem.blit_memory_to_string_unsafe [@alert "-deprecated"]) m 9 b 5 1;
  check_string "old names" "xyz45B"
    (Bytes.to_string b |> fun s -> String.sub s 0 3 ^ "45" ^ String.sub s 5 1);
  check_mem "of bytes" "copy" (Netsys_mem.memory_of_bytes (Bytes.of_string "copy"));
  check_string "bytes of" "copy"
    (Bytes.to_string (Netsys_mem.bytes_of_memory (mem_of "copy")));
  check_mem "empty" "" (mem_of "")

(* Every offset and length of a small buffer, and the numbers that overflow. *)
let numbers = [ min_int; min_int + 1; -1; 0; 1; 3; 4; 5; 8; max_int - 1; max_int ]
let within total off len = off >= 0 && len >= 0 && off <= total && len <= total - off

let blit_bounds () =
  let m = mem_of "abcd" and b = Bytes.make 5 '-' in
  let try_all what blit =
    List.iter
      (fun moff ->
        List.iter
          (fun boff ->
            List.iter
              (fun len ->
                let ok = within 4 moff len && within 5 boff len in
                match blit moff boff len with
                | () ->
                    check_bool (Printf.sprintf "%s %d %d %d" what moff boff len) true ok
                | exception Invalid_argument _ ->
                    check_bool
                      (Printf.sprintf "%s %d %d %d raises" what moff boff len)
                      false ok)
              numbers)
          numbers)
      numbers
  in
  try_all "to bytes" (fun moff boff len ->
      Netsys_mem.blit_memory_to_bytes m moff b boff len);
  try_all "bytes to" (fun moff boff len ->
      Netsys_mem.blit_bytes_to_memory b boff m moff len);
  let s = Bytes.to_string b in
  try_all "string to" (fun moff boff len ->
      Netsys_mem.blit_string_to_memory s boff m moff len)

let blit_property =
  let gen =
    QCheck.(triple string_small string_small (triple small_nat small_nat small_nat))
  in
  property "a blit is Bytes.blit" gen (fun (src, dst, (soff, doff, len)) ->
      let expected = Bytes.of_string dst in
      let m = mem_of src and got = Bytes.of_string dst in
      match Bytes.blit_string src soff expected doff len with
      | () ->
          Netsys_mem.blit_memory_to_bytes m soff got doff len;
          let back = mem_of dst in
          Netsys_mem.blit_string_to_memory src soff back doff len;
          Bytes.equal expected got && Netsys_mem.bytes_of_memory back = expected
      | exception Invalid_argument _ -> (
          match Netsys_mem.blit_memory_to_bytes m soff got doff len with
          | () -> false
          | exception Invalid_argument _ -> true))

let comparing () =
  check_int "equal" 0 (Netsys_mem.cmp_string "ab" "ab");
  check_bool "less" true (Netsys_mem.cmp_string "ab" "b" < 0);
  check_bool "longer" true
    (Netsys_mem.cmp_bytes (Bytes.of_string "ab\000") (Bytes.of_string "ab") > 0);
  check_bool "unsigned" true (Netsys_mem.cmp_string "\200" "a" > 0)

let arrays_as_bytes () =
  let floats = A.of_array Bigarray.float64 Bigarray.c_layout [| 1.5; -2. |] in
  let m = Netsys_mem.memory_of_bigarray_1 floats in
  check_int "bytes" 16 (A.dim m);
  check_bool "kind" true (A.kind m = Bigarray.char);
  Alcotest.(check int64)
    "contents" (Int64.bits_of_float 1.5)
    (Bytes.get_int64_ne (Netsys_mem.bytes_of_memory m) 0);
  A.set m 15 '\063';
  check_bool "shared" true (floats.{1} > 0.);
  let two =
    Bigarray.Array2.init Bigarray.int16_unsigned Bigarray.fortran_layout 2 3 (fun i j ->
        i + (16 * j))
  in
  let m2 = Netsys_mem.memory_of_bigarray_2 two in
  check_mem "fortran order" "\x11\000\x12\000\x21\000\x22\000\x31\000\x32\000" m2;
  let three = Bigarray.Array3.create Bigarray.complex32 Bigarray.c_layout 2 3 4 in
  check_int "three" (24 * 8) (A.dim (Netsys_mem.memory_of_bigarray_3 three));
  let zero = Bigarray.Genarray.create Bigarray.int32 Bigarray.c_layout [||] in
  check_int "no dimension" 4 (A.dim (Netsys_mem.memory_of_bigarray zero));
  let none = A.create Bigarray.int Bigarray.c_layout 0 in
  check_int "empty" 0 (A.dim (Netsys_mem.memory_of_bigarray_1 none));
  check_bool "comparable" true
    (compare (Netsys_mem.memory_of_bigarray_1 (mem_of "ab")) (mem_of "ab") = 0)

let array_kept_alive () =
  let view =
    Netsys_mem.memory_of_bigarray_1 (A.init Bigarray.int Bigarray.c_layout 10_000 Fun.id)
  in
  Gc.full_major ();
  let other = A.create Bigarray.int Bigarray.c_layout 10_000 in
  A.fill other (-1);
  Alcotest.(check int64)
    "still there" 3L
    (Bytes.get_int64_ne (Netsys_mem.bytes_of_memory view) 24)

(* More than 2 GB, of which no page is touched but one. *)
let large_array () =
  let pages = Netsys_mem.alloc_memory_pages (5 lsl 29) in
  let again = Netsys_mem.memory_of_bigarray_1 pages in
  check_int "length" (5 lsl 29) (A.dim again);
  A.set again ((5 lsl 29) - 1) 'z';
  check_bool "same" true (A.get pages ((5 lsl 29) - 1) = 'z');
  Netsys_mem.memory_unmap_file pages;
  check_int "kept by the other" (5 lsl 29) (A.dim pages)

let suites =
  ( "bytes",
    [
      test "blits" blits;
      test "blits check their ranges" blit_bounds;
      blit_property;
      test "comparing" comparing;
      test "arrays as bytes" arrays_as_bytes;
      test "a view keeps its array alive" array_kept_alive;
      test "more than 2 GB" large_array;
    ] )
