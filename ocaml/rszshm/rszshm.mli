(** Shared memory at one address in every process, which grows in place.

    A {e region} is a file that every process maps at the same address, so that an address
    inside of it means the same everywhere. It begins small; any process extends it, up to
    a maximum for which every process keeps the addresses free, and nothing that is in use
    ever moves. The interface is that of ccan's [rszshm]; programs in C attach the same
    files through [ccan/rszshm/rszshm.h], which is installed with this library.

    Two processes and a counter ([examples/use_rszshm.ml]):
    {[
      let () =
        let region = Rszshm.make 4096 in
        let count () =
          for _ = 1 to 10_000 do
            ignore (Rszshm.fetch_add region 0 1)
          done
        in
        match Unix.fork () with
        | 0 -> count ()
        | child ->
            count ();
            ignore (Unix.waitpid [] child);
            Printf.printf "2 processes counted to %d\n" (Rszshm.load region 0);
            Rszshm.remove region
    ]}

    {b Processes.} A process forked by the maker has the region already and must not
    attach it again. Any other process calls {!attach} with the path. Each process, and
    each handle of its own, sees an extension at its next {!update} or {!grow}.

    {b Domains and threads.} Everything here may be called by any of them at any time, on
    the same [t].

    {b Failures.} A process may be killed at any instruction, {!grow} included: the others
    go on, and later ones attach and grow the file. No lock is held while growing, so a
    process that is stopped stops nobody. Storage is reserved before it is used: a full
    file system is an exception here, never a [SIGBUS] later. What a file says about
    itself is checked. What cannot be checked is a file that somebody {e cuts} while it is
    in use: {!update} and {!grow} notice, but data behind the cut are gone, and touching
    them kills the process, as with any mapped file.

    {b Errors.} [Unix.Unix_error (code, "Rszshm.f", "path: why")], with the original's
    codes. *)

type t
(** The type for regions. Not comparable, hashable or marshallable. *)

(** {1:search Where regions are} *)

type scan = {
  start : nativeint;  (** The first address tried; a multiple of the page size. *)
  len : int;  (** How many bytes of addresses a region keeps; its size at the most. *)
  hop : int;  (** The distance between tries, in bytes; a multiple of the page size. *)
  iter : int;  (** How many addresses are tried. *)
}
(** The type for searches for free addresses: at [start], [start - hop], [start + hop],
    [start - 2 * hop], and so on. *)

val default_scan : scan
(** [default_scan] is the original's: 4 GiB at 64 TiB, in hops of 1 TiB, 10 tries. All lie
    in the span that Linux's address-space randomisation leaves alone ([0x0800_0000_0000]
    to [0x5500_0000_0000]). The environment variable [HH_SHARED_BASE] (hexadecimal) moves
    the start. *)

(** {1:regions Regions} *)

val make : ?scan:scan -> ?path:string -> int -> t
(** [make len] is a new region of at least [len] bytes of data, all zero; the file is
    [len] bytes and the header's 64, rounded up to whole pages, and can grow to
    [scan.len].

    [path] (default ["/dev/shm/rszshm_XXXXXX/0"]) names the file, which must not exist. If
    its directory ends with [XXXXXX] a new directory with a unique name takes its place,
    readable for this user only; else the file has the permissions [0o666] before umask.

    On failure nothing is left behind: no file, no directory, no address.

    @raise Unix.Unix_error
      with [EINVAL] if [len] is not positive or does not fit into [scan.len], or if a scan
      parameter is not positive or [start] or [hop] is no multiple of the page size;
      [ENOSPC] if no address tried is free, or if the file system is full; [ENOMEM] if
      [scan.len] exceeds the address space; [EEXIST], [ENOENT], [ENOTDIR], [EACCES], … if
      the file or its directory cannot be made. *)

val attach : string -> t
(** [attach path] is the region in the file [path], made by {!make} in any process or by
    [rszshm_mk] of this package's C library, at the same address.

    Not for children forked by a process that has it: they have it too.

    @raise Unix.Unix_error
      with {!enodata} if the file is no region: too short, without a valid header, cut
      since it was made, no regular file; [ENOSPC] if this process uses some of the
      addresses already, or if the file has holes and its file system is full; [EINVAL] if
      [path] is empty; [ENOENT], [ENOTDIR], [EACCES], … if the file cannot be opened. *)

val detach : t -> unit
(** [detach t] writes the data to the medium and lets go of the file. Again is nothing.

    Bigarrays from {!data} may live on: they read zero from now on, and what is stored
    into them goes to memory of this process that nobody else sees. The addresses stay
    reserved until [t] and all of those arrays are collected; a region of the same address
    and maximum can be attached or made there at any time, and then the old arrays see
    that one. Without [detach] a region is let go of when [t] and its arrays are
    collected.

    Unlike the original, whose stale pointers kill the process or hit what is mapped there
    next.

    @raise Unix.Unix_error with [EIO], … if writing fails; [t] is detached all the same.
*)

val update : t -> bool
(** [update t] maps what other processes added; [true] if there was something. Costs a
    system call if there was not.

    @raise Unix.Unix_error
      with {!enodata} if the file was cut or its length makes no sense; [EBADF] if [t] is
      detached; [ENOMEM], … if mapping fails. *)

val grow : t -> bool
(** [grow t] doubles the region, or takes it to its maximum if that is less. If others
    grew it since the last {!update}, it only maps what they added. [true] if this call
    extended the file, [false] if others had: in both cases {!capacity} is larger than
    before.

    Any number of processes and domains that call this at the same time because the region
    was too small for them extend it once.

    @raise Unix.Unix_error
      with [ENOMEM] if the region is at its maximum; [ENOSPC] or [EFBIG] if there is no
      room for it, and then the region is as before; and as {!update}. *)

val unlink : t -> unit
(** [unlink t] removes the file's name. Who has the region keeps it, and it can still
    grow.

    @raise Unix.Unix_error as [Unix.unlink]: [ENOENT], …. *)

val rmdir : t -> unit
(** [rmdir t] removes the directory that the file was in.

    @raise Unix.Unix_error
      with [ENOTDIR] if {!path} names no directory, else as [Unix.rmdir]: [ENOTEMPTY], ….
*)

val remove : t -> unit
(** [remove t] is {!unlink} and then {!rmdir}: for regions whose directory was made by
    {!make}.

    @raise Unix.Unix_error as those two. *)

val enodata : Unix.error
(** [enodata] is the original's [ENODATA], which {!Unix} has no name for:
    [EUNKNOWNERR 61]. The file is not, or no longer, a valid region. *)

(** {1:bytes Data} *)

val data : t -> (char, Bigarray.int8_unsigned_elt, Bigarray.c_layout) Bigarray.Array1.t
(** [data t] is the region's data as far as they are mapped in this process now, not
    copied: {!capacity} bytes. After {!update} or {!grow} ask again; arrays from before
    stay good, because nothing moves. For what happens to them after {!detach} see there.
    Keep the array rather than asking for each byte: a call allocates.

    @raise Unix.Unix_error with [EBADF] if [t] is detached. *)

val address : t -> nativeint
(** [address t] is the address of the first byte of {!data}, the same in every process.
    The mapping begins 64 bytes before. *)

val capacity : t -> int
(** [capacity t] is how many bytes of data are mapped in this process; [0] once detached.
*)

val max_capacity : t -> int
(** [max_capacity t] is how many bytes of data the region can grow to. *)

val path : t -> string
(** [path t] is the file's path: as given, or with the template's directory as made. *)

(** {1:words Words}

    Atomic operations on words of {!data}, for processes that cooperate. An offset is in
    bytes from the beginning of {!data}. The operations are sequentially consistent among
    themselves; an access to [data] as bytes that comes before a store or an exchange here
    is seen by whoever has seen its result. They take a few nanoseconds and allocate
    nothing.

    All raise [Invalid_argument] if the offset is not a multiple of the word's size, or
    the word is not within {!capacity} (which is [0] once [t] is detached). *)

val load : t -> int -> int
(** [load t offset] is the 64-bit word at [offset], without its uppermost bit: what
    {!store} or an [int64_t] of C between [min_int] and [max_int] put there comes back as
    it was. *)

val store : t -> int -> int -> unit
(** [store t offset n] makes [n] the 64-bit word at [offset], with its sign. *)

val fetch_add : t -> int -> int -> int
(** [fetch_add t offset n] adds [n] to the 64-bit word at [offset]; the word from before.
*)

val compare_exchange : t -> int -> int -> int -> bool
(** [compare_exchange t offset expected desired] makes [desired] the 64-bit word at
    [offset] if it is [expected]; whether it was. *)

val load32 : t -> int -> int
(** [load32 t offset] is the 32-bit word at [offset], with its sign: an [int] of C. *)

val store32 : t -> int -> int -> unit
(** [store32 t offset n] makes the lower 32 bits of [n] the 32-bit word at [offset]. *)

val fetch_add32 : t -> int -> int -> int
(** [fetch_add32 t offset n] adds [n] to the 32-bit word at [offset], modulo 2{^ 32}; the
    word from before, with its sign. *)

val compare_exchange32 : t -> int -> int -> int -> bool
(** [compare_exchange32 t offset expected desired] makes [desired] the 32-bit word at
    [offset] if it is [expected]; whether it was. Of both, the lower 32 bits count. *)
