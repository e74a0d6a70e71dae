(* Input and output: what is moved, what is refused, and that the runtime is released. *)

open Test_support
module A = Bigarray.Array1

let with_pair make f =
  let a, b = make () in
  Fun.protect
    ~finally:(fun () ->
      List.iter (fun fd -> try Unix.close fd with Unix.Unix_error _ -> ()) [ a; b ])
    (fun () -> f a b)

let pipe () = Unix.pipe ()
let sockets kind () = Unix.socketpair PF_UNIX kind 0

let fails_as name errno f =
  match f () with
  | (_ : int) -> Alcotest.failf "%s: no exception" name
  | exception Unix.Unix_error (e, function_, _) ->
      check_bool name true (e = errno);
      check_string "function" name function_

let pipes () =
  with_pair pipe (fun r w ->
      let out = Netsys_mem.memory_of_string "..hello.." in
      check_int "written" 5 (Netsys_mem.mem_write w out 2 5);
      let m = Netsys_mem.memory_of_string "----------" in
      check_int "read" 5 (Netsys_mem.mem_read r m 1 8);
      check_string "there" "-hello----" (Netsys_mem.string_of_memory m);
      check_int "nothing" 0 (Netsys_mem.mem_write w out 9 0);
      Unix.close w;
      check_int "end" 0 (Netsys_mem.mem_read r m 0 10))

let files () =
  with_temp_dir (fun dir ->
      let path = Filename.concat dir "f" in
      let fd = Unix.openfile path [ O_RDWR; O_CREAT ] 0o600 in
      let n = 1 lsl 20 in
      let m = Netsys_mem.alloc_memory_pages n in
      A.fill m 'f';
      check_int "in one call" n (Netsys_mem.mem_write fd m 0 n);
      ignore (Unix.lseek fd 0 SEEK_SET);
      let back = Netsys_mem.alloc_memory_pages n in
      check_int "read in one call" n (Netsys_mem.mem_read fd back 0 n);
      check_bool "same" true (compare m back = 0);
      Unix.close fd)

let messages () =
  with_pair (sockets SOCK_DGRAM) (fun a b ->
      let m = Netsys_mem.memory_of_string "datagram" in
      check_int "sent" 8 (Netsys_mem.mem_send a m 0 8 []);
      let into = Netsys_mem.memory_of_string "________________" in
      check_int "peeked" 4 (Netsys_mem.mem_recv b into 0 4 [ MSG_PEEK ]);
      check_int "received" 8 (Netsys_mem.mem_recv b into 4 12 []);
      check_string "both" "datadatagram____" (Netsys_mem.string_of_memory into))

let refused () =
  let m = Netsys_mem.memory_of_string "abcd" in
  with_pair (sockets SOCK_STREAM) (fun a b ->
      let each what f =
        raises_invalid (what ^ " read") (fun () -> f (Netsys_mem.mem_read a m));
        raises_invalid (what ^ " write") (fun () -> f (Netsys_mem.mem_write a m));
        raises_invalid (what ^ " recv") (fun () ->
            f (fun o l -> Netsys_mem.mem_recv a m o l []));
        raises_invalid (what ^ " send") (fun () ->
            f (fun o l -> Netsys_mem.mem_send a m o l []))
      in
      each "offset" (fun f -> f (-1) 1);
      each "length" (fun f -> f 0 (-1));
      each "sum" (fun f -> f 2 3);
      each "overflow" (fun f -> f 1 max_int);
      each "beyond" (fun f -> f 5 0);
      Unix.set_nonblock a;
      fails_as "mem_read" EAGAIN (fun () -> Netsys_mem.mem_read a m 0 4);
      fails_as "mem_recv" EAGAIN (fun () -> Netsys_mem.mem_recv a m 0 4 []);
      Unix.close b;
      Sys.set_signal Sys.sigpipe Signal_ignore;
      fails_as "mem_write" EPIPE (fun () -> Netsys_mem.mem_write a m 0 4);
      fails_as "mem_send" EPIPE (fun () -> Netsys_mem.mem_send a m 0 4 []);
      Sys.set_signal Sys.sigpipe Signal_default;
      Unix.close a;
      fails_as "mem_read" EBADF (fun () -> Netsys_mem.mem_read a m 0 4));
  with_pair pipe (fun r _ ->
      fails_as "mem_recv" ENOTSOCK (fun () -> Netsys_mem.mem_recv r m 0 4 []))

(* Memory that is not there any more is the system's error, not a crash. *)
let shrunk_file () =
  with_temp_dir (fun dir ->
      let path = Filename.concat dir "f" in
      let fd = Unix.openfile path [ O_RDWR; O_CREAT ] 0o600 in
      let m = Netsys_mem.memory_map_file fd true (4 * Netsys_mem.pagesize) in
      Unix.ftruncate fd 0;
      with_pair pipe (fun r w ->
          fails_as "mem_write" EFAULT (fun () -> Netsys_mem.mem_write w m 0 10);
          check_int "other" 1 (Unix.write_substring w "x" 0 1);
          fails_as "mem_read" EFAULT (fun () -> Netsys_mem.mem_read r m 0 10));
      Unix.close fd)

exception Alarm

let signals () =
  with_pair pipe (fun r _ ->
      let m = Netsys_mem.memory_of_string "abcd" in
      let interrupted () =
        let handler = Sys.signal Sys.sigusr1 (Signal_handle ignore) in
        let child =
          fork (fun () ->
              Unix.sleepf 0.2;
              Unix.kill (Unix.getppid ()) Sys.sigusr1)
        in
        fails_as "mem_read" EINTR (fun () -> Netsys_mem.mem_read r m 0 4);
        wait_ok child;
        Sys.set_signal Sys.sigusr1 (Signal_handle (fun _ -> raise Alarm));
        let child =
          fork (fun () ->
              Unix.sleepf 0.2;
              Unix.kill (Unix.getppid ()) Sys.sigusr1)
        in
        (match Netsys_mem.mem_read r m 0 4 with
        | _ -> Alcotest.fail "no exception"
        | exception Alarm -> ()
        | exception Unix.Unix_error (EINTR, _, _) -> ());
        wait_ok child;
        Sys.set_signal Sys.sigusr1 handler
      in
      interrupted ())

(* A thread that waits in each call lets this one write what it waits for, and collect. *)
let other_threads_run () =
  with_pair (sockets SOCK_STREAM) (fun a b ->
      let waiting = Atomic.make 0 in
      let receive call =
        Thread.create
          (fun () ->
            Atomic.incr waiting;
            call (Netsys_mem.alloc_memory_pages 4096))
          ()
      in
      let one call =
        let before = Atomic.get waiting in
        let thread = receive call in
        while Atomic.get waiting = before do
          Thread.yield ()
        done;
        Unix.sleepf 0.05;
        Gc.full_major ();
        check_int "sent" 3 (Unix.write_substring b "abc" 0 3);
        Thread.join thread
      in
      let got = ref [] in
      let note m n = got := String.sub (Netsys_mem.string_of_memory m) 0 n :: !got in
      one (fun m ->
          let n = Netsys_mem.mem_read a m 0 100 in
          note m n);
      one (fun m ->
          let n = Netsys_mem.mem_recv a m 0 100 [] in
          note m n);
      one (fun m -> ignore (Netsys_mem.mem_read a m 0 100));
      Alcotest.(check (list string)) "received" [ "abc"; "abc" ] !got)

let suites =
  ( "io",
    [
      test "pipes" pipes;
      test "files" files;
      test "messages" messages;
      test "refused" refused;
      test "a file that shrank" shrunk_file;
      test "signals" signals;
      test "other threads run" other_threads_run;
    ] )
