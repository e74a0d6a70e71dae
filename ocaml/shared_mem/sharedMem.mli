(** A heap and a hash table that a master process and its workers share.

    A {e master} makes the heap with {!init}; {e workers}, forked or executed by it,
    {!connect} to it. Every process then reads and adds entries at any time, without
    locks. A typed table is a functor application:

    {[
      module Ages =
        SharedMem.SerializedHeap
          (SharedMem.StringKey)
          (struct
            type t = int

            let description = "age"
          end)

      let () =
        let config = { SharedMem.heap_size = 1 lsl 30; hash_table_pow = 16 } in
        let handle = Result.get_ok (SharedMem.init config ~num_workers:1) in
        match Unix.fork () with
        | 0 ->
            SharedMem.connect handle ~worker_id:1;
            Ages.add "Ada" 36;
            Unix._exit 0
        | pid ->
            ignore (Unix.waitpid [] pid);
            assert (Ages.get "Ada" = Some 36)
    ]}

    {b Processes and domains.} A process has at most one heap. All functions may be called
    from any domain and thread of any process that has it, unless their documentation says
    that they are the master's. A forked child may read at once, and must {!connect}
    before it changes anything.

    {b Failures.} Whatever raises has changed nothing, and everything goes on working. A
    process killed at any instruction leaves the others a sound table and heap; the space
    of what it was storing is lost until the next collection. Nothing here prints, exits,
    or changes signal handlers. Messages name the primitive that refused, e.g. [hh_get].

    {b Origin.} The interface is that of [SharedMem] in the Flow type checker, whose
    programs keep their source. Differences: arguments are checked; memory that the system
    cannot give is an exception where it was a [SIGBUS]; a lookup in a full table answers,
    where it raised. *)

(** {1 Processes} *)

type config = {
  heap_size : int;
      (** Bytes for values. The memory is taken when it is used: a large number costs
          nothing. At most 2{^ 46}. *)
  hash_table_pow : int;
      (** The table has 2{^ hash_table_pow} slots of 16 bytes. A slot is taken for ever by
          the first value under a key, also when the value is removed. At most 36. *)
}
(** What a heap is made with. *)

type handle = Unix.file_descr
(** The memory behind a heap. Programs that this process executes inherit it, as it isn't
    closed on exec: see {!handle_to_string}; [Unix.set_close_on_exec] changes that. It can
    be sent over a socket. A process that has connected, or made it, may close it. *)

type buf = (char, Bigarray.int8_unsigned_elt, Bigarray.c_layout) Bigarray.Array1.t
(** Table and heap as bytes; an {!addr} is an index. *)

type +'k addr = 'k Words.addr [@@immediate]
(** The place of an object in the heap. [k] is a phantom that says of which kind. An
    address means the same in every process. It is good until the next {!reset_heap} or
    compaction, as long as the object is reachable. *)

val null_addr : [ `null ] addr
(** [null_addr] is no object's address. *)

exception Out_of_shared_memory
(** The system has no memory left for the heap or the table. *)

exception Hash_table_full
(** Every slot of the table is taken by another key: [hash_table_pow] is too small. *)

exception Heap_full
(** No room is left in the heap: [heap_size] is too small. *)

exception Invalid_address of int * int64
(** [Invalid_address (addr, found)]: at [addr], or as [addr], stands [found], which is not
    an address in the heap. *)

exception Invalid_header of int * int64
(** [Invalid_header (addr, found)]: at [addr] stands [found], which is not the header of
    an object of the kind expected. *)

val init : config -> num_workers:int -> (handle, unit) result
(** [init config ~num_workers] makes a heap, of which this process becomes the master, for
    that many workers (at most 2{^ 16}). Takes well below a millisecond, whatever the
    sizes. [Error ()] if the system refuses the memory file or its mapping.

    @raise Invalid_argument
      if a number is negative or above its limit, or if this process has a heap already.
*)

val connect : handle -> worker_id:int -> unit
(** [connect handle ~worker_id] makes this process a worker of the heap behind [handle].
    [worker_id] is from [1] to the [num_workers] of {!init}; no two living processes have
    the same, and that of a process that died is free again (in another container, after
    {!worker_died}). [handle] may be closed afterwards.

    @raise Invalid_argument
      if [handle] is not that of a heap, if [worker_id] is out of range or taken, or if
      this process has a heap already, other than by a fork.
    @raise Unix.Unix_error if the system refuses. *)

val handle_to_string : handle -> string
(** [handle_to_string handle] names [handle] for a program that this process executes:
    give it as an argument, and there apply {!handle_of_string}. An addition to the
    original. *)

val handle_of_string : string -> handle
(** [handle_of_string s] is the handle that was inherited under the name [s]. What it is a
    handle of is checked by {!connect}. An addition to the original.

    @raise Invalid_argument if [s] is not what {!handle_to_string} returns. *)

val reset_heap : unit -> unit
(** [reset_heap ()] empties table and heap, gives their memory back to the system, and
    begins a second transaction. The master's; no other process or domain may use the heap
    meanwhile, and addresses from before are good no more.

    @raise Invalid_argument in a worker, or without a heap. *)

(** {1 Transactions} *)

val commit_transaction : unit -> unit
(** [commit_transaction ()] ends the running transaction and begins the next. No other
    process may be writing meanwhile.

    @raise Invalid_argument without a heap. *)

val is_init_transaction : unit -> bool
(** [is_init_transaction ()] is [true] until the first {!commit_transaction} or
    {!reset_heap}; also without a heap. *)

(** {1 Figures} *)

type table_stats = {
  nonempty_slots : int;  (** Slots taken by a key, with or without a value. *)
  used_slots : int;  (** Slots with a value. *)
  slots : int;  (** All slots. *)
}
(** What there is in the table, of all segments together. *)

val hash_stats : unit -> table_stats
(** [hash_stats ()] is summed up over all processes, in time proportional to
    [num_workers]. Each process killed in the middle of adding may leave it off by one.

    @raise Invalid_argument without a heap. *)

val heap_size : unit -> int
(** [heap_size ()] is the number of bytes in use in the heap.

    @raise Invalid_argument without a heap. *)

val heap_capacity : unit -> int
(** [heap_capacity ()] is the number of bytes that the heap was made with. An addition to
    the original.

    @raise Invalid_argument without a heap. *)

(** {1 Collection}

    What was removed, and what nothing reachable from a table refers to, is freed by a
    collection, which the master runs in slices whenever it likes: first it {e marks} what
    is reachable, then it {e sweeps}. All processes may work meanwhile: read, add, and
    change addresses. A collection keeps what was reachable when it began and what was
    made since; and what any thread but the collecting one has made, with its last two
    allocations, and not yet added. Any other address that only OCaml code knows keeps
    nothing alive.

    {e Compaction} then moves everything together and gives memory back to the system. It
    is the one thing that nobody may be working beside: no other process, and no other
    domain of the master. Every address from before is good no more. A master that is
    killed while it compacts takes the heap with it: {!connect} says so afterwards. *)

val collect_slice : ?force:bool -> int -> bool
(** [collect_slice work] collects for about [work] words of heap and table, and is [true]
    iff no collection is going on afterwards. One begins if a fifth of the heap is free or
    new; with [~force:true], in any case. When one ends, and a fifth of what it looked at
    is free, it {!compact}s: so call it only where that may be. The master's.

    @raise Invalid_argument
      in a worker, without a heap, and while another domain is collecting.
    @raise Invalid_address
      if a reachable object was written over. The collection goes on, and frees nothing.
    @raise Invalid_header as [Invalid_address]. *)

val collect_full : unit -> unit
(** [collect_full ()] finishes the collection that goes on, or else runs a whole one; and
    compacts, as {!collect_slice} does. The master's; raises as that. *)

val compact : unit -> unit
(** [compact ()] finishes the collection that goes on, if any, runs a whole one, and
    compacts: afterwards the heap has nothing in it that isn't reachable. Takes time
    proportional to heap and table, and, while it runs, memory of a 32nd of the heap. The
    running transaction is one, as after {!reset_heap}. The master's; raises as
    {!collect_slice}.

    @raise Out_of_shared_memory
      if there is no memory to plan the moves. Nothing has moved. *)

val on_compact : (unit -> unit -> unit) ref
(** [!on_compact ()] is called before each compaction, and what it returns after it, also
    if it raised: to stop others from using the heap, and to forget addresses. Does
    nothing at first. *)

val worker_died : worker_id:int -> unit
(** [worker_died ~worker_id] cleans up after the worker [worker_id], whose process died:
    its id is free, and the next collection has what it had allocated and not filled.
    Without it, the next collection finds out by itself, unless the process was in another
    container (a pid namespace): this believes you that such a process died. Does nothing
    if nobody has the id. The master's. An addition to the original.

    @raise Invalid_argument
      if the process runs, if [worker_id] is out of range, in a worker, or without a heap.
*)

(** {1 Heaps in files} *)

val save_heap : Unix.file_descr -> unit
(** [save_heap fd] collects and compacts, as {!compact} does, and writes heap and table to
    [fd] from its position on: to a file, also in the midst of other things, a pipe, or a
    socket. All is under checksums. Calls {!on_compact}. The master's, while nobody else
    uses the heap; threads and other domains that don't run meanwhile. Raises as
    {!compact}.

    @raise Unix.Unix_error
      if the system refuses to write. The heap is whole then, and what was written is not.
*)

val save_heap_to : string -> unit
(** [save_heap_to path] is {!save_heap} to the file [path], which is replaced at once and
    as a whole, when everything is on the disk: whatever happens before, it is as it was.
    The file is the user's only (mode 600). An addition to the original.

    @raise Sys_error if no file can be made beside [path]. *)

val load_heap : Unix.file_descr -> unit
(** [load_heap fd] replaces heap and table by what {!save_heap} wrote, from [fd]'s
    position on, and leaves it behind that. Heap and table may have other sizes than those
    that were saved. All of the file is checked before anything is touched: so it is read
    twice, unless the heap is empty. A second transaction begins. Addresses from before
    are good no more; programs must apply the functors of this module in the same order as
    the one that saved. The master's, while nobody else uses the heap; threads and other
    domains that don't run meanwhile.

    @raise Invalid_argument
      if the file isn't a saved heap, or is damaged; if [fd] must be read twice and
      cannot, as a pipe; in a worker, or without a heap.
    @raise Heap_full if the heap is too small.
    @raise Hash_table_full if the table is too small.
    @raise Out_of_shared_memory if the system lacks the memory.
    @raise Unix.Unix_error
      if the system refuses to read. If that is only while it loads, the heap is empty. *)

(** {1 Tables}

    All functions below raise, besides what they say:
    - [Invalid_argument] without a heap, and, where they change something, in a forked
      process that has not connected;
    - {!WorkerCancel.Worker_should_cancel} if workers were asked to stop, except for
      [remove]. *)

val serialized_tag_val : int
(** [serialized_tag_val] is the tag of the objects that {!SerializedHeap} stores. *)

(** What a table needs to know of its keys. *)
module type Key = sig
  type t
  (** The type for keys. *)

  val to_string : t -> string
  (** [to_string k] tells [k] from all other keys of the table. *)

  val compare : t -> t -> int
  (** A total order, for [KeySet]. *)
end

module StringKey : Key with type t = string
(** Strings as keys; numbers have the standard library's [Int]. An addition to the
    original. *)

(** What a table needs to know of its values. *)
module type Value = sig
  type t
  (** The type for values: what [Marshal] can write. *)

  val description : string
  (** What the values are, in a word or two. *)
end

(** What a table of addresses needs to know of its values. *)
module type AddrValue = sig
  type t
  (** The phantom of the addresses that are stored: which kind of objects they are of. *)
end

(** The part of the table that holds keys of one kind, and addresses.

    Keys are told apart by the first 8 bytes of a digest. Every process must apply the
    functors of this module in the same order, as programs do that apply them at top
    level: a segment's number is part of its keys. *)
module HashtblSegment (Key : Key) : sig
  type hash = string
  (** The type for hashes, of 16 bytes; the first 8 tell keys apart. *)

  val hash_of_key : Key.t -> hash
  (** [hash_of_key k] is the MD5 digest of the segment's number and [k]. *)

  val add : Key.t -> 'k addr -> 'k addr
  (** [add k addr] stores [addr] under [k], unless there is an address already; the result
      is what is stored afterwards. Of several processes adding the same key, one wins and
      all get its address. What was written to the object before is seen by whoever gets
      the address.

      @raise Hash_table_full if there is no slot for [k].
      @raise Out_of_shared_memory if the system has no memory for the slot.
      @raise Invalid_address if [addr] is not in the heap.
      @raise Invalid_header if no object begins at [addr]. *)

  val mem : Key.t -> bool
  (** [mem k] is [true] iff an address is stored under [k]. *)

  val get : Key.t -> _ addr option
  (** [get k] is the address stored under [k]. *)

  val remove : Key.t -> unit
  (** [remove k] takes away what is stored under [k], if anything is. The master's.

      @raise Invalid_argument in a worker. *)

  (** {1 Many keys at once}

      An addition to the original. Memory answers for several keys at a time, where one
      call after the other waits for each: for more keys than a processor's cache holds
      this takes a third of the time, digests not counted. Other domains that want to
      collect wait for a thousand keys at most. *)

  val add_batch : (Key.t * 'k addr) array -> 'k addr array
  (** [add_batch entries] is {!add} of each of [entries], in turn, and raises as that:
      then those before are added, and none after. Where others may collect meanwhile, all
      but the last two objects that this domain has made must be reachable already. *)

  val get_batch : Key.t array -> _ addr option array
  (** [get_batch ks] is {!get} of each of [ks]. *)

  val mem_batch : Key.t array -> bool array
  (** [mem_batch ks] is {!mem} of each of [ks]. *)

  val add_hashes : hash array -> 'k addr array -> 'k addr array
  (** [add_hashes hashes addrs] is {!add_batch} of keys whose hashes were made before. A
      program that has digests of its own may add them as they are: a hash is any string
      of 8 bytes or more, whose first 8 are spread evenly.

      @raise Invalid_argument
        if there aren't as many hashes as addresses, and then nothing is added; or for a
        hash of less than 8 bytes. *)

  val get_hashes : hash array -> _ addr option array
  (** [get_hashes hashes] is {!get_batch} of keys whose hashes were made before.

      @raise Invalid_argument for a hash of less than 8 bytes. *)
end

(** Tables, as their users see them. *)
module type Heap = sig
  type key
  (** The type for keys. *)

  type value
  (** The type for values. *)

  module KeySet : Set.S with type elt = key
  (** Sets of keys, for {!remove_batch}. *)

  val add : key -> value -> unit
  (** [add k v] stores [v] under [k], unless there is a value already. In a table of
      values, [v] is serialised and stored in any case, and then a collection frees it:
      where there likely is a value, ask {!mem} first.

      @raise Hash_table_full if there is no slot for [k].
      @raise Heap_full if there is no room for [v].
      @raise Out_of_shared_memory if the system has no memory left.
      @raise Invalid_argument
        if [v] contains a function or another thing without an outside form. *)

  val get : key -> value option
  (** [get k] is the value stored under [k]: all of it, or nothing. It is the caller's
      own, to keep and to change. Costs the time of decoding it.

      @raise Invalid_header if some process wrote over the value: its checksum tells.
      @raise Out_of_shared_memory if there is no memory to decode it. *)

  val remove : key -> unit
  (** [remove k] takes away what is stored under [k], if anything is. The master's; the
      space is reclaimed by a collection: see {!collect_slice}.

      @raise Invalid_argument in a worker. *)

  val remove_batch : KeySet.t -> unit
  (** [remove_batch ks] is {!remove} for each of [ks]; raises as that. *)

  val mem : key -> bool
  (** [mem k] is [true] iff a value is stored under [k]. *)
end

(** What is done with many keys at once takes less time than one after the other: see
    {!HashtblSegment.get_batch}. An addition to the original. *)
module type Batches = sig
  type key
  (** The type for keys. *)

  type value
  (** The type for values. *)

  type added
  (** What is known of values that were added. *)

  val add_batch : (key * value) array -> added
  (** [add_batch entries] is [add k v] for each of [entries], in turn, and raises as that:
      then those before are added, and none after. *)

  val get_batch : key array -> value option array
  (** [get_batch ks] is [get] of each of [ks], and raises as that. *)

  val mem_batch : key array -> bool array
  (** [mem_batch ks] is [mem] of each of [ks]. *)
end

(** A table of values that are marshalled and LZ4-compressed. [get] builds a fresh copy
    each time: the type isn't checked, and must be the one that was added. *)
module SerializedHeap (Key : Key) (Value : Value) : sig
  include
    Heap with type key = Key.t and type value = Value.t and module KeySet = Set.Make(Key)

  include Batches with type key := key and type value := value and type added := unit
end

(** How values are compressed. Reading finds out by itself: a table whose compression was
    another one before, as in a heap from a file, is read all the same. *)
type compression = Words.compression =
  | No_compression
      (** Not at all: for values that are small, or random, or read again and again. *)
  | Lz4  (** LZ4: fast both ways. *)
  | Zstd of int
      (** zstd at a level from 1 to 22: for values that are large and stay, where space is
          what runs out. Text takes two thirds of what it takes with LZ4 at level 1, which
          stores large values as fast as LZ4 and small ones some times slower; half at
          level 19, which takes a hundred times as long, and more memory meanwhile than
          the value. Reading is as fast at all levels: as LZ4 for large values, and up to
          10 times slower for those of a kilobyte.

          Programs that link the library [hh_shared.zstd] have it, which makes them larger
          by 0.6 MB. In others storing such a value raises [Invalid_argument], and so does
          reading one that another process has stored. *)

(** The choice of a compression: [Zstd 0], say, raises [Invalid_argument] where the
    functor is applied. *)
module type Compression = sig
  val compression : compression
  (** How values are compressed that are added. *)
end

(** A {!SerializedHeap} with another compression. An addition to the original.

    [add] with a compression of zstd, and [get] of what was added with one, raise
    [Invalid_argument] in a program that doesn't link [hh_shared.zstd]. *)
module CompressedHeap (_ : Compression) (Key : Key) (Value : Value) : sig
  include
    Heap with type key = Key.t and type value = Value.t and module KeySet = Set.Make(Key)

  include Batches with type key := key and type value := value and type added := unit
end

(** A table of addresses of objects. *)
module AddrHeap (Key : Key) (Value : AddrValue) : sig
  include
    Heap
      with type key = Key.t
       and type value = Value.t addr
       and module KeySet = Set.Make(Key)

  val add : Key.t -> Value.t addr -> Value.t addr
  (** [add k addr] is as {!HashtblSegment.add}. *)

  (** [add_batch] tells as {!HashtblSegment.add_batch} what is stored afterwards. *)
  include
    Batches
      with type key := key
       and type value := value
       and type added := Value.t addr array
end

(** {1 Objects, entities, cancellation} *)

module NewAPI = NewAPI
(** Objects of a program's own kinds, entities and sorted sets. *)

module EntityHeap = EntityHeap
(** Tables in which each key has a committed and a latest value. *)

module WorkerCancel = WorkerCancel
(** Asking workers to stop. *)

(** {1 Numbers} *)

val counter_next : unit -> int
(** [counter_next ()] is a number that no other call returned, in any process of this
    heap. It increases within a domain. Before {!init} and {!connect} it counts from 1;
    the master's go on above, and so do its workers'. *)
