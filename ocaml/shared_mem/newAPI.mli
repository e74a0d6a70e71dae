(** Objects of a program's own kinds, in the heap.

    Flow's module of that name, without Flow's objects: what is written is strings,
    numbers, tables of addresses, entities, sorted sets, compressed strings, and objects
    of the {!Kind}s that the program declares. The names are Flow's where it has them.

    Nothing a program passes here makes it read or write outside the heap: sizes are
    checked when objects are written; tags, and the numbers of words, when they are read.
    A word of an object has the type that the program says it has ({!get_field}); an
    object has the kind that its tag says.

    All functions may be called from any process and domain, as those of {!SharedMem}.
    Addresses that only OCaml code knows are good until the next compaction, and as long
    as the object is reachable: see {!SharedMem.collect_slice}. *)

module Kind = Kind
(** Kinds of objects. *)

(** {1 Chunks} *)

include module type of struct
  include Chunk
end

(** {1 Words of objects} *)

include module type of struct
  include Fields
end

(** {1 Objects} *)

include module type of struct
  include Objects
end

(** {1 Entities} *)

include module type of struct
  include Entity
end

(** {1 Sorted sets} *)

include module type of struct
  include SkipList
end
