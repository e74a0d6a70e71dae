(* Input and output, right from and to memory. *)

open Checks

external read : Unix.file_descr -> memory -> int -> int -> int = "hh_netsys_mem_read"
external write : Unix.file_descr -> memory -> int -> int -> int = "hh_netsys_mem_write"

external recv : Unix.file_descr -> memory -> int -> int -> int -> int
  = "hh_netsys_mem_recv"

external send : Unix.file_descr -> memory -> int -> int -> int -> int
  = "hh_netsys_mem_send"

let mem_read fd m off len =
  check_memory "mem_read" m off len;
  keeping m (read fd m off len)

let mem_write fd m off len =
  check_memory "mem_write" m off len;
  keeping m (write fd m off len)

(* As rust/stubs/src/netsys_mem/io.rs reads them. *)
let msg_flag_bit = function
  | Unix.MSG_OOB -> 1
  | Unix.MSG_DONTROUTE -> 2
  | Unix.MSG_PEEK -> 4

let msg_flag_bits = List.fold_left (fun bits flag -> bits lor msg_flag_bit flag) 0

let mem_recv fd m off len flags =
  check_memory "mem_recv" m off len;
  keeping m (recv fd m off len (msg_flag_bits flags))

let mem_send fd m off len flags =
  check_memory "mem_send" m off len;
  keeping m (send fd m off len (msg_flag_bits flags))

external pread : Unix.file_descr -> memory -> int -> int -> int64 -> int
  = "hh_netsys_mem_pread"

external pwrite : Unix.file_descr -> memory -> int -> int -> int64 -> int
  = "hh_netsys_mem_pwrite"

let check_pos name pos len =
  if pos < 0L || pos > Int64.sub Int64.max_int (Int64.of_int len) then
    invalid "%s: %d bytes at position %Ld are no part of a file" name len pos

let mem_pread fd m off len pos =
  check_memory "mem_pread" m off len;
  check_pos "mem_pread" pos len;
  keeping m (pread fd m off len pos)

let mem_pwrite fd m off len pos =
  check_memory "mem_pwrite" m off len;
  check_pos "mem_pwrite" pos len;
  keeping m (pwrite fd m off len pos)

type piece = memory * int * int

external readv : Unix.file_descr -> piece array -> int = "hh_netsys_mem_readv"
external writev : Unix.file_descr -> piece array -> int = "hh_netsys_mem_writev"

let vectored name call fd pieces =
  (* A copy: others may change the array after it is checked. *)
  let pieces = Array.copy pieces in
  Array.iter (fun (m, off, len) -> check_memory name m off len) pieces;
  let moved = call fd pieces in
  ignore (Sys.opaque_identity pieces : piece array);
  moved

let mem_readv fd pieces = vectored "mem_readv" readv fd pieces
let mem_writev fd pieces = vectored "mem_writev" writev fd pieces

external recvfrom : Unix.file_descr -> memory -> int -> int -> int -> string
  = "hh_netsys_mem_recvfrom"

external address_received : string -> Unix.sockaddr = "hh_netsys_address_received"

external sendto : Unix.file_descr -> memory -> int -> int -> int -> Unix.sockaddr -> int
  = "hh_netsys_mem_sendto_byte" "hh_netsys_mem_sendto"

let mem_recvfrom fd m off len flags =
  check_memory "mem_recvfrom" m off len;
  let told = keeping m (recvfrom fd m off len (msg_flag_bits flags)) in
  (Int64.to_int (String.get_int64_ne told 0), address_received told)

let mem_sendto fd m off len flags address =
  check_memory "mem_sendto" m off len;
  match sendto fd m off len (msg_flag_bits flags) address with
  | sent -> keeping m sent
  | exception Unix.Unix_error (error, "", argument) ->
      raise (Unix.Unix_error (error, "mem_sendto", argument))
