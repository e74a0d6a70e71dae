(* Checked doors to the stubs of rust/stubs/src/netsys_mem: each function here owns the checks and
   their messages, each stub moves bytes. *)

type memory = (char, Bigarray.int8_unsigned_elt, Bigarray.c_layout) Bigarray.Array1.t

let word = Sys.word_size / 8
let length : memory -> int = Bigarray.Array1.dim
let invalid fmt = Printf.ksprintf (fun s -> invalid_arg ("Netsys_mem." ^ s)) fmt

(* [dim - len] cannot overflow: both are in [0, max_int] by then. *)
let check_memory name m off len =
  if len < 0 || off < 0 || off > length m - len then
    invalid "%s: offset %d, length %d: not within the %d bytes of the memory%s" name off
      len (length m)
      (if length m = 0 then " (unmapped?)" else "")

let check_bytes name what total off len =
  if len < 0 || off < 0 || off > total - len then
    invalid "%s: offset %d, length %d: not within the %d bytes of the %s" name off len
      total what

(* Bytes in and out *)

external blit_memory_to_bytes_unsafe : memory -> int -> Bytes.t -> int -> int -> unit
  = "hh_netsys_blit_memory_to_bytes"
[@@noalloc]

external blit_memory_to_string_unsafe : memory -> int -> Bytes.t -> int -> int -> unit
  = "hh_netsys_blit_memory_to_bytes"
[@@noalloc]

external blit_bytes_to_memory_unsafe : Bytes.t -> int -> memory -> int -> int -> unit
  = "hh_netsys_blit_bytes_to_memory"
[@@noalloc]

external blit_string_to_memory_unsafe : string -> int -> memory -> int -> int -> unit
  = "hh_netsys_blit_bytes_to_memory"
[@@noalloc]

let blit_memory_to_bytes src srcoff dst dstoff len =
  check_memory "blit_memory_to_bytes" src srcoff len;
  check_bytes "blit_memory_to_bytes" "destination" (Bytes.length dst) dstoff len;
  blit_memory_to_bytes_unsafe src srcoff dst dstoff len

let blit_memory_to_string = blit_memory_to_bytes

let blit_bytes_to_memory src srcoff dst dstoff len =
  check_bytes "blit_bytes_to_memory" "source" (Bytes.length src) srcoff len;
  check_memory "blit_bytes_to_memory" dst dstoff len;
  blit_bytes_to_memory_unsafe src srcoff dst dstoff len

let blit_string_to_memory src srcoff dst dstoff len =
  check_bytes "blit_string_to_memory" "source" (String.length src) srcoff len;
  check_memory "blit_string_to_memory" dst dstoff len;
  blit_string_to_memory_unsafe src srcoff dst dstoff len

let memory_of_string s =
  let len = String.length s in
  let m = Bigarray.Array1.create Bigarray.char Bigarray.c_layout len in
  blit_string_to_memory_unsafe s 0 m 0 len;
  m

let memory_of_bytes b = memory_of_string (Bytes.unsafe_to_string b)

let bytes_of_memory m =
  let len = length m in
  if len > Sys.max_string_length then
    invalid "bytes_of_memory: %d bytes are more than a string can have" len;
  let b = Bytes.create len in
  blit_memory_to_bytes_unsafe m 0 b 0 len;
  b

let string_of_memory m = Bytes.unsafe_to_string (bytes_of_memory m)

external memory_address : memory -> nativeint = "hh_netsys_memory_address"

(* [retype a bytes] makes the descriptor [a], which nobody else has, a [memory] of [bytes]. *)
external retype : ('a, 'b, 'c) Bigarray.Array1.t -> int -> memory = "hh_netsys_retype"

let memory_of_bigarray b =
  let elements = Array.fold_left ( * ) 1 (Bigarray.Genarray.dims b) in
  (* [reshape_1] makes a new descriptor that keeps the data alive. *)
  retype (Bigarray.reshape_1 b elements) (Bigarray.Genarray.size_in_bytes b)

let memory_of_bigarray_1 b = memory_of_bigarray (Bigarray.genarray_of_array1 b)
let memory_of_bigarray_2 b = memory_of_bigarray (Bigarray.genarray_of_array2 b)
let memory_of_bigarray_3 b = memory_of_bigarray (Bigarray.genarray_of_array3 b)

(* Allocation and mapping *)

external getpagesize : unit -> int = "hh_netsys_getpagesize"

let pagesize = getpagesize ()

(* As rust/stubs/src/netsys_mem/map.rs reads them. *)
let eager_bits ~huge ~prefault = Bool.to_int huge lor (Bool.to_int prefault lsl 1)

external alloc_pages : nativeint -> bool -> int -> int -> memory
  = "hh_netsys_alloc_memory_pages"

let alloc_memory_pages ?(addr = 0n) ?(exec = false) ?(huge = false) ?(prefault = false)
    size =
  if size < 0 then invalid "alloc_memory_pages: size %d" size;
  alloc_pages addr exec (eager_bits ~huge ~prefault) size

external alloc_aligned : int -> int -> int -> memory = "hh_netsys_alloc_aligned_memory"

let alloc_aligned_memory ?(huge = false) ?(prefault = false) alignment size =
  if size < 0 then invalid "alloc_aligned_memory: size %d" size;
  (* No power of two: the system's own refusal. *)
  alloc_aligned (max 0 alignment) (eager_bits ~huge ~prefault) size

external map_file : Unix.file_descr -> int64 -> nativeint -> bool -> int -> memory
  = "hh_netsys_map_file"

(* What follows [pos] in the file. *)
let rest_of_file fd pos =
  let end_ = (Unix.LargeFile.fstat fd).st_size in
  if end_ < pos then
    failwith
      (Printf.sprintf "Netsys_mem.memory_map_file: the file has %Ld bytes, pos is %Ld"
         end_ pos);
  Int64.to_int (Int64.sub end_ pos)

external prefault_file : memory -> unit = "hh_netsys_prefault_file"

let memory_map_file fd ?(pos = 0L) ?(addr = 0n) ?(prefault = false) shared size =
  if pos < 0L then invalid "memory_map_file: pos %Ld" pos;
  if size < -1 then invalid "memory_map_file: size %d" size;
  if size > 0 && pos > Int64.sub Int64.max_int (Int64.of_int size) then
    invalid "memory_map_file: pos %Ld + size %d is no file size" pos size;
  let m = map_file fd pos addr shared (if size = -1 then rest_of_file fd pos else size) in
  if prefault && length m > 0 then prefault_file m;
  m

external is_mapping : memory -> bool = "hh_netsys_is_mapping"
external release : memory -> unit = "hh_netsys_release" [@@noalloc]

let memory_unmap_file m = if is_mapping m then release m

external renew_pages : memory -> int -> int -> unit = "hh_netsys_zero_pages"

let zero_pages m pos len =
  check_memory "zero_pages" m pos len;
  let start = Nativeint.add (memory_address m) (Nativeint.of_int pos) in
  if Nativeint.rem start (Nativeint.of_int pagesize) <> 0n || len mod pagesize <> 0 then
    invalid "zero_pages: %d bytes at address 0x%nx are not whole pages" len start;
  renew_pages m pos len

external grab_range : nativeint -> int -> memory = "hh_netsys_grab"

let grab addr len =
  (* As unsigned numbers, the end is not before the start. *)
  if
    len < 0
    || Nativeint.unsigned_compare (Nativeint.add addr (Nativeint.of_int len)) addr < 0
  then invalid "grab: address 0x%nx, length %d" addr len;
  grab_range addr len

(* Memory as values *)

let aligned m offset =
  Nativeint.rem
    (Nativeint.add (memory_address m) (Nativeint.of_int offset))
    (Nativeint.of_int word)
  = 0n

external value_at : memory -> int -> 'a = "hh_netsys_as_value"

let as_value m offset =
  if offset < word || offset > length m || not (aligned m offset) then
    invalid "as_value: no value can be at offset %d of %d bytes at address 0x%nx" offset
      (length m) (memory_address m);
  value_at m offset

let as_obj m offset = Obj.repr (as_value m offset)
let value_area (_ : memory) = ()

external address : Obj.t -> nativeint = "hh_netsys_obj_address"

let check_block name o =
  if Obj.is_int o then invalid "%s: an immediate value is no block" name

let obj_address o =
  check_block "obj_address" o;
  address o

let hdr_address o =
  check_block "hdr_address" o;
  Nativeint.sub (address o) (Nativeint.of_int word)

let cmp_bytes = Bytes.compare
let cmp_string = String.compare

exception Out_of_space

let () = Callback.register_exception "Netsys_mem.Out_of_space" Out_of_space

(* Building blocks *)

external header : memory -> int -> int -> int -> unit = "hh_netsys_init_header"
[@@noalloc]

external fill_words : memory -> int -> int -> int -> unit = "hh_netsys_fill_words"
[@@noalloc]

(* The header's word is at a multiple of the word size and within [m]. *)
let check_offset name m offset =
  if offset < 0 then invalid "%s: offset %d" name offset;
  if not (aligned m offset) then
    invalid "%s: offset %d at address 0x%nx is not a multiple of the word size" name
      offset (memory_address m)

let init_header m offset tag size =
  check_memory "init_header" m offset word;
  check_offset "init_header" m offset;
  if tag < 0 || tag > 255 then invalid "init_header: tag %d" tag;
  if size < 0 || size > Sys.max_array_length then invalid "init_header: size %d" size;
  header m offset tag size

let string_wosize len = (len / word) + 1
let bytelen wosize = (wosize + 1) * word

let check_size name size max =
  if size < 0 || size > max then invalid "%s: size %d is not in 0-%d" name size max

let init_string_bytelen len =
  check_size "init_string_bytelen" len Sys.max_string_length;
  bytelen (string_wosize len)

let init_array_bytelen size =
  check_size "init_array_bytelen" size Sys.max_array_length;
  bytelen size

let init_float_array_bytelen size =
  check_size "init_float_array_bytelen" size Sys.max_floatarray_length;
  bytelen (size * (8 / word))

(* The header, if a block of [used] bytes fits. *)
let init_block m offset tag used =
  if used > length m - offset then raise Out_of_space;
  header m offset tag ((used / word) - 1);
  (offset + word, used)

let init_string m offset len =
  check_offset "init_string" m offset;
  if len < 0 then invalid "init_string: length %d" len;
  if len > length m then raise Out_of_space;
  let ((voffset, used) as result) =
    init_block m offset Obj.string_tag (bytelen (string_wosize len))
  in
  let last = offset + used - word in
  fill_words m last 1 0;
  let padding = used - word - 1 - len in
  Bigarray.Array1.set m (voffset + used - word - 1) (Char.unsafe_chr padding);
  result

let init_fields name m offset tag size bytes_of_size first =
  check_offset name m offset;
  if size < 0 then invalid "%s: size %d" name size;
  if size > length m then raise Out_of_space;
  let ((voffset, used) as result) = init_block m offset tag (bytes_of_size size) in
  fill_words m voffset ((used / word) - 1) first;
  result

let init_array m offset size =
  init_fields "init_array" m offset 0 size init_array_bytelen 1

let init_float_array m offset size =
  (* Like [[||]], one without elements is no float array: comparison would see the tag. *)
  let tag = if size = 0 then 0 else Obj.double_array_tag in
  init_fields "init_float_array" m offset tag size init_float_array_bytelen 0

(* Copying values *)

type custom_ops = nativeint

type init_value_flag =
  | Copy_bigarray
  | Copy_custom_int
  | Copy_atom
  | Copy_simulate
  | Copy_conditionally
  | Keep_atom
  | Copy_custom

(* As rust/stubs/src/netsys_mem/request.rs reads them. *)
let flag_bit = function
  | Copy_bigarray -> 1
  | Copy_custom_int | Copy_custom -> 2
  | Copy_atom -> 4
  | Copy_simulate -> 8
  | Copy_conditionally -> 16
  | Keep_atom -> 32

let flag_bits = List.fold_left (fun bits flag -> bits lor flag_bit flag) 0

(* What the stub needs to know, as words: a string is read there without the runtime's help. *)
let request words =
  let b = Bytes.create (word * List.length words) in
  List.iteri (fun i w -> Bytes.set_int64_ne b (8 * i) (Int64.of_nativeint w)) words;
  Bytes.unsafe_to_string b

(* No program has memory from here on. *)
let most_target = Nativeint.shift_left 1n 56

external copy_in : memory -> int -> Obj.t -> string -> int = "hh_netsys_init_value"

let init_value ?targetaddr ?(target_custom_ops = []) ?(cc = []) m offset v flags =
  check_offset "init_value" m offset;
  let target = match targetaddr with None -> memory_address m | Some a -> a in
  if
    Nativeint.rem target (Nativeint.of_int word)
    <> Nativeint.rem (memory_address m) (Nativeint.of_int word)
    || target < 0n || target > most_target
  then invalid "init_value: targetaddr 0x%nx" target;
  let ops name = Option.value (List.assoc_opt name target_custom_ops) ~default:0n in
  let ranges = List.concat_map (fun (first, end_) -> [ first; end_ ]) cc in
  let request =
    request
      (Nativeint.of_int (flag_bits flags)
      :: target :: ops "_i" :: ops "_j" :: ops "_n" :: ops "_bigarr02" :: ranges)
  in
  let used = copy_in m offset (Obj.repr v) request in
  (offset + word, used)

external custom_operations : Obj.t -> nativeint = "hh_netsys_custom_operations"
external custom_identifier : Obj.t -> string = "hh_netsys_custom_identifier"

let is_custom o = Obj.is_block o && Obj.tag o = Obj.custom_tag

let get_custom_ops v =
  let o = Obj.repr v in
  if not (is_custom o) then invalid "get_custom_ops: not a custom block";
  let identifier = custom_identifier o in
  if identifier = "" then
    invalid "get_custom_ops: the operations at 0x%nx are another process's"
      (custom_operations o);
  (identifier, custom_operations o)

let is_bigarray o = is_custom o && custom_identifier o = "_bigarr02"

external copy_out : Obj.t -> int -> Obj.t = "hh_netsys_copy_value"

let copy_value flags v =
  let o = Obj.repr v in
  if Obj.is_int o then v else Obj.obj (copy_out o (flag_bits flags))

type color = White | Gray | Blue | Black

external color_bits : Obj.t -> int = "hh_netsys_color" [@@noalloc]

let color o =
  check_block "color" o;
  match color_bits o with 0 -> White | 1 -> Gray | 2 -> Blue | _ -> Black

let set_color o c =
  if color o <> c then
    invalid "set_color: on OCaml 5 the colours of blocks are the collector's alone"

(* Input and output *)

external read : Unix.file_descr -> memory -> int -> int -> int = "hh_netsys_mem_read"
external write : Unix.file_descr -> memory -> int -> int -> int = "hh_netsys_mem_write"

external recv : Unix.file_descr -> memory -> int -> int -> int -> int
  = "hh_netsys_mem_recv"

external send : Unix.file_descr -> memory -> int -> int -> int -> int
  = "hh_netsys_mem_send"

(* While the runtime is released, another thread's collection must not find [m] unreachable. *)
let keeping m result =
  ignore (Sys.opaque_identity m : memory);
  result

let mem_read fd m off len =
  check_memory "mem_read" m off len;
  keeping m (read fd m off len)

let mem_write fd m off len =
  check_memory "mem_write" m off len;
  keeping m (write fd m off len)

(* As rust/stubs/src/netsys_mem/io.rs reads them. *)
let msg_flag_bit = function
  | Unix.MSG_OOB -> 1
  | Unix.MSG_DONTROUTE -> 2
  | Unix.MSG_PEEK -> 4

let msg_flag_bits = List.fold_left (fun bits flag -> bits lor msg_flag_bit flag) 0

let mem_recv fd m off len flags =
  check_memory "mem_recv" m off len;
  keeping m (recv fd m off len (msg_flag_bits flags))

let mem_send fd m off len flags =
  check_memory "mem_send" m off len;
  keeping m (send fd m off len (msg_flag_bits flags))

external pread : Unix.file_descr -> memory -> int -> int -> int64 -> int
  = "hh_netsys_mem_pread"

external pwrite : Unix.file_descr -> memory -> int -> int -> int64 -> int
  = "hh_netsys_mem_pwrite"

let check_pos name pos len =
  if pos < 0L || pos > Int64.sub Int64.max_int (Int64.of_int len) then
    invalid "%s: %d bytes at position %Ld are no part of a file" name len pos

let mem_pread fd m off len pos =
  check_memory "mem_pread" m off len;
  check_pos "mem_pread" pos len;
  keeping m (pread fd m off len pos)

let mem_pwrite fd m off len pos =
  check_memory "mem_pwrite" m off len;
  check_pos "mem_pwrite" pos len;
  keeping m (pwrite fd m off len pos)

type piece = memory * int * int

external readv : Unix.file_descr -> piece array -> int = "hh_netsys_mem_readv"
external writev : Unix.file_descr -> piece array -> int = "hh_netsys_mem_writev"

let vectored name call fd pieces =
  (* A copy: others may change the array after it is checked. *)
  let pieces = Array.copy pieces in
  Array.iter (fun (m, off, len) -> check_memory name m off len) pieces;
  let moved = call fd pieces in
  ignore (Sys.opaque_identity pieces : piece array);
  moved

let mem_readv fd pieces = vectored "mem_readv" readv fd pieces
let mem_writev fd pieces = vectored "mem_writev" writev fd pieces

external recvfrom : Unix.file_descr -> memory -> int -> int -> int -> string
  = "hh_netsys_mem_recvfrom"

external address_received : string -> Unix.sockaddr = "hh_netsys_address_received"

external sendto : Unix.file_descr -> memory -> int -> int -> int -> Unix.sockaddr -> int
  = "hh_netsys_mem_sendto_byte" "hh_netsys_mem_sendto"

let mem_recvfrom fd m off len flags =
  check_memory "mem_recvfrom" m off len;
  let told = keeping m (recvfrom fd m off len (msg_flag_bits flags)) in
  (Int64.to_int (String.get_int64_ne told 0), address_received told)

let mem_sendto fd m off len flags address =
  check_memory "mem_sendto" m off len;
  match sendto fd m off len (msg_flag_bits flags) address with
  | sent -> keeping m sent
  | exception Unix.Unix_error (error, "", argument) ->
      raise (Unix.Unix_error (error, "mem_sendto", argument))

(* Shared memory *)

external create_shared : nativeint -> int -> int -> memory = "hh_netsys_create_shared"

let check_at name at =
  if at = 0n || Nativeint.rem at (Nativeint.of_int pagesize) <> 0n then
    invalid "%s: 0x%nx is not a page's address" name at

(* 0 is no address in particular. *)
let exactly name = function
  | None -> 0n
  | Some at ->
      check_at name at;
      at

let alloc_shared_memory ?at ?(huge = false) ?(prefault = false) size =
  if size < 0 then invalid "alloc_shared_memory: size %d" size;
  create_shared (exactly "alloc_shared_memory" at) (eager_bits ~huge ~prefault) size

external shared_base : memory -> nativeint = "hh_netsys_shared_base"
external share_fd : memory -> Unix.file_descr = "hh_netsys_share_fd"

let shared_base name m =
  let base = shared_base m in
  if base = 0n then invalid "%s: not in shared memory" name;
  base

let mem_share_fd m =
  ignore (shared_base "mem_share_fd" m : nativeint);
  keeping m (share_fd m)

external attach : Unix.file_descr -> nativeint -> int -> memory = "hh_netsys_attach"

let mem_attach_fd ?at ?(huge = false) ?(prefault = false) fd =
  attach fd (exactly "mem_attach_fd" at) (eager_bits ~huge ~prefault)

external send_fd : Unix.file_descr -> string -> Unix.file_descr -> int
  = "hh_netsys_send_fd"

external receive_fd : Unix.file_descr -> string = "hh_netsys_receive_fd"
external descr_of_int : int -> Unix.file_descr = "%identity"

(* What goes with a descriptor, as words in this machine's order: a mark, the address of the shared
   memory, and the part of it that is meant. *)
let mark = 0x6868_6e65_7473_7973L
let message_bytes = 4 * 8

let mem_send_fd socket m =
  let base = shared_base "mem_send_fd" m in
  let message = Bytes.create message_bytes in
  let offset = Nativeint.sub (memory_address m) base in
  List.iteri
    (fun i word -> Bytes.set_int64_ne message (8 * i) word)
    [ mark; Int64.of_nativeint base; Int64.of_nativeint offset; Int64.of_int (length m) ];
  let fd = keeping m (share_fd m) in
  let send () = send_fd socket (Bytes.unsafe_to_string message) fd in
  let sent = Fun.protect ~finally:(fun () -> Unix.close fd) send in
  if sent <> message_bytes then
    raise (Unix.Unix_error (EMSGSIZE, "mem_send_fd", Printf.sprintf "%d bytes sent" sent))

let mem_recv_fd ?(same_address = false) socket =
  let told = receive_fd socket in
  let fd = Int64.to_int (String.get_int64_ne told 0) in
  let bytes = String.length told - 8 in
  let word i = Int64.to_int (String.get_int64_ne told (8 * (i + 1))) in
  let refuse why = raise (Unix.Unix_error (EINVAL, "mem_recv_fd", why)) in
  if fd < 0 && bytes = 0 then raise End_of_file;
  if fd < 0 then refuse "a message without a descriptor, or with several";
  let fd = descr_of_int fd in
  Fun.protect ~finally:(fun () -> Unix.close fd) @@ fun () ->
  if bytes <> message_bytes || String.get_int64_ne told 8 <> mark then
    refuse "a message that mem_send_fd did not send";
  let base, offset, len = (Nativeint.of_int (word 1), word 2, word 3) in
  if Nativeint.rem base (Nativeint.of_int pagesize) <> 0n || base <= 0n then
    refuse "an address that is no page's";
  let whole =
    match attach fd (if same_address then base else 0n) 0 with
    | whole -> whole
    | exception Unix.Unix_error (error, _, argument) ->
        raise (Unix.Unix_error (error, "mem_recv_fd", argument))
  in
  if offset < 0 || len < 0 || offset > length whole - len then begin
    release whole;
    refuse
      (Printf.sprintf "offset %d, length %d: not within %d bytes" offset len
         (length whole))
  end;
  if offset = 0 && len = length whole then whole else Bigarray.Array1.sub whole offset len

(* Pools *)

type memory_pool

(* A block taken from a pool, whose array may be gone already. *)
type taken

external new_pool : int -> memory_pool = "hh_netsys_pool_create"
external take : memory_pool -> taken = "hh_netsys_pool_take"
external memory_of_taken : taken -> memory = "hh_netsys_pool_memory"
external give_back : taken -> unit = "hh_netsys_pool_free"
external pool_reclaim : memory_pool -> unit = "hh_netsys_pool_reclaim"
external pool_number : memory_pool -> int -> int = "hh_netsys_pool_number"

let create_pool size =
  if size <= 0 || size mod pagesize <> 0 then
    invalid "create_pool: %d bytes are not whole pages" size;
  new_pool size

let pool_alloc_memory2 pool =
  let taken = take pool in
  let m = memory_of_taken taken in
  (m, fun () -> give_back taken)

let pool_alloc_memory pool = memory_of_taken (take pool)
let pool_block_size pool = pool_number pool 0
let default_block_size = 16 * pagesize
let default_pool = create_pool default_block_size
let small_block_size = pagesize
let small_pool = create_pool small_block_size

let pool_report pool =
  let number = pool_number pool in
  Printf.sprintf "block size: %d bytes\nmappings: %d\nblocks: %d\nfree blocks: %d\n"
    (number 0) (number 1) (number 2) (number 3)
