(** Cells with a committed and a latest value. *)

(** Within a transaction, the latest value of an entity changes, and the committed one,
    that of the last transaction, stays: readers of either state see their own, also while
    others write. {!SharedMem.commit_transaction} makes all latest values the committed
    ones.

    All functions raise {!SharedMem.Invalid_address} if the address is not in the heap,
    {!SharedMem.Invalid_header} if what begins there is no entity, and [Invalid_argument]
    without a heap. *)

type 'k entity = [ `entity of 'k ]
(** Entities whose values are addresses of ['k]. *)

val prepare_write_entity : ('k Words.addr option -> 'k entity Words.addr) Chunk.prep
(** [prepare_write_entity] is a new entity, of which the latest value is what its function
    is given. There is no committed one until the running transaction is. *)

val entity_advance : 'k entity Words.addr -> 'k Words.addr option -> unit
(** [entity_advance e o] makes [o] the latest value of [e]. Processes that advance one
    entity at the same time harm nothing: one of them wins. A collection that goes on is
    told.

    @raise SharedMem.Invalid_address also if [o] is an address that is not in the heap.
    @raise SharedMem.Invalid_header also if no object begins at [o].
    @raise Invalid_argument also in a forked process that has not connected. *)

val entity_read_committed : 'k entity Words.addr -> 'k Words.addr option
(** [entity_read_committed e] is the committed value of [e]. *)

val entity_read_latest : 'k entity Words.addr -> 'k Words.addr option
(** [entity_read_latest e] is the latest value of [e]. *)

val entity_rollback : _ entity Words.addr -> unit
(** [entity_rollback e] makes the committed value of [e] the latest one again; it does
    nothing if the running transaction has not changed [e]. Nobody may advance [e] at the
    same time: that may be lost.

    @raise Invalid_argument also in a forked process that has not connected. *)

val entity_changed : _ entity Words.addr -> bool
(** [entity_changed e] is [true] iff the running transaction has made or advanced [e]. *)

type entity_reader = { read : 'a. 'a entity Words.addr -> 'a Words.addr option }
[@@unboxed]
(** A way to read entities. *)

val entity_reader_committed : entity_reader
(** {!entity_read_committed}. *)

val entity_reader_latest : entity_reader
(** {!entity_read_latest}. *)
