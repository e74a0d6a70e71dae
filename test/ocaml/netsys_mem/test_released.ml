(* While a call waits, other threads run and other domains collect; and a signal ends it. Each call
   that can wait is here. *)

open Test_support

let page = Netsys_mem.pagesize
let memory () = Netsys_mem.alloc_memory_pages page

(* Calls that wait for bytes of the socket [a]. *)
let receivers =
  [
    ("mem_read", fun a -> ignore (Netsys_mem.mem_read a (memory ()) 0 page));
    ("mem_recv", fun a -> ignore (Netsys_mem.mem_recv a (memory ()) 0 page []));
    ("mem_recvfrom", fun a -> ignore (Netsys_mem.mem_recvfrom a (memory ()) 0 page []));
    ("mem_readv", fun a -> ignore (Netsys_mem.mem_readv a [| (memory (), 0, page) |]));
    ("mem_recv_fd", fun a -> ignore (Netsys_mem.mem_recv_fd a));
  ]

(* Calls that wait for room in the socket [a], which is full. *)
let senders =
  [
    ("mem_write", fun a -> ignore (Netsys_mem.mem_write a (memory ()) 0 page));
    ("mem_send", fun a -> ignore (Netsys_mem.mem_send a (memory ()) 0 page []));
    ("mem_writev", fun a -> ignore (Netsys_mem.mem_writev a [| (memory (), 0, page) |]));
    ( "mem_send_fd",
      let shared = lazy (Netsys_mem.alloc_shared_memory page) in
      fun a -> Netsys_mem.mem_send_fd a (Lazy.force shared) );
  ]

(* One that wants a message's address, which a stream has not. *)
let send_to b =
  let name = Unix.ADDR_UNIX (Printf.sprintf "\000hh-netsys-%d" (Unix.getpid ())) in
  Unix.bind b name;
  fun a -> ignore (Netsys_mem.mem_sendto a (memory ()) 0 page [] name)

let fill a =
  Unix.set_nonblock a;
  let rec fill () =
    match Unix.single_write_substring a (String.make page 'f') 0 page with
    | _ -> fill ()
    | exception Unix.Unix_error ((EAGAIN | EWOULDBLOCK), _, _) -> ()
  in
  fill ();
  Unix.clear_nonblock a

(* Lets go of all that the socket [b] has. *)
let drain b =
  Unix.set_nonblock b;
  let buffer = Bytes.create 65536 in
  let rec drain () =
    match Unix.read b buffer 0 65536 with
    | 0 -> ()
    | _ -> drain ()
    | exception Unix.Unix_error ((EAGAIN | EWOULDBLOCK), _, _) -> ()
  in
  drain ()

let with_sockets kind = Test_io.with_pair (Test_io.sockets kind)

(* What lets a call of either kind go on. *)
let each f =
  let shared = Netsys_mem.alloc_shared_memory page in
  List.iter
    (fun (name, call) ->
      with_sockets SOCK_STREAM (fun a b ->
          f name (fun () -> call a) (fun () -> Netsys_mem.mem_send_fd b shared)))
    receivers;
  let send name call a b =
    fill a;
    f name (fun () -> call a) (fun () -> drain b)
  in
  List.iter (fun (name, call) -> with_sockets SOCK_STREAM (send name call)) senders;
  with_sockets SOCK_DGRAM (fun a b -> send "mem_sendto" (send_to b) a b)

(* The call waits in a thread, or a domain, of its own, for what only this one does: after it
   collected, which needs every domain that is not released. *)
let others_run start join () =
  each (fun _name call go_on ->
      let waiting = Atomic.make false in
      let other =
        start (fun () ->
            Atomic.set waiting true;
            call ())
      in
      while not (Atomic.get waiting) do
        Thread.yield ()
      done;
      Unix.sleepf 0.02;
      Gc.full_major ();
      go_on ();
      join other)

let threads () = others_run (fun f -> Thread.create f ()) Thread.join ()

(* In a process of its own: one that ever had a second domain can't fork. *)
let () =
  role "released" (fun _ ->
      others_run Domain.spawn Domain.join ();
      (* Calls that never wait, on much memory: another domain collects many times in one of them,
         some time. Not released, it collects at most when a call begins and ends. *)
      let collections = Atomic.make 0 and stop = Atomic.make false in
      let collector =
        Domain.spawn (fun () ->
            while not (Atomic.get stop) do
              Gc.minor ();
              Atomic.incr collections
            done)
      in
      let size = 64 lsl 20 in
      let m = Netsys_mem.alloc_memory_pages size in
      let zero = Unix.openfile "/dev/zero" [ O_RDONLY ] 0 in
      let file = Netsys_mem.mem_share_fd (Netsys_mem.alloc_shared_memory size) in
      let rec try_ call =
        let before = Atomic.get collections in
        call ();
        if Atomic.get collections - before < 10 then try_ call
      in
      try_ (fun () -> ignore (Netsys_mem.mem_pread zero m 0 size 0L));
      try_ (fun () -> ignore (Netsys_mem.mem_pwrite file m 0 size 0L));
      try_ (fun () ->
          let m = Netsys_mem.alloc_memory_pages ~prefault:true size in
          Netsys_mem.memory_unmap_file m);
      try_ (fun () -> Netsys_mem.memory_unmap_file (Netsys_mem.alloc_shared_memory size));
      Atomic.set stop true;
      Domain.join collector)

let domains () = wait_ok (spawn "released" [])

exception Alarm

(* Signals that come until the call is over: the first may come before it waits. *)
let interrupted handler call =
  let before = Sys.signal Sys.sigalrm (Signal_handle handler) in
  let timer value = { Unix.it_interval = value; it_value = value } in
  let stop () =
    ignore (Unix.setitimer ITIMER_REAL (timer 0.));
    Sys.set_signal Sys.sigalrm before
  in
  Fun.protect ~finally:stop (fun () ->
      ignore (Unix.setitimer ITIMER_REAL (timer 0.01));
      call ())

let signals () =
  (* The watchdog's alarm. *)
  let left = Unix.alarm 0 in
  Fun.protect
    ~finally:(fun () -> ignore (Unix.alarm left))
    (fun () ->
      each (fun name call go_on ->
          (match interrupted ignore call with
          | () -> Alcotest.failf "%s: not interrupted" name
          | exception Unix.Unix_error (EINTR, function_, _) ->
              check_string "function" name function_);
          (match interrupted (fun _ -> raise Alarm) call with
          | () -> Alcotest.failf "%s: not interrupted" name
          | exception Alarm -> ()
          | exception Fun.Finally_raised Alarm -> ());
          (* And nothing is lost by that. *)
          go_on ();
          call ()))

let suites =
  ( "released",
    [
      test "other threads run" threads;
      test "other domains run" domains;
      test "signals" signals;
    ] )
