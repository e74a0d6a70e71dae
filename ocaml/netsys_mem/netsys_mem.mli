(** Bigarrays as memory buffers, and OCaml values built inside them.

    A {!memory} is a one-dimensional bigarray of bytes. The collector never moves its
    data, so it can be page-aligned, be a file that several processes map, be handed to
    system calls without a copy, and hold {e OCaml values}: {!init_value} copies a value
    into a buffer, and {!as_value} gives it back without decoding it, in this process or
    in any other one that maps the same memory at the same address.

    The interface is that of ocamlnet 4.1.9's [Netsys_mem], made to work on OCaml 5.
    Blocks built in a buffer carry the header colour that tells OCaml 5's collector to
    leave them alone, so polymorphic comparison, hashing, [Marshal] and pattern matching
    all work on them.

    {b Processes and domains.} Functions here may be called from any thread of any domain.
    Nothing locks a buffer: who writes to one that others read must keep them apart.

    {b Failure.} Every offset and length is checked, also where their sum overflows,
    before a byte is touched: [Invalid_argument]. System calls that fail raise
    [Unix.Unix_error] with the call's name, and no file or buffer was changed unless the
    function says so.

    {[
      let () =
        let fd = Unix.openfile "words.mem" [ O_RDWR; O_CREAT ] 0o600 in
        let mem = Netsys_mem.memory_map_file fd true 65536 in
        let words = [ "alpha"; "beta"; "gamma" ] in
        let voffset, bytelen = Netsys_mem.init_value mem 0 words [] in
        let shared : string list = Netsys_mem.as_value mem voffset in
        assert (shared = words && bytelen <= 65536)
    ]} *)

type memory = (char, Bigarray.int8_unsigned_elt, Bigarray.c_layout) Bigarray.Array1.t
(** The type of buffers. Offsets and lengths in it are bytes, offsets from its start. The
    same type as [Netsys_types.memory]. *)

(** {1:blits Bytes in and out}

    Here [check src off len] below means [0 <= off], [0 <= len] and [off + len] at most
    the length of [src]. A buffer unmapped with {!memory_unmap_file} has length 0. *)

val blit_memory_to_bytes : memory -> int -> Bytes.t -> int -> int -> unit
(** [blit_memory_to_bytes src srcoff dst dstoff len] copies [len] bytes of [src] from
    [srcoff] to [dst] from [dstoff].

    @raise Invalid_argument if the ranges are not within [src] and [dst]. *)

val blit_memory_to_string : memory -> int -> Bytes.t -> int -> int -> unit
[@@ocaml.deprecated "Use blit_memory_to_bytes instead."]
(** {!blit_memory_to_bytes}'s old name. *)

external blit_memory_to_bytes_unsafe : memory -> int -> Bytes.t -> int -> int -> unit
  = "hh_netsys_blit_memory_to_bytes"
[@@noalloc]
(** {!blit_memory_to_bytes} without the checks: a range that is not within its buffer
    reads or writes memory that is not ours. *)

external blit_memory_to_string_unsafe : memory -> int -> Bytes.t -> int -> int -> unit
  = "hh_netsys_blit_memory_to_bytes"
[@@noalloc] [@@ocaml.deprecated "Use blit_memory_to_bytes_unsafe instead."]
(** {!blit_memory_to_bytes_unsafe}'s old name. *)

val blit_bytes_to_memory : Bytes.t -> int -> memory -> int -> int -> unit
(** [blit_bytes_to_memory src srcoff dst dstoff len] copies [len] bytes of [src] from
    [srcoff] to [dst] from [dstoff].

    @raise Invalid_argument if the ranges are not within [src] and [dst]. *)

external blit_bytes_to_memory_unsafe : Bytes.t -> int -> memory -> int -> int -> unit
  = "hh_netsys_blit_bytes_to_memory"
[@@noalloc]
(** {!blit_bytes_to_memory} without the checks. *)

val blit_string_to_memory : string -> int -> memory -> int -> int -> unit
(** {!blit_bytes_to_memory} from a string. *)

external blit_string_to_memory_unsafe : string -> int -> memory -> int -> int -> unit
  = "hh_netsys_blit_bytes_to_memory"
[@@noalloc]
(** {!blit_string_to_memory} without the checks. *)

val memory_of_bytes : Bytes.t -> memory
(** [memory_of_bytes b] is a new buffer with a copy of [b]. *)

val memory_of_string : string -> memory
(** [memory_of_string s] is a new buffer with a copy of [s]. *)

val bytes_of_memory : memory -> Bytes.t
(** [bytes_of_memory m] is a copy of all of [m].

    @raise Invalid_argument if [m] is longer than [Sys.max_string_length]. *)

val string_of_memory : memory -> string
(** [string_of_memory m] is {!bytes_of_memory}, as a string. *)

val memory_address : memory -> nativeint
(** [memory_address m] is the address of [m]'s first byte; [0n] after
    {!memory_unmap_file}. *)

val memory_of_bigarray : ('a, 'b, 'c) Bigarray.Genarray.t -> memory
(** [memory_of_bigarray b] is the data of [b], of any kind, layout and size, as bytes in
    the order in which they stand in memory. Nothing is copied: writing to one changes the
    other, and the data lives as long as either. Limitless in size (the original stops at
    2 GB). *)

val memory_of_bigarray_1 : ('a, 'b, 'c) Bigarray.Array1.t -> memory
(** {!memory_of_bigarray} for one dimension. *)

val memory_of_bigarray_2 : ('a, 'b, 'c) Bigarray.Array2.t -> memory
(** {!memory_of_bigarray} for two dimensions. *)

val memory_of_bigarray_3 : ('a, 'b, 'c) Bigarray.Array3.t -> memory
(** {!memory_of_bigarray} for three dimensions. *)

(** {1:alloc Allocation and mapping} *)

val getpagesize : unit -> int
(** [getpagesize ()] is the size of a page in bytes, as the system says it. *)

val pagesize : int
(** [pagesize] is [getpagesize ()], asked once. *)

val alloc_memory_pages :
  ?addr:nativeint -> ?exec:bool -> ?huge:bool -> ?prefault:bool -> int -> memory
(** [alloc_memory_pages size] is a new buffer of zeros on a page boundary, private to this
    process. Its length is [size] bytes rounded up to whole pages.

    - [addr] is where the caller would like it, a multiple of the page size. The system
      may choose another place, and never takes one that is in use: see {!memory_address}.
    - [exec] makes the memory executable (default [false]).
    - [huge] asks for pages of 2 MB (default [false]): less of the processor's time goes
      into finding addresses. Where no [addr] is given, the address is then a multiple of
      2 MB. What is less than 2 MB at the end has small pages, and so has all where the
      system gives no others: nothing tells.
    - [prefault] puts the pages into memory now (default [false]), and not one by one as
      they are touched. The runtime is released meanwhile. Where there is no memory for
      all of them, the rest comes as it is touched.

    [huge] and [prefault] are not in the original.

    The pages go back to the system when the buffer and all its sub-arrays are
    unreachable. The collector counts them as it counts [Bigarray.create]'s, so that
    unreachable buffers don't pile up.

    @raise Invalid_argument if [size < 0].
    @raise Unix.Unix_error
      ["mmap"]: [EINVAL] if [size] is 0, [ENOMEM] if there is no room. *)

val alloc_aligned_memory : ?huge:bool -> ?prefault:bool -> int -> int -> memory
(** [alloc_aligned_memory alignment size] is a new buffer of [size] bytes, with undefined
    contents, whose address is a multiple of [alignment] bytes: a power of two, at least
    [Sys.word_size / 8]. Freed, and counted by the collector, like a [Bigarray.create].

    [huge] and [prefault] are as in {!alloc_memory_pages}, for the whole pages that are in
    the buffer; for huge ones, [alignment] should be 2 MB or more.

    @raise Invalid_argument if [size < 0].
    @raise Unix.Unix_error
      ["posix_memalign"]: [EINVAL] for such an [alignment], [ENOMEM] if there is no room.
*)

val memory_map_file :
  Unix.file_descr ->
  ?pos:int64 ->
  ?addr:nativeint ->
  ?prefault:bool ->
  bool ->
  int ->
  memory
(** [memory_map_file fd shared size] is [size] bytes of the file [fd] from its byte [pos]
    (default 0), mapped. [size = -1] is all that follows [pos]. If [shared], writes go to
    the file and are seen by every process that maps it, and [fd] must be open for writing
    too; otherwise they stay in this process. [addr] is as in {!alloc_memory_pages}. [pos]
    needs not be a multiple of the page size. [fd] may be closed afterwards. [prefault]
    (default [false]; not in the original) reads the file into memory now, with the
    runtime released; nothing is written by that.

    A file that ends before [pos + size] is first made that long, as the original does,
    and the added part's space is reserved, so that a full disk or tmpfs is an error here
    and not a [SIGBUS] later. What the system gives no means against: a hole that was in
    the file before, and a file made shorter while it is mapped, where touching bytes
    beyond its last page kills the process with [SIGBUS]. {!mem_read} and {!mem_write}
    into or from such bytes raise [EFAULT].

    It is unmapped when the buffer and all its sub-arrays are unreachable, or with
    {!memory_unmap_file}. A mapping of no bytes is an empty buffer (the original raises
    [EINVAL]).

    @raise Invalid_argument if [pos < 0], [size < -1], or [pos + size] is no file size.
    @raise Failure if [size] is -1 and the file ends before [pos].
    @raise Unix.Unix_error
      ["fstat"], ["fallocate"] ([ENOSPC]: no space for the added part; [ENOMEM]: a memory
      file larger than the machine's memory; [EFBIG], [EPERM]: the file can't be that
      long), ["mmap"] ([EACCES]: [fd] is not open for it; [ENODEV]: not a thing that can
      be mapped). *)

val memory_unmap_file : memory -> unit
(** [memory_unmap_file m] unmaps [m] now, and not when the collector finds it unreachable.
    [m] comes from {!memory_map_file}, {!alloc_memory_pages}, {!alloc_shared_memory},
    {!mem_attach_fd}, {!mem_recv_fd} or [Unix.map_file]; for other arrays, and when [m]
    has living sub-arrays (which keep the mapping alive), it does nothing.

    Afterwards [m] has length 0: every access to it raises [Invalid_argument] (in the
    original it is a segmentation fault). Code compiled with [-unsafe], and OCaml values
    read in place with {!as_value}, are not protected: they must not be used any more, nor
    even be reachable. Neither is another thread or domain that is using [m] at that
    moment, be it in {!mem_read}: see to it that there is none. *)

val zero_pages : memory -> int -> int -> unit
(** [zero_pages m pos len] replaces the pages of [m] from [pos] to [pos + len - 1] by new
    ones, zero, private to this process, readable and writable. It is cheaper than
    overwriting where that would copy pages first. Pages of a shared file are detached
    from the file, which keeps its contents.

    @raise Invalid_argument
      if the range is not within [m], its address or [len] is not a multiple of the page
      size.
    @raise Unix.Unix_error ["mmap"] if the system refuses. *)

val grab : nativeint -> int -> memory
(** [grab addr len] is the memory from address [addr] to [addr + len - 1] as a buffer.

    Nothing is allocated, kept alive or freed: the caller knows that this memory is there,
    and for how long. {b Unsafe}: anything can be read and written through it.

    @raise Invalid_argument if [len < 0] or the range goes around the address space. *)

(** {1:values Memory as values} *)

val as_value : memory -> int -> 'a
(** [as_value m offset] is the value whose first field stands at byte [offset] of [m], and
    whose header stands in the word before: what {!init_value} and the other initialisers
    return as [voffset]. Takes constant time; nothing is copied.

    {b Unsafe}: that there is a value of the type asked for is not checked. And the memory
    must stay mapped as long as the value, or a part of it, is reachable: [m] becoming
    unreachable doesn't wait for it. Keep [m] in a global, or next to the value.

    A value in a buffer may be read and, where the memory is writable, its immediate
    fields and its own bytes may be written. A pointer into the OCaml heap must never be
    stored in it: the collector does not look there.

    @raise Invalid_argument
      if the header is not within [m], or its address is not a multiple of the word size.
      A block without fields may thus stand at [m]'s very end. *)

val as_obj : memory -> int -> Obj.t
(** [as_obj m offset] is {!as_value} as an [Obj.t]. *)

val value_area : memory -> unit
(** [value_area m] does nothing: on OCaml 5 comparison, hashing and marshalling work on
    values outside the heap without it. *)

val obj_address : Obj.t -> nativeint
(** [obj_address o] is the address of [o]'s first field. The collector may move a value of
    the OCaml heap at any allocation; one in a buffer stays.

    @raise Invalid_argument if [o] is an immediate value, e.g. an [int]. *)

val hdr_address : Obj.t -> nativeint
(** [hdr_address o] is the address of [o]'s header: [obj_address o] less one word.

    @raise Invalid_argument if [o] is an immediate value. *)

val cmp_bytes : Bytes.t -> Bytes.t -> int
(** [cmp_bytes] is [Bytes.compare], for sequences in the heap and outside. *)

val cmp_string : string -> string -> int
(** [cmp_string] is [String.compare], for strings in the heap and outside. *)

exception Out_of_space
(** The buffer is too small for what should be built in it. *)

(** {2:init Building blocks}

    Each function below takes the byte [offset] at which the block's header shall stand,
    whose address must be a multiple of the word size, and returns [(voffset, bytelen)]:
    [voffset], for {!as_value}, is one word after [offset]; [bytelen] is the number of
    bytes used, header included, always whole words.

    The header's colour is the one that OCaml 5 reserves for blocks outside its heap, and
    not white as in the original. *)

val init_header : memory -> int -> int -> int -> unit
(** [init_header m offset tag size] writes the header of a block of [size] words, tagged
    [tag], to the word at [offset]. The block itself is not touched, and may end beyond
    [m].

    @raise Invalid_argument
      if the word is not within [m] or not aligned, [tag] not in 0–255, or [size] negative
      or beyond [Sys.max_array_length]. *)

val init_string : memory -> int -> int -> int * int
(** [init_string m offset len] makes a string of [len] bytes. The bytes stay what they
    were, but for the last word's, which are zero and OCaml's padding.

    @raise Out_of_space if it does not fit in [m].
    @raise Invalid_argument if [offset] or [len] is negative or [offset] not aligned. *)

val init_string_bytelen : int -> int
(** [init_string_bytelen len] is the [bytelen] of {!init_string}.

    @raise Invalid_argument if [len] is negative or beyond [Sys.max_string_length]. *)

val init_array : memory -> int -> int -> int * int
(** [init_array m offset size] makes an array of [size] elements, not floats. Each element
    is the integer 0 (the original has another, arbitrary one), which may not be a value
    of the elements' type: set it first.

    @raise Out_of_space if it does not fit in [m].
    @raise Invalid_argument if [offset] or [size] is negative or [offset] not aligned. *)

val init_float_array : memory -> int -> int -> int * int
(** [init_float_array m offset size] makes an array of [size] floats, each [0.].

    @raise Out_of_space as {!init_array}.
    @raise Invalid_argument as {!init_array}. *)

val init_array_bytelen : int -> int
(** [init_array_bytelen size] is the [bytelen] of {!init_array}.

    @raise Invalid_argument if [size] is negative or beyond [Sys.max_array_length]. *)

val init_float_array_bytelen : int -> int
(** [init_float_array_bytelen size] is the [bytelen] of {!init_float_array}.

    @raise Invalid_argument if [size] is negative or beyond [Sys.max_floatarray_length].
*)

(** {2:copy Copying values} *)

type custom_ops = nativeint
(** The address of a custom block's operations, in the process that it was asked in. *)

(** What {!init_value} may copy, and how. *)
type init_value_flag =
  | Copy_bigarray  (** Bigarrays, with their data. Refused without this flag. *)
  | Copy_custom_int  (** [int32], [int64] and [nativeint]. Refused without this flag. *)
  | Copy_atom
      (** Blocks without fields, e.g. [[||]], become blocks without fields in the buffer.
          Refused without this flag or [Keep_atom]. Such a copy is not physically equal to
          [[||]]; OCaml 5 and its standard library don't rely on that. *)
  | Copy_simulate
      (** Only the size is computed: the buffer is neither read nor written. *)
  | Copy_conditionally
      (** Blocks outside the OCaml heap that lie in [cc] are not copied. *)
  | Keep_atom
      (** Blocks without fields are not copied: the copy points to the original, in this
          process only. Stronger than [Copy_atom] if both are given. *)
  | Copy_custom  (** [Copy_custom_int], as it was called before ocamlnet 3.2. *)

val init_value :
  ?targetaddr:nativeint ->
  ?target_custom_ops:(string * custom_ops) list ->
  ?cc:(nativeint * nativeint) list ->
  memory ->
  int ->
  'a ->
  init_value_flag list ->
  int * int
(** [init_value m offset v flags] copies the block [v] and all that it reaches into [m]
    from byte [offset] on, and is [(voffset, bytelen)] as {{!init}above}:
    [as_value m voffset] is the copy. Sharing is kept and cycles are no problem; depth
    neither. [v] is only read, and other domains may go on meanwhile (not change [v]: the
    copy would be a mixture).

    - [targetaddr] is the address at which the reader will have [m]'s first byte (default:
      [memory_address m]). With another one the copy is no value at all for this process.
    - [target_custom_ops] gives for ["_i"] (int32), ["_j"] (int64), ["_n"] (nativeint) and
      ["_bigarr02"] (bigarrays) the operations, as {!get_custom_ops} tells them, of the
      process that will read the copy. Default: this process's, which are right in its
      forked children and wrong in other programs, and in other runs of this one.
    - [cc], with [Copy_conditionally], is a list of address ranges [(first, end)]: a block
      outside the OCaml heap whose address is [>= first] and [< end] is not copied, the
      copy points to it instead. [v] itself is always copied. Blocks of the OCaml heap are
      copied wherever they lie (in the original, ranges count for them too): the collector
      could not see the pointer.

    A bigarray's data follows it in the buffer, as a block with tag [Obj.abstract_tag],
    and belongs to the buffer: it is never freed on its own. For each, [bytelen] counts
    one word that is left unused, because the original's header of such data is a word
    longer. Blocks without fields are copied once per tag.

    The part of [m] that is written to must not hold anything that [v] reaches.

    Costs time in proportion to the blocks reached, and memory besides [m] of about a
    quarter of their size while it runs; with [Copy_simulate] the copy is made in memory
    of its own, which is given back at once. The runtime is not released.

    @raise Out_of_space
      if the copy does not fit in [m]. [m]'s contents from [offset] on are then undefined;
      nothing else was changed.
    @raise Failure
      with the kind of the offending value and the path to it, if [v] is immediate or
      reaches a closure, an object, an unforced lazy value, an abstract or a custom block,
      or a block that needs a flag that is not given. [m] may have been written to.
    @raise Invalid_argument
      if [offset] is negative, the address that it has, or will have at [targetaddr], is
      no multiple of the word size, or beyond the address space.
    @raise Unix.Unix_error [ENOMEM] if the memory besides [m] is not to be had. *)

val get_custom_ops : 'a -> string * custom_ops
(** [get_custom_ops v] is the identifier and the address of the operations of the custom
    block [v], e.g. [get_custom_ops 0L] is [("_j", _)].

    @raise Invalid_argument
      if [v] is not a custom block, or one whose operations are another process's. *)

val copy_value : init_value_flag list -> 'a -> 'a
(** [copy_value flags v] is a copy of [v] and all that it reaches, in the OCaml heap. [v]
    may be in the heap, in a buffer, or partly both. Sharing is kept and cycles are no
    problem. An immediate value is itself.

    [Copy_bigarray] and [Copy_custom_int] (or [Copy_custom]) are as in {!init_value}; the
    copies have this process's operations, and bigarrays their own memory, freed with
    them. Other flags are ignored: blocks without fields become this process's.

    A value of up to 512 KB is built in the minor heap, which takes less time than
    [Marshal.from_bytes]; a larger one, or one that hangs on an array of more than 256
    elements, takes one and a half times as long, or twice.

    Another process, or domain, may write to the buffer that [v] is in while it is copied,
    if the buffer is mapped memory ({!memory_map_file}, {!alloc_memory_pages}, all of
    {!shared}): the copy may then be anything, of any type, but it is whole blocks, which
    the collector can look at; or there is an exception. Let the pointer [v] be nowhere
    else then than in this call, as in [copy_value flags (as_value m offset)]: the
    collector looks at the header of what it finds. (In bytecode it is also on the
    interpreter's stack: there nothing protects.) A value of the heap that refers to such
    a buffer has no such protection.

    @raise Failure
      as {!init_value}; if [v] is no value of OCaml's, or refers to none, because another
      process wrote to it.
    @raise Out_of_memory if the heap can't grow. *)

type color =
  | White
  | Gray
  | Blue
  | Black  (** The two colour bits of a block's header, 0 to 3. *)

val color : Obj.t -> color
(** [color o] is the colour of the block [o]. Blocks outside the heap are [Black]; the
    meaning of the others changes with each of the collector's cycles.

    @raise Invalid_argument if [o] is an immediate value. *)

val set_color : Obj.t -> color -> unit
(** [set_color o c] does nothing if [color o] is [c].

    @raise Invalid_argument
      otherwise: to OCaml 5's collector any other colour of a block in a buffer means that
      the block is its own, and on a block of the heap the colours are the collector's
      alone. (In the original programs could use them as marks.) *)

val is_bigarray : Obj.t -> bool
(** [is_bigarray o] is [true] if [o] is a bigarray, of the heap or in a buffer. *)

(** {1:io Input and output}

    These release the OCaml runtime while the system call runs, call it once, and raise
    [Unix.Unix_error] with the function's name; a signal gives [EINTR], but not while a
    regular file is read or written: Linux doesn't interrupt that. Data is not copied on
    its way. As many bytes are moved as the system moves in one call, which may be fewer
    than asked for. They may be called from any thread and domain. *)

val mem_read : Unix.file_descr -> memory -> int -> int -> int
(** [mem_read fd m off len] reads at most [len] bytes from [fd] into [m] from [off] on,
    and is the number of bytes read; 0 at the end of the file. [Unix.read] without its
    copy and its limit of 64 KB.

    @raise Invalid_argument if the range is not within [m].
    @raise Unix.Unix_error ["mem_read"] *)

val mem_write : Unix.file_descr -> memory -> int -> int -> int
(** [mem_write fd m off len] writes at most [len] bytes of [m] from [off] on to [fd], and
    is the number of bytes written: [Unix.single_write] without its copy.

    @raise Invalid_argument if the range is not within [m].
    @raise Unix.Unix_error ["mem_write"] *)

val mem_recv : Unix.file_descr -> memory -> int -> int -> Unix.msg_flag list -> int
(** [mem_recv fd m off len flags] is [Unix.recv] into [m].

    @raise Invalid_argument if the range is not within [m].
    @raise Unix.Unix_error ["mem_recv"] *)

val mem_send : Unix.file_descr -> memory -> int -> int -> Unix.msg_flag list -> int
(** [mem_send fd m off len flags] is [Unix.send] from [m].

    @raise Invalid_argument if the range is not within [m].
    @raise Unix.Unix_error ["mem_send"] *)

val mem_pread : Unix.file_descr -> memory -> int -> int -> int64 -> int
(** [mem_pread fd m off len pos] is {!mem_read} from byte [pos] of the file on, wherever
    [fd] is in it; [fd] stays there. Several threads may so read one file at once. Not in
    the original.

    @raise Invalid_argument
      if the range is not within [m], [pos < 0], or [pos + len] is no file size.
    @raise Unix.Unix_error ["mem_pread"]; [ESPIPE] for pipes and sockets. *)

val mem_pwrite : Unix.file_descr -> memory -> int -> int -> int64 -> int
(** [mem_pwrite fd m off len pos] is {!mem_write} to byte [pos] of the file and on,
    wherever [fd] is in it; [fd] stays there. Not in the original.

    @raise Invalid_argument
      if the range is not within [m], [pos < 0], or [pos + len] is no file size.
    @raise Unix.Unix_error ["mem_pwrite"]; [ESPIPE] for pipes and sockets. *)

type piece = memory * int * int
(** [(m, off, len)]: the [len] bytes of [m] from [off] on. *)

val mem_readv : Unix.file_descr -> piece array -> int
(** [mem_readv fd pieces] is {!mem_read} into several pieces of memory, one after the
    other, each filled before the next one is begun; the number of bytes read in all. A
    piece may be empty; where pieces overlap, the later one's bytes stay. Not in the
    original.

    @raise Invalid_argument if a range is not within its memory.
    @raise Unix.Unix_error
      ["mem_readv"]; [EINVAL] for more pieces than the system takes, which is 1024. *)

val mem_writev : Unix.file_descr -> piece array -> int
(** [mem_writev fd pieces] is {!mem_write} of several pieces of memory, one after the
    other; the number of bytes written in all. On a datagram socket they are one message.
    Not in the original.

    @raise Invalid_argument if a range is not within its memory.
    @raise Unix.Unix_error
      ["mem_writev"]; [EINVAL] for more pieces than the system takes, which is 1024. *)

val mem_recvfrom :
  Unix.file_descr -> memory -> int -> int -> Unix.msg_flag list -> int * Unix.sockaddr
(** [mem_recvfrom fd m off len flags] is [Unix.recvfrom] into [m]: the number of bytes
    received, and from where ([ADDR_UNIX ""] for a peer without an address). Not in the
    original.

    @raise Invalid_argument if the range is not within [m].
    @raise Unix.Unix_error
      ["mem_recvfrom"]; [EAFNOSUPPORT], with the message gone, for an address that is no
      [Unix.sockaddr]. *)

val mem_sendto :
  Unix.file_descr -> memory -> int -> int -> Unix.msg_flag list -> Unix.sockaddr -> int
(** [mem_sendto fd m off len flags addr] is [Unix.sendto] from [m]. Not in the original.

    @raise Invalid_argument if the range is not within [m].
    @raise Unix.Unix_error
      ["mem_sendto"]; [ENAMETOOLONG] or [ENOENT] for an [ADDR_UNIX] that is no path. *)

(** {1:shared Memory shared between processes}

    Memory that has no name, and that goes when the last process that has it goes. A
    process gets it from another one as a descriptor: through a socket ({!mem_send_fd},
    {!mem_recv_fd}), or by inheriting it ({!mem_share_fd}, {!mem_attach_fd}); a forked
    child has it anyway. What the other side sends is checked before it is used, and
    nobody can make the memory shorter while others have it mapped. Not in the original.

    {[
      let () =
        let ours, theirs = Unix.socketpair PF_UNIX SOCK_STREAM 0 in
        let mem = Netsys_mem.alloc_shared_memory 65536 in
        let voffset, _ = Netsys_mem.init_value mem 0 [ "alpha"; "beta" ] [] in
        Netsys_mem.mem_send_fd ours mem;
        (* Elsewhere, for instance in a program that has [theirs] as its stdin: *)
        Netsys_mem.memory_unmap_file mem;
        let mem = Netsys_mem.mem_recv_fd ~same_address:true theirs in
        assert (Netsys_mem.as_value mem voffset = [ "alpha"; "beta" ])
    ]} *)

val alloc_shared_memory : ?at:nativeint -> ?huge:bool -> ?prefault:bool -> int -> memory
(** [alloc_shared_memory size] is a new buffer of zeros, of [size] bytes rounded up to
    whole pages. Its storage is reserved, so that want of memory is an error here and not
    a [SIGBUS] later. It takes one descriptor while it is mapped.

    - [at] is exactly the address that it shall have, a multiple of the page size.
      Default: one that other processes are likely to have free, too.
    - [huge] and [prefault] are as in {!alloc_memory_pages}.

    Unmapped when the buffer and all its sub-arrays are unreachable, or with
    {!memory_unmap_file}. The collector counts it. The runtime is released while the
    system works.

    @raise Invalid_argument if [size < 0], or [at] is no page's address.
    @raise Unix.Unix_error
      ["alloc_shared_memory"]: [EINVAL] if [size] is 0; [EEXIST] if something is at [at];
      [ENOSPC], [ENOMEM], [EFBIG] if the machine has no such memory; [EMFILE]. What it
      has, but uses otherwise, it may find by killing processes, as it does for all
      memory. *)

val mem_share_fd : memory -> Unix.file_descr
(** [mem_share_fd m] is a new descriptor of the shared memory that [m] is, or is a part
    of: for {!mem_attach_fd} in another process. The caller closes it; it is closed in
    programs that this process executes, unless [Unix.clear_close_on_exec] says otherwise.
    The memory outlives it, and it the memory.

    @raise Invalid_argument
      if [m] is not from {!alloc_shared_memory}, {!mem_attach_fd} or {!mem_recv_fd}, or is
      unmapped.
    @raise Unix.Unix_error ["mem_share_fd"]: [EMFILE]. *)

val mem_attach_fd :
  ?at:nativeint -> ?huge:bool -> ?prefault:bool -> Unix.file_descr -> memory
(** [mem_attach_fd fd] is all of the shared memory that {!mem_share_fd} gave [fd] for, in
    this process or another one. [at] is exactly the address that it shall have, for
    instance the one that the other process has it at, so that values in it can be read
    ({!as_value}); [huge] and [prefault] as in {!alloc_memory_pages}. [fd] stays open, and
    may be closed.

    Any memory file does that nobody can shorten (with the seal [F_SEAL_SHRINK]). Its
    holes get storage first. {b What stands in it} is not checked: whoever has it can
    write to it at any time.

    Unmapped as {!alloc_shared_memory}'s.

    @raise Invalid_argument if [at] is no page's address.
    @raise Unix.Unix_error
      ["mem_attach_fd"]: [EINVAL] if [fd] is no such file, or empty; [EEXIST] if something
      is at [at]; [EPERM], [EACCES] if it can't be written to; [ENOSPC], [ENOMEM],
      [EMFILE]. *)

val mem_send_fd : Unix.file_descr -> memory -> unit
(** [mem_send_fd socket m] sends [m], shared memory or a part of it, through the Unix
    domain socket [socket], in one message of 32 bytes: its descriptor ([SCM_RIGHTS]), its
    address, and which part of it [m] is. The system keeps it alive on its way.

    @raise Invalid_argument as {!mem_share_fd}.
    @raise Unix.Unix_error
      ["mem_send_fd"]: as [Unix.send]; [EINVAL] or another if [socket] is of another
      domain; ["mem_share_fd"]: [EMFILE]. *)

val mem_recv_fd : ?same_address:bool -> Unix.file_descr -> memory
(** [mem_recv_fd socket] is what {!mem_send_fd} sent through the other end of [socket]:
    the same part of the same memory, mapped as by {!mem_attach_fd}. If [same_address]
    (default [false]), the memory is at the address that it has at the sender's, so that
    values in it can be read ({!as_value}).

    One message is received, of a stream 32 bytes: what was sent before it must have been
    read, what may be sent after it stays.

    @raise End_of_file if the other end is closed.
    @raise Unix.Unix_error
      ["mem_recv_fd"]: as [Unix.recv]; [EINVAL] if what came is not from {!mem_send_fd},
      or is no shared memory, or not within it (its descriptors are closed); [EEXIST] if
      [same_address] and something is at that address; others as {!mem_attach_fd}. *)

(** {1:pools Pools of buffers}

    A pool has blocks of one size, on page boundaries, cut out of larger mappings, so that
    few blocks cost a system call. It takes back what is freed and what is unreachable,
    and gives mappings without blocks in use back to the system, but for the largest of
    them. Pools may be used from any thread and domain. Taking a block and giving it back
    cost time in proportion to the logarithm of the pool's mappings, which have 64 blocks
    each once there are many, and seldom a system call. *)

type memory_pool
(** The type of pools. *)

val create_pool : int -> memory_pool
(** [create_pool size] is a new, empty pool of blocks of [size] bytes.

    @raise Invalid_argument if [size] is not a multiple of the page size, or not positive.
*)

val pool_alloc_memory : memory_pool -> memory
(** [pool_alloc_memory p] is a block of [p], with whatever its last user left in it. The
    pool has it back when the buffer {e and all its sub-arrays} are unreachable (in the
    original, sub-arrays don't count). The collector counts the block's size.

    @raise Unix.Unix_error ["mmap"] if the pool can't grow. *)

val pool_alloc_memory2 : memory_pool -> memory * (unit -> unit)
(** [pool_alloc_memory2 p] is [(m, free)]: [m] as {!pool_alloc_memory} gives it, and
    [free] lets the pool have it back at once. [m] is still there then, but its bytes may
    be another user's. Calling [free] again, or when [m] is unreachable, does nothing. *)

val pool_reclaim : memory_pool -> unit
(** [pool_reclaim p] gives all mappings without blocks in use back to the system. One with
    a block that was freed by hand follows when the block's buffer is unreachable. *)

val pool_block_size : memory_pool -> int
(** [pool_block_size p] is the length of [p]'s blocks in bytes. *)

val default_block_size : int
(** [default_block_size] is 16 times {!pagesize}. *)

val default_pool : memory_pool
(** A pool of blocks of {!default_block_size}, for all users. *)

val small_block_size : int
(** [small_block_size] is {!pagesize}. *)

val small_pool : memory_pool
(** A pool of blocks of {!small_block_size}, for all users. *)

val pool_report : memory_pool -> string
(** [pool_report p] tells a person how [p] stands, one number a line: the size of its
    blocks, its mappings, its blocks, and how many of them are free. *)
