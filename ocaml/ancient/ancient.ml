type 'a ancient
type info = { i_size : int }

(* Marked values: the stubs are rust/stubs/src/ancient.rs. *)

external mark : 'a -> 'a ancient = "hh_ancient_mark"
external mark_info : 'a -> 'a ancient * info = "ancient_mark_info"
external follow : 'a ancient -> 'a = "ancient_follow"
external delete : 'a ancient -> unit = "ancient_delete"
external is_ancient : 'a -> bool = "ancient_is_ancient" [@@noalloc]
external address_of : 'a -> nativeint = "ancient_address_of"

(* Files: the stubs are rust/stubs/src/ancient_file.rs. *)

type md = int

external attach : Unix.file_descr -> nativeint -> md = "ancient_attach"
external detach : md -> unit = "ancient_detach"
external share_once : md -> int -> 'a -> 'a ancient * info = "ancient_share_info"
external get : md -> int -> 'a ancient = "ancient_get"

(* What the files tell of who wrote them. *)
external written_by : int -> unit = "hh_ancient_written_by" [@@noalloc]

let () = Scanf.sscanf Sys.ocaml_version "%d.%d" (fun a b -> written_by ((100 * a) + b))

(* A signal that came while another process had the file: its handler has run by now. *)
let rec share_info md key v =
  match share_once md key v with
  | shared -> shared
  | exception Unix.Unix_error (Unix.EINTR, _, _) -> share_info md key v

let share md key v = fst (share_info md key v)
