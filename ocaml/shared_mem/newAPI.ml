module Kind = Kind
include Chunk
include Fields
include Objects
include Entity
include SkipList
