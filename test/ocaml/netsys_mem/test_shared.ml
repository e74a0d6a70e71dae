(* Memory shared by descriptor: with a child, with another program, with a hostile one. *)

open Test_support
module A = Bigarray.Array1

let page = Netsys_mem.pagesize
let address = Netsys_mem.memory_address
let with_pair = Test_io.with_pair
let sockets = Test_io.sockets

let raises_as name code f =
  match f () with
  | _ -> Alcotest.failf "%s: no exception" name
  | exception Unix.Unix_error (found, function_, _) ->
      check_string "function" name function_;
      check_string "code" (Unix.error_message code) (Unix.error_message found)

(* How many descriptors are open. *)
let open_fds () = Array.length (Sys.readdir "/proc/self/fd")

let allocating () =
  let m = Netsys_mem.alloc_shared_memory 1 in
  check_int "rounded up" page (A.dim m);
  check_string "zero" (String.make page '\000') (Netsys_mem.string_of_memory m);
  let at = 0x0a80_0000_0000n in
  let there =
    Netsys_mem.alloc_shared_memory ~at ~huge:true ~prefault:true ((2 lsl 20) + 1)
  in
  check_bool "there" true (address there = at);
  check_int "whole pages" ((2 lsl 20) + page) (A.dim there);
  check_bool "in memory" true (fst (Test_eager.smaps there) >= A.dim there);
  A.fill there 'x';
  let alloc ?at size () = Netsys_mem.alloc_shared_memory ?at size in
  raises_as "alloc_shared_memory" EEXIST (alloc ~at page);
  raises_as "alloc_shared_memory" EINVAL (alloc 0);
  raises_as "alloc_shared_memory" ENOMEM (alloc max_int);
  raises_invalid "negative" (alloc (-1));
  List.iter
    (fun at -> raises_invalid "address" (alloc ~at page))
    [ 0n; 1n; Nativeint.add at 8n ];
  raises_as "alloc_shared_memory" EINVAL (alloc ~at:(-4096n) page);
  (* More than this machine has: refused, and not half taken. *)
  let fds = open_fds () in
  (match Netsys_mem.alloc_shared_memory (1 lsl 45) with
  | _ -> Alcotest.fail "32 TB"
  | exception Unix.Unix_error (ENOMEM, "alloc_shared_memory", _) -> ());
  check_int "nothing stays open" fds (open_fds ());
  Netsys_mem.memory_unmap_file there;
  check_int "unmapped" 0 (A.dim there);
  check_int "closed" (fds - 1) (open_fds ());
  check_bool "free again" true (address (alloc ~at page ()) = at)

let finalised () =
  Gc.full_major ();
  Gc.full_major ();
  let fds = open_fds () in
  let at = 0x0a90_0000_0000n in
  let part () =
    let m = Netsys_mem.alloc_shared_memory ~at (4 * page) in
    A.set m (page + 1) 'q';
    Sys.opaque_identity (A.sub m page 10)
  in
  let use () =
    let part = part () in
    Gc.full_major ();
    check_bool "kept by a part" true (A.get part 1 = 'q');
    let fd = Netsys_mem.mem_share_fd part in
    let whole = Netsys_mem.mem_attach_fd fd in
    check_bool "all of it" true (A.dim whole = 4 * page && A.get whole (page + 1) = 'q');
    Unix.close fd
  in
  use ();
  Gc.full_major ();
  Gc.full_major ();
  check_int "closed" fds (open_fds ());
  check_bool "unmapped" true (Test_memory.map_line at = None)

(* The descriptors of unreachable memory don't pile up: a process may have a thousand. In a process of
   its own, as the collector counts what other tests forced. *)
let () =
  role "unreachable" (fun _ ->
      let pile_up get =
        let most = ref 0 in
        for i = 1 to 3000 do
          ignore (Sys.opaque_identity (get () : Netsys_mem.memory));
          if i mod 250 = 0 then most := max !most (open_fds ())
        done;
        check_bool (Printf.sprintf "few are open (%d)" !most) true (!most < 400)
      in
      pile_up (fun () -> Netsys_mem.alloc_shared_memory page);
      let fd = Netsys_mem.mem_share_fd (Netsys_mem.alloc_shared_memory page) in
      pile_up (fun () -> Netsys_mem.mem_attach_fd fd))

let unreachable () = wait_ok (spawn "unreachable" [])

let descriptors () =
  let m = Netsys_mem.alloc_shared_memory (2 * page) in
  let fd = Netsys_mem.mem_share_fd m in
  let again = Netsys_mem.mem_attach_fd fd in
  A.set m 5 'a';
  A.set again (page + 5) 'b';
  check_bool "one memory" true (A.get again 5 = 'a' && A.get m (page + 5) = 'b');
  check_bool "two addresses" true (address again <> address m);
  raises_as "mem_attach_fd" EEXIST (fun () -> Netsys_mem.mem_attach_fd ~at:(address m) fd);
  raises_invalid "address" (fun () -> Netsys_mem.mem_attach_fd ~at:3n fd);
  raises_unix "nobody shortens it" EPERM (fun () -> Unix.ftruncate fd page);
  raises_unix "nor makes it longer" EPERM (fun () -> Unix.ftruncate fd (3 * page));
  let at = address m in
  Netsys_mem.memory_unmap_file m;
  let moved = Netsys_mem.mem_attach_fd ~at ~huge:true ~prefault:true fd in
  check_bool "at that address" true (address moved = at && A.get moved 5 = 'a');
  Unix.close fd;
  raises_as "mem_attach_fd" EBADF (fun () -> Netsys_mem.mem_attach_fd fd);
  raises_invalid "unmapped" (fun () -> Netsys_mem.mem_share_fd m);
  List.iter
    (fun other -> raises_invalid "not shared" (fun () -> Netsys_mem.mem_share_fd other))
    [
      Netsys_mem.alloc_memory_pages page;
      Netsys_mem.memory_of_string "abc";
      Netsys_mem.memory_of_string "";
    ];
  with_pair Test_io.pipe (fun r _ ->
      raises_as "mem_attach_fd" EINVAL (fun () -> Netsys_mem.mem_attach_fd r));
  with_temp_dir (fun dir ->
      let path = Filename.concat dir "f" in
      let fd = Unix.openfile path [ O_RDWR; O_CREAT ] 0o600 in
      Unix.ftruncate fd page;
      raises_as "mem_attach_fd" EINVAL (fun () -> Netsys_mem.mem_attach_fd fd);
      Unix.close fd)

let words = [ "alpha"; "beta"; "gamma" ]

(* The example of the interface. *)
let sent kind () =
  with_pair (sockets kind) (fun ours theirs ->
      let mem = Netsys_mem.alloc_shared_memory 65536 in
      let voffset, _ = Netsys_mem.init_value mem 0 words [] in
      let fds = open_fds () in
      Netsys_mem.mem_send_fd ours mem;
      check_int "nothing stays open" fds (open_fds ());
      let elsewhere = Netsys_mem.mem_recv_fd theirs in
      check_int "its own" (fds + 1) (open_fds ());
      check_bool "elsewhere" true (address elsewhere <> address mem);
      check_int "as long" 65536 (A.dim elsewhere);
      check_bool "same memory" true (compare elsewhere mem = 0);
      Netsys_mem.mem_send_fd ours mem;
      raises_as "mem_recv_fd" EEXIST (fun () ->
          Netsys_mem.mem_recv_fd ~same_address:true theirs);
      check_int "closed" (fds + 1) (open_fds ());
      let at = address mem in
      (* In a function of its own: bytecode keeps what is on the stack, and parts keep the memory. *)
      let send_part () = Netsys_mem.mem_send_fd ours (A.sub mem 8192 100) in
      send_part ();
      Netsys_mem.mem_send_fd ours mem;
      Gc.full_major ();
      Netsys_mem.memory_unmap_file mem;
      let part = Netsys_mem.mem_recv_fd theirs in
      check_int "a part" 100 (A.dim part);
      A.set part 99 'p';
      check_bool "the right one" true (A.get elsewhere 8291 = 'p');
      let mem = Netsys_mem.mem_recv_fd ~same_address:true theirs in
      check_bool "there" true (address mem = at);
      check_bool "values" true (Netsys_mem.as_value mem voffset = words);
      Unix.close ours;
      if kind = Unix.SOCK_STREAM then
        match Netsys_mem.mem_recv_fd theirs with
        | _ -> Alcotest.fail "after the end"
        | exception End_of_file -> ())

(* Any message with any descriptor, as a sender of another make can send it. *)
external send_fd : Unix.file_descr -> string -> Unix.file_descr -> int
  = "hh_netsys_send_fd"

let message ?(mark = 0x6868_6e65_7473_7973L) base offset len =
  let words = [ mark; Int64.of_nativeint base; offset; len ] in
  let b = Bytes.create 32 in
  List.iteri (fun i word -> Bytes.set_int64_ne b (8 * i) word) words;
  Bytes.to_string b

let hostile () =
  with_pair (sockets SOCK_STREAM) (fun ours theirs ->
      let mem = Netsys_mem.alloc_shared_memory (4 * page) in
      let base = address mem and size = Int64.of_int (4 * page) in
      let good = Netsys_mem.mem_share_fd mem in
      let send message fd =
        check_int "sent" (String.length message) (send_fd ours message fd)
      in
      let mapped = mappings () in
      let refused ?(same_address = false) what message fd =
        let fds = open_fds () in
        send message fd;
        (match Netsys_mem.mem_recv_fd ~same_address theirs with
        | _ -> Alcotest.failf "%s: accepted" what
        | exception Unix.Unix_error (EINVAL, "mem_recv_fd", _) -> ());
        check_int "nothing stays open" fds (open_fds ());
        check_bool "nor mapped" true (mappings () <= mapped)
      in
      List.iter
        (fun (offset, len) ->
          refused (Printf.sprintf "%Ld %Ld" offset len) (message base offset len) good)
        [
          (-1L, 1L);
          (0L, -1L);
          (0L, Int64.succ size);
          (1L, size);
          (Int64.succ size, 0L);
          (1L, Int64.of_int max_int);
          (Int64.of_int max_int, 1L);
          (Int64.of_int min_int, 1L);
        ];
      List.iter
        (fun base ->
          refused ~same_address:true
            (Printf.sprintf "base %nx" base)
            (message base 0L size) good)
        [ 0n; 1n; Nativeint.add base 8n; -4096n; 4096n; Nativeint.shift_left 1n 47 ];
      refused "mark" (message ~mark:7L base 0L size) good;
      refused "short" (String.sub (message base 0L size) 0 24) good;
      refused "no memory file" (message base 0L size) Unix.stdin;
      with_temp_dir (fun dir ->
          let fd = Unix.openfile (Filename.concat dir "f") [ O_RDWR; O_CREAT ] 0o600 in
          Unix.ftruncate fd (4 * page);
          refused "a file that can be cut" (message base 0L size) fd;
          Unix.close fd);
      send (message base 8L 8L) good;
      check_int "and a good one" 8 (A.dim (Netsys_mem.mem_recv_fd theirs));
      Unix.close good)

let refused () =
  with_pair (sockets SOCK_STREAM) (fun ours theirs ->
      let refused what =
        let fds = open_fds () in
        (match Netsys_mem.mem_recv_fd theirs with
        | _ -> Alcotest.failf "%s: accepted" what
        | exception Unix.Unix_error (EINVAL, "mem_recv_fd", _) -> ());
        check_int "nothing stays open" fds (open_fds ())
      in
      ignore (Unix.write_substring ours "short" 0 5);
      refused "short";
      ignore (Unix.write_substring ours (String.make 32 'x') 0 32);
      refused "without a descriptor";
      let mem = Netsys_mem.alloc_shared_memory page in
      Netsys_mem.mem_send_fd ours mem;
      ignore (Unix.write_substring ours "after" 0 5);
      check_int "the memory" page (A.dim (Netsys_mem.mem_recv_fd theirs));
      let b = Bytes.create 10 in
      check_int "what was sent after it stays" 5 (Unix.read theirs b 0 10);
      raises_invalid "not shared" (fun () ->
          Netsys_mem.mem_send_fd ours (Netsys_mem.memory_of_string "abc"));
      Unix.set_nonblock theirs;
      raises_as "mem_recv_fd" EAGAIN (fun () -> Netsys_mem.mem_recv_fd theirs);
      Unix.close theirs;
      raises_as "mem_recv_fd" EBADF (fun () -> Netsys_mem.mem_recv_fd theirs);
      let before = Sys.signal Sys.sigpipe Signal_ignore in
      let fds = open_fds () in
      raises_as "mem_send_fd" EPIPE (fun () -> Netsys_mem.mem_send_fd ours mem);
      check_int "closed" fds (open_fds ());
      Sys.set_signal Sys.sigpipe before);
  with_pair Test_io.pipe (fun r w ->
      let mem = Netsys_mem.alloc_shared_memory page in
      raises_as "mem_recv_fd" ENOTSOCK (fun () -> Netsys_mem.mem_recv_fd r);
      raises_as "mem_send_fd" ENOTSOCK (fun () -> Netsys_mem.mem_send_fd w mem))

(* A program that inherits one memory as its stdin's twin, gets another one through a socket at the
   same address, and answers in both. *)
let () =
  role "attach" (fun args ->
      let socket = Unix.stdin in
      let at = Nativeint.of_string args.(0) and voffset = int_of_string args.(1) in
      let m = Netsys_mem.mem_attach_fd ~at Unix.stdout in
      if (Netsys_mem.as_value m voffset : string list) <> words then
        failwith "another value";
      let other = Netsys_mem.mem_recv_fd ~same_address:true socket in
      let numbers : int array = Netsys_mem.as_value other 8 in
      Array.iteri (fun i n -> numbers.(i) <- n * 2) numbers;
      Gc.compact ();
      Netsys_mem.mem_send_fd socket (A.sub other 0 64))

let other_program () =
  with_pair
    (fun () -> Unix.socketpair ~cloexec:true PF_UNIX SOCK_STREAM 0)
    (fun ours theirs ->
      let mem = Netsys_mem.alloc_shared_memory 65536 in
      let voffset, _ = Netsys_mem.init_value mem 4096 words [] in
      let other = Netsys_mem.alloc_shared_memory 65536 in
      ignore (Netsys_mem.init_value other 0 [| 1; 2; 3 |] []);
      let inherited = Netsys_mem.mem_share_fd mem in
      let pid =
        spawn ~stdin:theirs ~stdout:inherited "attach"
          [ Nativeint.to_string (address mem); string_of_int voffset ]
      in
      Unix.close inherited;
      Netsys_mem.mem_send_fd ours other;
      let part = Netsys_mem.mem_recv_fd ours in
      wait_ok pid;
      check_int "a part of ours" 64 (A.dim part);
      check_bool "the other's work" true (Netsys_mem.as_value other 8 = [| 2; 4; 6 |]))

let suites =
  ( "shared memory",
    [
      test "allocating" allocating;
      test "finalised" finalised;
      test "unreachable memory does not pile up" unreachable;
      test "descriptors" descriptors;
      test "sent by stream" (sent SOCK_STREAM);
      test "sent by datagram" (sent SOCK_DGRAM);
      test "refused" refused;
      test "hostile messages" hostile;
      test "another program" other_program;
    ] )
