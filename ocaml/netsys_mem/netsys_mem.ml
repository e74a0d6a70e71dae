(* Checked doors to the stubs of rust/stubs/src/netsys_mem: each function here owns the checks and
   their messages, each stub moves bytes. A module for each kind of function; this one puts them
   together. *)

include Checks
include Moving
include Mapping
include Blocks
include Copying
include Transfer
include Sharing
include Pools
