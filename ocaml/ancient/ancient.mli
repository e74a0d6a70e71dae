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
    The memory is private to the process; after a fork, parent and child each have it,
    copy-on-write.

    {b Waiting.} A domain that collects waits for all others. While one of them marks a
    large value, it waits for some 10 ms at most: the value is copied in slices, and
    between two of them collections, signal handlers and finalisers run. That goes well if
    meanwhile no major cycle ends, nothing is compacted, and nobody stores a freshly made
    value in [v]; else the copy begins anew (but for the bytes of long strings, arrays of
    floats and bigarrays, which may be copied whatever happens). After four times it is
    made in one piece, and the others wait for all of it: about a second for 50 million
    blocks. So it is for the other threads of the domain that marks, if no other domain
    runs, and while it is worked out where in a large value something that cannot be
    marked is. *)

type 'a ancient
(** The type for proxies of ancient values of type ['a]. The value outlives its proxy: it
    stays until {!delete}. Comparing or marshalling a proxy raises. *)

(** {1:marking Marking} *)

val mark : ?protect:bool -> 'a -> 'a ancient
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

    With [~protect:true] (default [false]) the copy can only be read: whoever assigns to
    it anyhow is killed at once (SIGSEGV), instead of having the value corrupted and being
    killed later. That is for finding mistakes; it forbids what would do no harm, too:
    [Hashtbl.iter], [fold] and [filter_map_inplace] of a protected table fault. So does
    [Bigarray]'s assignment, whose data are part of the copy. Even a small copy takes
    whole pages then, and some microseconds more.

    If others change [v] meanwhile, the copy has some of their changes, as if each field
    had been read once, at some time during the call.

    Cost: time in the size of the value, some 300 ns for one of 40 blocks; no stack,
    whatever the depth; a quarter of the size of [v] in memory while copying. In slices, a
    large value takes some 10 ms more, and what the collections take that others ask for
    meanwhile.

    What a signal's handler or a finaliser raises between two slices, [mark] raises,
    having marked nothing.

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
(** [delete p] gives the value's memory back at once: whole pages of it, that is. Where a
    value shares a page with others (those of less than 4,096 bytes, and those of up to 16
    KB that would leave more than a fifth of their pages empty), the page goes with the
    last of them; and where some 8,000 gaps among living values have been given back
    already, further ones stay in memory until a gap beside them can be made larger, or 2
    MB are dead as a whole: the system allows a process no more. Whatever other ancient
    values the value referred to stay. The caller promises that nobody reads the value any
    more, in any domain; values that were copied out of it are the collector's, and
    unharmed.

    A pointer into the value that is left behind somewhere (in a variable, a table, a weak
    pointer) is no danger to the collector, only to a program that reads through it: a
    value of 4,096 bytes and more leaves its addresses unused for ever, and finds them
    full of tombstones; the room of a smaller one does so until 256 KB (or a sixteenth of
    all small values alive, if that is more) have been deleted after it, and is then given
    to another value. Don't keep such pointers beyond that.

    @raise Invalid_argument
      ["deleted"] if it was deleted already, be it through a copy of [p]; if several
      domains delete it at once, in all of them but one. Also for a value in a file, which
      cannot be deleted.

    Unlike the original, it works on OCaml 5. *)

val copy : 'a -> 'a
(** [copy v] is a deep copy of [v] in the OCaml heap: an ordinary value again, which the
    collector moves and frees, and whose fields may be assigned. [v] may be ancient, in
    memory or in a file, in a buffer of [Netsys_mem], or in the heap itself, or partly
    each.

    The copy has [v]'s sharing and cycles (but bigarrays that share their data get each
    their own, which are freed with them). Integers and static data are not copied.
    Closures and objects that were marked are copied, and work.

    Cost: for a value of up to 257 words less than half of [Marshal.from_string]'s time,
    for one of up to 512 KB half of it to all of it: these are built in the minor heap.
    For a larger one, or one that hangs on an array of more than 256 elements, one and a
    half times [Marshal.from_bytes]'s, up to twice: each of its blocks is allocated in the
    major heap by itself, in the one way that OCaml offers to libraries, or promoted. Of
    many copies that are kept, the collector has more work than of what [Marshal] makes:
    together that is two to three times as long. Values inside of a larger ancient one,
    and ones that refer to other ancient ones, may take twice as long, and their size
    again in memory meanwhile. Domains that want to collect wait while a large value is
    copied.

    Another process may write to a buffer of [Netsys_mem] that [v] is in meanwhile: as for
    [Netsys_mem.copy_value].

    @raise Invalid_argument
      if [v] holds what cannot be copied, naming it and where it is, as {!mark} does; so
      if [v] is a value that was deleted.
    @raise Out_of_memory if the heap can't grow, or the copy would exceed 28 GB.
    @raise Unix.Unix_error if the system refuses memory for the work. *)

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

val mark_info : ?protect:bool -> 'a -> 'a ancient * info
(** [mark_info v] is {!mark}[ v] and information about the copy. *)

(** {1:files Files}

    A file holds values under keys. Whoever attaches it, in whatever process, at whatever
    time, finds them ready for use: nothing is read, decoded or copied, because every
    process maps the file at the same address.

    {[
      let md = Ancient.open_file "words" ~mode:Create in
      let _ = Ancient.share md 0 [| "alpha"; "beta" |] in
      (* In another process: *)
      let words : string array = Ancient.follow (Ancient.get md 0) in
      assert (words.(1) = "beta")
    ]}

    {b What may be in a file.} Everything but closures, objects, exceptions and extensible
    variants, lazy values not forced yet, and what {!mark} refuses; static data and
    ancient values are copied into it. [compare], [Hashtbl.hash] and [Marshal] give in
    every process what they give in the writer, for [int64]s and bigarrays too; native and
    bytecode programs read each other's files.

    {b Sharing between values.} A value that refers to values that this process has
    followed in the same file goes on referring to them: they are not copied again, and
    stay in the file as long as the new value does, whatever becomes of their own keys.
    That holds for a file that is at its own address (not relocated); what is in other
    files, or marked, is copied.

    {b Processes and domains.} Readers wait for nobody. Writers wait for each other, be
    they processes, forked children or domains; the lock of one that dies is free. All
    functions may be called from any domain. While a value is copied, domains that want to
    collect wait for slices of it, as for {!mark}; while it is written to the disk, not at
    all. What runs between two slices on the same thread (a signal's handler, a finaliser)
    can't change the same file: there, {!share}, {!remove} and {!compact} raise instead of
    waiting for themselves. Nor may it wait for a thread or domain that changes the file,
    and waits in its turn.

    {b Failures.} A process killed at any moment, in {!attach}, {!share}, {!remove} or
    {!compact}, leaves every value as it was published last, and nothing else: the space
    of what it was writing is free. If there is no room left on the disk, they raise, and
    the file is as it was.

    {b Durability.} By default, {!share}, {!remove} and {!compact} return when the change
    is on the disk, so it survives the machine as well (on a tmpfs such as [/dev/shm],
    that costs nothing). With [~durable:false] they return when every process can see it,
    without waiting for the disk: it survives the death of all processes, but a machine
    that stops may leave a damaged file, unless nothing was changed since {!sync}.

    {b Space.} The place of a value that was replaced is used again once no process can
    read it: those that have {!follow}ed it have ended, and the proxies of those that
    haven't are collected. So what was followed stays as it was until the process
    {!detach}es or exits. Attached again, the file shows the same values at the same
    addresses: their places are left alone until the process ends, and the space of the
    file, if it is unlinked later, is the system's again only then.

    {b Not writing} holds here as above; but a stray assignment does the file no harm:
    every process sees a private copy of the pages that it wrote to. That also makes
    [Hashtbl.iter] and [fold] work on tables in a file, and on a file that can only be
    read.

    {b Trust.} Whatever stands in a file but its values is checked when it is read: sizes,
    offsets, checksums. The values are not looked into: a file that somebody made to do
    harm can do so, and one that is cut by somebody else while it is attached kills the
    process that reads what is gone (SIGBUS). Attached with [~verify:true], a file can do
    no harm: each value is read into memory of this process when it is asked for first,
    and checked, every block and every pointer, before it is handed out. *)

type md
(** The type for attached files. Each {!attach} gives a new one. A file stays attached
    until {!detach}, whether or not its [md] is still reachable. *)

(** {2:attaching Attaching} *)

val attach :
  ?max_size:int ->
  ?durable:bool ->
  ?verify:bool ->
  ?relocate:bool ->
  Unix.file_descr ->
  nativeint ->
  md
(** [attach fd base] attaches the file of [fd], a regular file or a memory file. [fd]
    stays the caller's, who may close it at once; a descriptor opened for reading only
    suffices to {!get}.

    An empty file is made ready to {!share} into. It is mapped at the address [base], a
    multiple of 4096, in every process from now on; [0n] (recommended) lets the library
    choose an address that is free in all processes. With another [base] there is as much
    room, or what is free there (at least 64 MB). A file that holds values has its address
    already, and [base] is ignored.

    Attaching a file twice is attaching it once: the values are the same blocks.

    - [max_size] is the most bytes that a new file can grow to, rounded up to whole pages,
      and to 64 KB: so many addresses are kept for it in every process that attaches it,
      but neither disk nor memory. [0] is the default: 64 GB.
    - [durable]: whether changes through this [md] wait for the disk. Default: [true].
    - [verify]: whether the file isn't trusted. Getting a value for the first time then
      costs the time to read and check it, memory for it, and another 64th of it. A file
      that this process has attached without [verify] is checked, too, but stays mapped:
      it isn't safe from being cut. Default: [false].
    - [relocate]: whether, when the file's addresses are taken in this process, it is
      opened all the same: each value is read into private memory when it is asked for
      first, and its pointers are moved, in less time than copying it takes.
      {!relocations} counts it. What is {!share}d through such an [md] is for the file's
      own address, as ever; proxies of it show the private copy. Default: [false].

    A file attached with [verify] or relocated, detached, and attached again is at another
    address the second time.

    Takes some ten system calls, however large the file is.

    @raise Failure
      if the file is not empty and not one of these files, or is damaged, with its path,
      the place in it and what is wrong there; if its address, or [base], is taken in this
      process; if it is empty and [fd] can't be written.
    @raise Invalid_argument
      if [fd] is a directory, a pipe or a socket, or not open for reading; if [base] is no
      multiple of 4096; if [max_size] is negative or above 16 TB.
    @raise Unix.Unix_error
      if the system refuses, e.g. [ENOSPC] if there is no room for the first 8 KB.

    Unlike the original, 0 as [base] always leaves room to grow, and nothing is ever
    mapped over something else. *)

(** What a file is opened for. *)
type mode =
  | Read_only  (** To {!get}. The file and its directory need only be readable. *)
  | Read_write  (** To {!share} as well. It must exist. *)
  | Create  (** As [Read_write], but it is made if it doesn't exist. *)

val open_file :
  ?mode:mode ->
  ?permissions:Unix.file_perm ->
  ?base:nativeint ->
  ?max_size:int ->
  ?durable:bool ->
  ?verify:bool ->
  ?relocate:bool ->
  string ->
  md
(** [open_file path] attaches the file at [path], as {!attach} does. [mode] is [Read_only]
    by default, [permissions] those of a file that is made, [0o644] by default, before the
    process's mask; [base] is [0n] by default.

    @raise Failure as {!attach}.
    @raise Invalid_argument as {!attach}; if [path] is not a regular file.
    @raise Unix.Unix_error as {!attach}; if it can't be opened. *)

val detach : md -> unit
(** [detach md] ends the use of [md]. With the last [md] of a file its memory is given
    back; a pointer into it that is left behind somewhere then finds tombstones, which do
    the collector no harm, and {!follow} of its proxies raises.

    @raise Invalid_argument if [md] is detached already. *)

val relocations : unit -> int
(** [relocations ()] is how often this process has opened a file at another address than
    the file's own. *)

(** {2:sharing Sharing and getting} *)

val share : md -> int -> 'a -> 'a ancient
(** [share md key v] makes a copy of [v] the value of [key] in the file, in place of the
    one that [key] has, and is a proxy of it. Everyone sees either the old value or the
    new one. Keys are any numbers from 0 up, and as sparse as you like.

    The copy is {!mark}'s, with these differences: it refers to nothing outside of the
    file; closures, objects, exceptions and custom blocks of other libraries are refused.
    It takes whole pages, 4096 bytes at least.

    If another writer is at work, [share] waits for it, and lets other threads and domains
    run meanwhile. While it copies a large value, handlers of signals and finalisers run;
    what they raise, [share] raises, having shared nothing.

    @raise Invalid_argument
      if [v] holds what can't be in a file, with its place, as in
      ["Ancient.share: closure at field 0 of field 1"]; if [key] is negative, [md]
      detached, or open for reading only; in a signal's handler or a finaliser that runs
      in the middle of another [share] into the same file (let it note what to share, for
      afterwards).
    @raise Failure if the file would exceed its maximum size, or is damaged.
    @raise Unix.Unix_error if the system refuses, e.g. [ENOSPC] on a full disk. *)

val share_info : md -> int -> 'a -> 'a ancient * info
(** [share_info md key v] is {!share}[ md key v] and information about the copy. *)

val get : md -> int -> 'a ancient
(** [get md key] is a proxy of the value of [key], as it is now. The caller must annotate
    its type: as with [Marshal], nothing checks it, and with a wrong one the program may
    crash (see {!Key} for one way out). Takes some five system calls, however many keys
    there are; following the proxy takes none.

    @raise Not_found if [key] has no value.
    @raise Failure
      if the file is damaged, or was emptied or replaced since {!attach}; with [verify],
      also if the value is.
    @raise Invalid_argument if [key] is negative or [md] detached. *)

val max_key : int
(** [max_key] is the largest key, [max_int]. *)

(** {2:keys Keys} *)

(** The type for keys. The functions above are for [Int]s. *)
type key =
  | Int of int  (** A number from 0 up. *)
  | Name of string  (** Any bytes, at most a million. *)

val share_key : md -> key -> 'a -> 'a ancient
(** [share_key md key v] is as {!share}.

    @raise Invalid_argument also if a name is too long. *)

val share_key_info : md -> key -> 'a -> 'a ancient * info
(** [share_key_info md key v] is {!share_key}[ md key v] and information about the copy.
*)

val get_key : md -> key -> 'a ancient
(** [get_key md key] is as {!get}. *)

val mem : md -> key -> bool
(** [mem md key] is whether [key] has a value. Raises as {!get} does, but [Not_found]. *)

val keys : md -> key list
(** [keys md] is the keys that have values: numbers in their order, then names in theirs.
    Reads the whole key table, a page for some 30 keys, and each name. *)

val remove : md -> key -> bool
(** [remove md key] takes [key] and its value out of the file, and is whether it was
    there. Who has followed the value keeps it. Waits and raises as {!share} does. *)

(** Keys that know the type of their values. *)
module Key : sig
  type 'a t
  (** The type for keys of values of type ['a]: a name, and a description of ['a] that is
      stored with the value. It is only as good as the description: change that whenever
      the type changes. *)

  exception Mismatch of { name : string; expected : string; found : string }
  (** Raised by {!get} when a value is stored under another description than the key's;
      [found] is [""] if it has none. *)

  val make : description:string -> string -> 'a t
  (** [make ~description name] is a key. [description] is what readers and writers of the
      value agree upon: a version number, or the type written down.

      {[
        let words : string array Ancient.Key.t =
          Ancient.Key.make "words" ~description:"string array, v1"
      ]}

      A description has at most a million bytes; {!share} refuses a longer one.

      @raise Invalid_argument if [description] is empty. *)

  val name : 'a t -> string
  (** [name k] is the name that [k] was made of. The untyped functions know [k] as
      [Name (name k)]. *)

  val description : 'a t -> string
  (** [description k] is the description that [k] was made of. *)

  val share : md -> 'a t -> 'a -> 'a ancient
  (** [share md k v] is as {!share_key}, and stores [k]'s description with the value. *)

  val share_info : md -> 'a t -> 'a -> 'a ancient * info
  (** [share_info md k v] is {!share}[ md k v] and information about the copy. *)

  val get : md -> 'a t -> 'a ancient
  (** [get md k] is as {!get_key}, of the type that [k] says.

      @raise Mismatch if the value is stored under another description, or under none. *)

  val mem : md -> 'a t -> bool
  (** [mem md k] is whether [k]'s name has a value, under whatever description. *)

  val remove : md -> 'a t -> bool
  (** [remove md k] is {!val:Ancient.remove}[ md (Name (name k))]. *)
end

(** {2:looking Looking after a file} *)

type value_info = {
  size : int;  (** Bytes of its blocks; 0 for an integer. *)
  blocks : int;  (** How many. The data of a bigarray are one. *)
  time : float;  (** When it was shared, in seconds since 1970, whole ones. *)
  ocaml_version : string;  (** The OCaml that shared it, as ["5.3"]. *)
  description : string;  (** Of its {!Key}; [""] if it has none. *)
}
(** The type for information about a value. *)

val info : md -> key -> value_info
(** [info md key] is what is known of the value of [key]. Raises as {!get} does. *)

type file_info = {
  keys : int;  (** How many keys have values. *)
  values_size : int;  (** Bytes of the blocks of all values. *)
  values_blocks : int;  (** How many they are. *)
  file_size : int;  (** Bytes of the file. *)
  max_size : int;  (** Bytes that it can grow to. *)
  last_time : float;  (** When the youngest value was shared; 0 if there is none. *)
  last_ocaml_version : string;
      (** The OCaml that changed it last; [""] if it never was. *)
  base : nativeint;  (** The address of the file's first byte in this process. *)
  relocated : bool;  (** Whether that is another one than the file's own. *)
}
(** The type for information about a file. *)

val file_info : md -> file_info
(** [file_info md] is what is known of the file. Reads the whole key table. *)

type fault = {
  offset : int;  (** Where in the file, in bytes. *)
  key : key option;  (** Whose value it is in, if it is in one. *)
  reason : string;  (** What is wrong there. *)
}
(** The type for something wrong in a file. *)

val verify : md -> (unit, fault) result
(** [verify md] is [Ok ()] if the file is whole: every checksum, every header, every
    pointer of every value; otherwise the first fault found. Costs the time of reading the
    file, and memory for its largest value; other threads and domains run meanwhile.

    @raise Invalid_argument if [md] is detached.
    @raise Unix.Unix_error if the file can't be read. *)

val compact : md -> unit
(** [compact md] makes the file shorter: values are moved towards its start, where there
    is room, and what is free behind the last is cut off. What some process holds stays
    where it is, and so does what other values refer to. Waits as {!share} does, for the
    time of copying what is moved; needs memory for the largest value that is.

    @raise Failure if the file is damaged.
    @raise Invalid_argument
      if [md] is detached or open for reading only; in the middle of a {!share}, as that.
    @raise Unix.Unix_error if the system refuses. *)

val sync : md -> unit
(** [sync md] returns when all that was changed so far is on the disk; for files attached
    with [~durable:false].

    @raise Invalid_argument if [md] is detached.
    @raise Unix.Unix_error if the disk fails. *)
