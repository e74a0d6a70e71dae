(* Shared memory, and how another process gets it. *)

open Checks

external create_shared : nativeint -> int -> int -> memory = "hh_netsys_create_shared"

let check_at name at =
  if at = 0n || Nativeint.rem at (Nativeint.of_int pagesize) <> 0n then
    invalid "%s: 0x%nx is not a page's address" name at

(* 0 is no address in particular. *)
let exactly name = function
  | None -> 0n
  | Some at ->
      check_at name at;
      at

let alloc_shared_memory ?at ?(huge = false) ?(prefault = false) size =
  if size < 0 then invalid "alloc_shared_memory: size %d" size;
  create_shared (exactly "alloc_shared_memory" at) (eager_bits ~huge ~prefault) size

external shared_base : memory -> nativeint = "hh_netsys_shared_base"
external share_fd : memory -> Unix.file_descr = "hh_netsys_share_fd"

let shared_base name m =
  let base = shared_base m in
  if base = 0n then invalid "%s: not in shared memory" name;
  base

let mem_share_fd m =
  ignore (shared_base "mem_share_fd" m : nativeint);
  keeping m (share_fd m)

external attach : Unix.file_descr -> nativeint -> int -> memory = "hh_netsys_attach"

let mem_attach_fd ?at ?(huge = false) ?(prefault = false) fd =
  attach fd (exactly "mem_attach_fd" at) (eager_bits ~huge ~prefault)

external send_fd : Unix.file_descr -> string -> Unix.file_descr -> int
  = "hh_netsys_send_fd"

external receive_fd : Unix.file_descr -> string = "hh_netsys_receive_fd"
external descr_of_int : int -> Unix.file_descr = "%identity"

(* What goes with a descriptor, as words in this machine's order: a mark, the address of the shared
   memory, and the part of it that is meant. *)
let mark = 0x6868_6e65_7473_7973L
let message_bytes = 4 * 8

let mem_send_fd socket m =
  let base = shared_base "mem_send_fd" m in
  let message = Bytes.create message_bytes in
  let offset = Nativeint.sub (memory_address m) base in
  List.iteri
    (fun i word -> Bytes.set_int64_ne message (8 * i) word)
    [ mark; Int64.of_nativeint base; Int64.of_nativeint offset; Int64.of_int (length m) ];
  let fd = keeping m (share_fd m) in
  let send () = send_fd socket (Bytes.unsafe_to_string message) fd in
  let sent = Fun.protect ~finally:(fun () -> Unix.close fd) send in
  if sent <> message_bytes then
    raise (Unix.Unix_error (EMSGSIZE, "mem_send_fd", Printf.sprintf "%d bytes sent" sent))

let mem_recv_fd ?(same_address = false) socket =
  let told = receive_fd socket in
  let fd = Int64.to_int (String.get_int64_ne told 0) in
  let bytes = String.length told - 8 in
  let word i = Int64.to_int (String.get_int64_ne told (8 * (i + 1))) in
  let refuse why = raise (Unix.Unix_error (EINVAL, "mem_recv_fd", why)) in
  if fd < 0 && bytes = 0 then raise End_of_file;
  if fd < 0 then refuse "a message without a descriptor, or with several";
  let fd = descr_of_int fd in
  Fun.protect ~finally:(fun () -> Unix.close fd) @@ fun () ->
  if bytes <> message_bytes || String.get_int64_ne told 8 <> mark then
    refuse "a message that mem_send_fd did not send";
  let base, offset, len = (Nativeint.of_int (word 1), word 2, word 3) in
  if Nativeint.rem base (Nativeint.of_int pagesize) <> 0n || base <= 0n then
    refuse "an address that is no page's";
  let whole =
    match attach fd (if same_address then base else 0n) 0 with
    | whole -> whole
    | exception Unix.Unix_error (error, _, argument) ->
        raise (Unix.Unix_error (error, "mem_recv_fd", argument))
  in
  if offset < 0 || len < 0 || offset > length whole - len then begin
    Mapping.release whole;
    refuse
      (Printf.sprintf "offset %d, length %d: not within %d bytes" offset len
         (length whole))
  end;
  if offset = 0 && len = length whole then whole else Bigarray.Array1.sub whole offset len
