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

(** {1:marking Marking} *)

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

    Cost: time in the size of the value, some hundred nanoseconds for a small one; no
    stack, whatever the depth; a quarter of the size of [v] in memory while copying.

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

    @raise Invalid_argument
      ["deleted"] if it was deleted, or if [p] is of a file that is detached. *)

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

(** {1:files Files}

    A file holds values under keys. Whoever attaches it, in whatever process, at whatever
    time, finds them ready for use: nothing is read, decoded or copied, because every
    process maps the file at the same address.

    {[
      let fd = Unix.openfile "words" [ O_RDWR; O_CREAT ] 0o644 in
      let md = Ancient.attach fd 0n in
      let _ = Ancient.share md 0 [| "alpha"; "beta" |] in
      (* In another process: *)
      let words : string array = Ancient.follow (Ancient.get md 0) in
      assert (words.(1) = "beta")
    ]}

    {b What may be in a file.} Everything but closures, objects, lazy values not forced
    yet, and what {!mark} refuses; static data and ancient values are copied into it.
    [compare], [Hashtbl.hash] and [Marshal] give in every process what they give in the
    writer, for [int64]s and bigarrays too; native and bytecode programs read each other's
    files.

    {b Processes and domains.} Readers wait for nobody. Writers wait for each other, be
    they processes, forked children or domains; the lock of one that dies is free. All
    functions may be called from any domain; while a value is copied, domains that want to
    collect wait, while it is written to the disk, they don't.

    {b Failures.} A process killed at any moment, in {!attach} or {!share} too, leaves
    every value as it was published last, and nothing else: the space of what it was
    writing is free. {!share} returns when the value is on the disk, so it survives the
    machine as well (on a tmpfs such as [/dev/shm], that costs nothing). If there is no
    room left on the disk, it raises, and the file is as it was.

    {b Space.} The place of a value that was replaced is used again, but not as long as a
    process lives that got or shared that value: so what was followed stays as it was
    until that process {!detach}es or exits. Attached again, the file shows the same
    values at the same addresses: their places are left alone until the process ends, and
    the space of the file, if it is unlinked later, is the system's again only then.

    {b Not writing} holds here as above; but a stray assignment does the file no harm:
    every process sees a private copy of the pages that it wrote to. That also makes
    [Hashtbl.iter] and [fold] work on tables in a file, and on a file that can only be
    read.

    {b Trust.} Whatever stands in a file but its values is checked when it is read: sizes,
    offsets, checksums. The values are not looked into: a file that somebody made to do
    harm can do so. A file that is cut by somebody else while it is attached kills the
    process that reads what is gone (SIGBUS). *)

type md
(** The type for attached files. Each {!attach} gives a new one. A file stays attached
    until {!detach}, whether or not its [md] is still reachable. *)

val attach : Unix.file_descr -> nativeint -> md
(** [attach fd base] attaches the file of [fd], a regular file or a memory file. [fd]
    stays the caller's, who may close it at once; a descriptor opened for reading only
    suffices to {!get}.

    An empty file is made ready to {!share} into. It is mapped at the address [base], a
    multiple of 4096, in every process from now on; [0n] (recommended) lets the library
    choose an address that is free in all processes, with room for the file to grow to 64
    GB. With another [base] there is as much room, or what is free there (at least 64 MB).
    A file that holds values has its address already, and [base] is ignored.

    Attaching a file twice is attaching it once: the values are the same blocks.

    Takes some ten system calls, however large the file is.

    @raise Failure
      if the file is not empty and not one of these files, or is damaged, with its path,
      the place in it and what is wrong there; if its address, or [base], is taken in this
      process; if it is empty and [fd] can't be written.
    @raise Invalid_argument
      if [fd] is a directory, a pipe or a socket, or not open for reading; if [base] is no
      multiple of 4096.
    @raise Unix.Unix_error
      if the system refuses, e.g. [ENOSPC] if there is no room for the first 8 KB.

    Unlike the original, 0 as [base] always leaves room to grow, and nothing is ever
    mapped over something else. *)

val detach : md -> unit
(** [detach md] ends the use of [md]. With the last [md] of a file its memory is given
    back; a pointer into it that is left behind somewhere then finds tombstones, which do
    the collector no harm, and {!follow} of its proxies raises.

    @raise Invalid_argument if [md] is detached already. *)

val share : md -> int -> 'a -> 'a ancient
(** [share md key v] makes a copy of [v] the value of [key] in the file, in place of the
    one that [key] has, and is a proxy of it. Everyone sees either the old value or the
    new one. Keys are any numbers from 0 up, and as sparse as you like.

    The copy is {!mark}'s, with these differences: it refers to nothing outside of itself;
    closures, objects and custom blocks of other libraries are refused. It takes whole
    pages, 4096 bytes at least.

    If another writer is at work, [share] waits for it, and lets other threads and domains
    run meanwhile.

    @raise Invalid_argument
      if [v] holds what can't be in a file, with its place, as in
      ["Ancient.share: closure at field 0 of field 1"]; if [key] is negative, [md]
      detached, or its descriptor was not open for writing.
    @raise Failure if the file would exceed the room it has been given, or is damaged.
    @raise Unix.Unix_error if the system refuses, e.g. [ENOSPC] on a full disk. *)

val share_info : md -> int -> 'a -> 'a ancient * info
(** [share_info md key v] is {!share}[ md key v] and information about the copy. *)

val get : md -> int -> 'a ancient
(** [get md key] is a proxy of the value of [key], as it is now. The caller must annotate
    its type: as with [Marshal], nothing checks it, and with a wrong one the program may
    crash. Takes some five system calls, however many keys there are; following the proxy
    takes none.

    @raise Not_found if [key] has no value.
    @raise Failure if the file is damaged, or was emptied or replaced since {!attach}.
    @raise Invalid_argument if [key] is negative or [md] detached. *)
