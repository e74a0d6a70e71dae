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

    {b Failures.} Whatever raises has changed nothing, but for what is done for several
    keys in turn, and everything goes on working. A process killed at any instruction
    leaves the others a sound table and heap; the space of what it was storing is lost
    until the next collection. Nothing here prints, exits, or changes signal handlers.
    Messages name the primitive that refused, e.g. [hh_get].

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
    is the one thing that nobody may be working beside: no other process, no other domain
    of the master, and no function of this module that a signal's handler or a finaliser
    has interrupted. Every address from before is good no more. A master that is killed
    while it compacts takes the heap with it: {!connect} says so afterwards. *)

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
    proportional to heap and table, and, while it runs, memory of a 32nd of the heap. A
    second thread, in which signals are blocked, sees to a large table meanwhile. The
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
    domains that don't run meanwhile. Where it takes more than 32 MB, up to three threads,
    in which signals are blocked, get memory from the system while this one loads, and are
    gone when it returns.

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

include module type of struct
  include Tables
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
