open Words

(* [limit] never changes, and [next] is checked against it when it is read: so two domains that
   use one chunk may write over each other's words, but not over any others. *)
type chunk = {
  limit : int;
  mutable next : int;
  mutable left : int;  (** Words of the object that is being written. *)
  mutable scanned : bool;  (** Whether it holds addresses. *)
}

type size = int
type 'a prep = size * (chunk -> 'a)

external ml_alloc : int -> int = "hh_ml_alloc"
external write_string_at : int -> string -> unit = "hh_write_string" [@@noalloc]

external write_bytes_at : int -> string -> pos:int -> len:int -> unit = "hh_write_bytes"
[@@noalloc]

let refuse fmt = Printf.ksprintf (fun s -> invalid_arg ("SharedMem.NewAPI." ^ s)) fmt

(* Afterwards, nothing can be written there. *)
let close chunk =
  chunk.left <- 0;
  chunk.next <- chunk.limit

let alloc (size, write) =
  let addr = ml_alloc size in
  let chunk = { limit = addr + (8 * size); next = addr; left = 0; scanned = false } in
  match write chunk with
  | result ->
      let unwritten = chunk.left + ((chunk.limit - chunk.next) / 8) in
      close chunk;
      if unwritten > 0 then refuse "alloc: %d of %d words were not written" unwritten size;
      result
  | exception exn ->
      let backtrace = Printexc.get_raw_backtrace () in
      close chunk;
      Printexc.raise_with_backtrace exn backtrace

(* {1 Objects} *)

let header_size = 1

(* The address of the next [words] words of the chunk, which are the caller's to write. *)
let take chunk what words =
  let addr = chunk.next in
  if words < 0 || words > (chunk.limit - addr) / 8 then
    refuse "%s: %d words, and there is room for %d" what words ((chunk.limit - addr) / 8);
  chunk.next <- addr + (8 * words);
  addr

(* The header comes before what follows it: a collection that looks here finds either zeros or
   an object. *)
let begin_object chunk ~tag ~size =
  if chunk.left > 0 then
    refuse "write_header: %d words of the object before were not written" chunk.left;
  if size < 0 || size > ((chunk.limit - chunk.next) / 8) - header_size then
    refuse "write_header: %d words and a header, and there is room for %d" size
      ((chunk.limit - chunk.next) / 8);
  let addr = take chunk "write_header" header_size in
  store addr (make_header ~tag ~size);
  chunk.left <- size;
  chunk.scanned <- tag < 13;
  addr

(* The address of the next [words] words of the object. *)
let words_of chunk what words ~scanned =
  if words > chunk.left then
    refuse "%s: %d words, and the object has %d left" what words chunk.left;
  if scanned <> chunk.scanned then
    refuse "%s: the object is %s" what (if scanned then "opaque" else "scanned");
  let addr = take chunk what words in
  chunk.left <- chunk.left - words;
  addr

let skip chunk words =
  ignore (take chunk "skip" words);
  chunk.left <- chunk.left - words

let write_word chunk word =
  let addr = take chunk "write_word" 1 in
  chunk.left <- chunk.left - 1;
  store addr word

(* The address of the empty table is null, and an element or a word like others. *)
let check_object addr = if addr != null then ignore (header addr)

let write_addr chunk addr =
  check_object addr;
  store (words_of chunk "write_addr" 1 ~scanned:true) (Int64.of_int (to_int addr))

let write_addr_opt chunk = function
  | Some addr -> write_addr chunk addr
  | None -> store (words_of chunk "write_addr_opt" 1 ~scanned:true) 0L

let write_int chunk i =
  let word = Int64.of_int (tagged i) in
  store (words_of chunk "write_int" 1 ~scanned:true) word

let write_int64 chunk i = store (words_of chunk "write_int64" 1 ~scanned:false) i

(* As OCaml stores it: with at least one byte of padding. *)
let string_size s = (String.length s / 8) + 1

let write_string chunk s =
  write_string_at (words_of chunk "write_string" (string_size s) ~scanned:false) s

(* A whole object: its words, header and all. *)
let write_whole chunk words =
  if chunk.left > 0 then
    refuse "write: %d words of the object before were not written" chunk.left;
  let size = String.length words / 8 in
  let addr = take chunk "write" size in
  store addr (String.get_int64_le words 0);
  write_bytes_at (addr + 8) words ~pos:8 ~len:((size - 1) * 8);
  addr
