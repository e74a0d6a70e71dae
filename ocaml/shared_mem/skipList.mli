(** Sorted sets of addresses, which any number of processes search and change at once. *)

(** No locks: whoever is killed in the midst of a change holds up nobody, and leaves the
    set with or without that change. Adding, removing and searching take the logarithm of
    the set's size in comparisons, as long as it is well below 2{^ 24} elements.

    [cmp] is an order on the elements, the same one each time that a set is used; it may
    be called on elements of the set and those given. All functions raise what it raises,
    {!SharedMem.Invalid_address} and {!SharedMem.Invalid_header} if an address is not that
    of a set (of a node), and [Invalid_argument] without a heap. *)

type 'k sklist = [ `sklist of 'k ]
(** Sets of addresses of ['k]. *)

type 'k sknode = [ `sknode of 'k ]
(** Nodes of such sets. *)

val prepare_write_sklist : 'k sklist Words.addr Chunk.prep
(** [prepare_write_sklist] is an empty set, of 13 words. *)

val prepare_write_sknode : unit -> ('k Words.addr -> 'k sknode Words.addr) Chunk.prep
(** [prepare_write_sknode ()] is a node for the element that its function is given: of 3
    words mostly, and a word more in one of four, and so on. Each call makes a node of
    another random size, so prepare one for each node. *)

val sklist_add :
  ('k Words.addr -> 'k Words.addr -> int) ->
  'k sklist Words.addr ->
  'k sknode Words.addr ->
  bool
(** [sklist_add cmp set node] adds the element of [node], unless there is one that is
    equal; whether it did. A node can be added once.

    @raise Invalid_argument also in a forked process that has not connected. *)

val sklist_remove :
  ('k Words.addr -> 'k Words.addr -> int) -> 'k sklist Words.addr -> 'k Words.addr -> bool
(** [sklist_remove cmp set x] takes away the element that is equal to [x]; whether there
    was one. Of several that remove one element, one did.

    @raise Invalid_argument also in a forked process that has not connected. *)

val sklist_mem :
  ('k Words.addr -> 'k Words.addr -> int) -> 'k sklist Words.addr -> 'k Words.addr -> bool
(** [sklist_mem cmp set x] is [true] iff there is an element that is equal to [x]. Changes
    nothing, and is not held up by those who do. *)

val sklist_iter : ('k Words.addr -> unit) -> 'k sklist Words.addr -> unit
(** [sklist_iter f set] calls [f] on the elements in order: on those that are there all
    the while, and of those that come or go meanwhile, on some. *)

val sklist_is_empty : 'k sklist Words.addr -> bool
(** [sklist_is_empty set] is [true] iff there is no element. *)
