open Words
open Writer

external unsafe_read_string : int -> int -> string = "hh_read_string"

let string_tag = 13
let int64_tag = 14
let addr_tbl_tag = 1

let prepare_string tag s =
  let size = string_size s in
  let write chunk =
    let addr = begin_object chunk ~tag ~size in
    write_string chunk s;
    of_int addr
  in
  (header_size + size, write)

let read tag addr =
  let size = size_of (check_tag tag addr) in
  unsafe_read_string (field (to_int addr) 0) size

let prepare_write_string s = prepare_string string_tag s
let read_string addr = read string_tag addr

external compare_string : [ `string ] addr -> [ `string ] addr -> int
  = "hh_compare_string"
[@@noalloc]

let prepare_write_string_as kind s = prepare_string (Kind.tag kind) s

let read_string_as kind addr =
  (* An object without words is no string, which the primitive refuses as an argument. *)
  if Fields.size kind addr = 0 then raise_header addr;
  read (Kind.tag kind) addr

let prepare_write_int64 n =
  let write chunk =
    let addr = begin_object chunk ~tag:int64_tag ~size:1 in
    write_int64 chunk n;
    of_int addr
  in
  (header_size + 1, write)

let first_word tag addr =
  if size_of (check_tag tag addr) < 1 then raise_header addr;
  load (field (to_int addr) 0)

let read_int64 addr = first_word int64_tag addr

type 'k tbl = [ `tbl of 'k ]

(* The elements come after the table, whose words are null as long as they aren't there. *)
let prepare_write_addr_tbl prepare xs =
  let length = Array.length xs in
  if length = 0 then Chunk.prepare_const null
  else
    let elements, write_elements = Chunk.prepare_all prepare xs in
    let write chunk =
      let table = begin_object chunk ~tag:addr_tbl_tag ~size:length in
      skip chunk length;
      let set i addr =
        check_object addr;
        store (field table i) (Int64.of_int (to_int addr))
      in
      Array.iteri set (write_elements chunk);
      of_int table
    in
    (header_size + length + elements, write)

let read_addr_tbl_generic f addr init =
  let length = if addr == null then 0 else size_of (check_tag addr_tbl_tag addr) in
  init length (fun i ->
      if i < 0 || i >= length then
        invalid_arg
          (Printf.sprintf "SharedMem.NewAPI.read_addr_tbl_generic: %d of %d addresses" i
             length);
      let at = field (to_int addr) i in
      f (address ~at (load at)))

let read_addr_tbl f addr = read_addr_tbl_generic f addr Array.init

external compress : string -> int -> int -> string = "hh_compress"
external decompress : _ addr -> string = "hh_decompress"

let prepare_write_compressed ?(compression = Lz4) kind s =
  let words = compress s (Kind.tag kind) (number compression) in
  (String.length words / 8, fun chunk -> of_int (write_whole chunk words))

let read_compressed kind addr =
  ignore (check_tag (Kind.tag kind) addr);
  decompress addr
