(** Flow's [EntityHeap]: a table in which each key has a committed and a latest value.

    Values are stored as {!SharedMem.SerializedHeap} stores them, behind
    {!SharedMem.NewAPI.type-entity}s: what {!S.add} stores within a transaction is the
    latest value, and {!SharedMem.commit_transaction} makes it the committed one. *)

(** What such a table does. Its functions raise what those of {!SharedMem.Heap} do. *)
module type S = sig
  type key
  (** The type for keys. *)

  type value
  (** The type for values. *)

  module KeySet : Set.S with type elt = key
  (** Sets of keys, for {!remove_batch}. *)

  val add : key -> value -> unit
  (** [add k v] makes [v] the latest value of [k], in the running transaction. Of several
      processes that do so for one key at the same time, one wins. *)

  val get_committed : key -> value option
  (** [get_committed k] is the value of [k] when the last transaction ended. *)

  val get_latest : key -> value option
  (** [get_latest k] is the last value of [k] that was added, and not rolled back. *)

  val rollback : key -> unit
  (** [rollback k] makes the committed value the latest one again, if the running
      transaction has changed [k]; what is not there is left alone. Nobody may [add] to
      [k] at the same time. An addition to the original. *)

  val remove : key -> unit
  (** [remove k] takes away [k] and both its values. The master's. *)

  val remove_batch : KeySet.t -> unit
  (** [remove_batch ks] is {!remove} for each of [ks]. *)

  val mem : key -> bool
  (** [mem k] is [true] iff [k] was added and not removed: also if it has no committed
      value, or a latest one no more. *)
end

(** A table. As with {!SharedMem.SerializedHeap}, all processes must make theirs in the
    same order. *)
module Make (Key : Tables.Key) (Value : Tables.Value) :
  S with type key = Key.t and type value = Value.t and module KeySet = Set.Make(Key)
