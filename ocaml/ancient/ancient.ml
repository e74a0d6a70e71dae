type 'a ancient
type info = { i_size : int }

(* Marked values: the stubs are rust/stubs/src/ancient.rs. *)

external mark : 'a -> 'a ancient = "hh_ancient_mark"
external mark_info : 'a -> 'a ancient * info = "ancient_mark_info"
external follow : 'a ancient -> 'a = "ancient_follow"
external delete : 'a ancient -> unit = "ancient_delete"
external is_ancient : 'a -> bool = "ancient_is_ancient" [@@noalloc]
external address_of : 'a -> nativeint = "ancient_address_of"
