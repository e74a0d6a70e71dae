(** Values outside the OCaml heap.

    An {e ancient} value is an ordinary OCaml value, to be read and pattern-matched like
    any other, whose memory the garbage collector neither follows nor moves: it costs no
    collection any time, and a forked process shares it with its parent until one of them
    writes to it. {!mark} makes one in this process.

    {[
      let table = Ancient.mark (Array.init 1_000_000 string_of_int) in
      Gc.compact ();
      (* The collector no longer sees the million strings. *)
      assert ((Ancient.follow table).(42) = "42");
      Ancient.delete table
      (* Their memory is the system's again. *)
    ]}

    {b Reading.} Comparison, hashing, [Marshal], printing, physical equality inside of the
    value, closures and objects all work as before. {b Not writing:} a field of an ancient
    value must never be assigned, for the collector doesn't look there: a heap value
    stored in it is freed under it. [Hashtbl.iter], [fold] and [filter_map_inplace],
    [Lazy.force] of an unforced lazy, [Atomic.set], [Bytes.set], [Array.sort] all assign.
    ([Hashtbl]'s [find], [mem], [length] and [copy] don't; its [iter] and [fold] put back
    what they found and are harmless unless two domains run them at once.)

    {b Processes and domains.} Everything here may be called from any domain at any time.
    Marking a large value keeps domains that want to collect waiting while it is copied
    (about a second for 50 million blocks). The memory is private to the process; after a
    fork, parent and child each have it, copy-on-write. *)

type 'a ancient
(** The type for proxies of ancient values of type ['a]. The value outlives its proxy: it
    stays until {!delete}. Comparing or marshalling a proxy raises. *)

(** {1:mark Marking} *)

val mark : 'a -> 'a ancient
(** [mark v] is a proxy of a deep copy of [v] outside of the OCaml heap. [v] is left as it
    is, and no other domain can see a moment of it being changed; [Gc.compact ()] gives
    its memory back once it is garbage.

    The copy has [v]'s sharing and cycles (but bigarrays that share their data get each
    their own). What is static (literals of a native program, toplevel functions,
    predefined exceptions, [[||]]) or ancient already is not copied a second time: the
    copy refers to it, so deleting what it refers to breaks it. Values in a buffer of
    [Netsys_mem] or in a shared heap are copied.

    Closures and objects are copied; they work in this process and its forked children. An
    object keeps its identity number, so it is [compare]d equal to its copy. [int32],
    [int64], [nativeint], bigarrays (with their data) and other custom blocks without a
    finaliser are copied.

    Cost: time in the size of the value, about a third of a microsecond for a small one;
    no stack, whatever the depth; a quarter of the size of [v] in memory while copying.

    @raise Invalid_argument
      if [v] holds what cannot be copied, naming it and where it is, as in
      ["Ancient.mark: lazy value not forced yet at field 1 of field 0"]: a lazy value not
      forced yet (force it first), a constructor of an exception or extensible variant
      that isn't predefined (a copy is no longer matched by its handlers; in bytecode,
      also predefined ones), a continuation, an abstract block (a proxy is one), a custom
      block with a finaliser (a mutex, a channel), a bigarray that was unmapped, a value
      that was deleted.
    @raise Out_of_memory if the copy would exceed 28 GB.
    @raise Unix.Unix_error if the system refuses memory or address space. *)

val follow : 'a ancient -> 'a
(** [follow p] is the value of [p]. It is valid until {!delete}, also if [p] itself is
    garbage by then.

    @raise Invalid_argument ["deleted"] if it was deleted. *)

val delete : 'a ancient -> unit
(** [delete p] gives the value's memory back at once. Whatever other ancient values the
    value referred to stay. The caller promises that nobody reads the value any more, in
    any domain; values that were copied out of it are the collector's, and unharmed.

    A pointer into the value that is left behind somewhere (in a variable, a table, a weak
    pointer) is no danger to the collector, only to a program that reads through it: a
    value of 4,096 bytes and more leaves its addresses unused for ever, and finds them
    full of tombstones; the room of a smaller one does so until 256 KB (or a sixteenth of
    all small values alive, if that is more) have been deleted after it, and is then given
    to another value. Don't keep such pointers beyond that.

    @raise Invalid_argument
      ["deleted"] if it was deleted already; if several domains delete it at once, in all
      of them but one. Also for a value in a file, which cannot be deleted.

    Unlike the original, it works on OCaml 5. *)

val is_ancient : 'a -> bool
(** [is_ancient v] is [true] if [v] is a block in the memory of ancient values, marked and
    not deleted, or in an attached file. It is [false] for integers and for static data,
    which the original's answer was [true] for. O(1), allocates nothing. *)

val address_of : 'a -> nativeint
(** [address_of v] is the address of [v], or [0n] if [v] is not a block. The collector may
    move a value that isn't ancient at any time. *)

(** {1:info Information} *)

type info = {
  i_size : int;
      (** The bytes of the copy: headers, fields, data of bigarrays. [0] if nothing had to
          be copied. *)
}
(** The type for information about a copy. *)

val mark_info : 'a -> 'a ancient * info
(** [mark_info v] is {!mark}[ v] and information about the copy. *)
