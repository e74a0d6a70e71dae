(* Messages that come from an address and go to one. *)

open Test_support

let text = Netsys_mem.memory_of_string
let string = Netsys_mem.string_of_memory
let fails_as = Test_io.fails_as

let with_sockets domain addresses f =
  let bound address =
    let socket = Unix.socket ~cloexec:true domain SOCK_DGRAM 0 in
    Option.iter (Unix.bind socket) address;
    socket
  in
  let sockets = List.map bound addresses in
  Fun.protect
    ~finally:(fun () -> List.iter Unix.close sockets)
    (fun () -> match sockets with [ a; b ] -> f a b | _ -> assert false)

let address =
  Alcotest.testable
    (fun ppf -> function
      | Unix.ADDR_UNIX path -> Format.fprintf ppf "%S" path
      | ADDR_INET (host, port) ->
          Format.fprintf ppf "%s:%d" (Unix.string_of_inet_addr host) port)
    ( = )

let there_and_back domain first second =
  with_sockets domain [ Some first; Some second ] (fun a b ->
      let to_ = Unix.getsockname b and from = Unix.getsockname a in
      let m = text "..datagram.." in
      check_int "sent" 8 (Netsys_mem.mem_sendto a m 2 8 [] to_);
      let into = text "________________" in
      let n, peeked = Netsys_mem.mem_recvfrom b into 0 4 [ MSG_PEEK ] in
      check_int "peeked" 4 n;
      Alcotest.check address "from" from peeked;
      let n, received = Netsys_mem.mem_recvfrom b into 4 12 [] in
      check_int "received" 8 n;
      Alcotest.check address "from" from received;
      check_string "both" "datadatagram____" (string into);
      check_int "back" 2 (Netsys_mem.mem_sendto b into 0 2 [] received);
      let n, from_b = Netsys_mem.mem_recvfrom a into 0 16 [] in
      check_int "answered" 2 n;
      Alcotest.check address "from the other" to_ from_b;
      check_int "no bytes" 0 (Netsys_mem.mem_sendto a m 12 0 [] to_);
      check_int "none received" 0 (fst (Netsys_mem.mem_recvfrom b into 16 0 [])))

let paths () =
  with_temp_dir (fun dir ->
      let at name = Unix.ADDR_UNIX (Filename.concat dir name) in
      there_and_back PF_UNIX (at "a") (at "b"))

(* Linux's names that are no paths. *)
let abstract () =
  let at name = Unix.ADDR_UNIX (Printf.sprintf "\000hh-%d-%s" (Unix.getpid ()) name) in
  there_and_back PF_UNIX (at "a") (at "b")

let internet host () =
  let any = Unix.ADDR_INET (Unix.inet_addr_of_string host, 0) in
  let domain = Unix.domain_of_sockaddr any in
  (* Not every machine has IPv6. *)
  let probe () = with_sockets domain [ Some any; None ] (fun _ _ -> ()) in
  match probe () with
  | () -> there_and_back domain any any
  | exception Unix.Unix_error ((EAFNOSUPPORT | EADDRNOTAVAIL), _, _) -> ()

(* A peer without an address, by message and by stream. *)
let unnamed () =
  let m = text "hello" in
  let nobody what socket =
    let n, from = Netsys_mem.mem_recvfrom socket m 0 5 [] in
    check_int what 5 n;
    Alcotest.check address what (ADDR_UNIX "") from
  in
  with_temp_dir (fun dir ->
      let at = Unix.ADDR_UNIX (Filename.concat dir "b") in
      with_sockets PF_UNIX [ None; Some at ] (fun a b ->
          ignore (Netsys_mem.mem_sendto a m 0 5 [] at);
          nobody "message" b));
  Test_io.with_pair (Test_io.sockets SOCK_STREAM) (fun a b ->
      ignore (Netsys_mem.mem_send a m 0 5 []);
      nobody "stream" b;
      Unix.close a;
      check_int "end" 0 (fst (Netsys_mem.mem_recvfrom b m 0 5 [])))

let refused () =
  let m = text "abcd" in
  with_temp_dir (fun dir ->
      let at name = Unix.ADDR_UNIX (Filename.concat dir name) in
      with_sockets PF_UNIX
        [ Some (at "a"); Some (at "b") ]
        (fun a b ->
          List.iter
            (fun (off, len) ->
              let what = Printf.sprintf "%d %d" off len in
              raises_invalid what (fun () ->
                  Netsys_mem.mem_sendto a m off len [] (at "b"));
              raises_invalid what (fun () -> Netsys_mem.mem_recvfrom b m off len []))
            [ (-1, 1); (0, -1); (2, 3); (1, max_int); (5, 0) ];
          let send address () = Netsys_mem.mem_sendto a m 0 4 [] address in
          let receive fd () = fst (Netsys_mem.mem_recvfrom fd m 0 4 []) in
          fails_as "mem_sendto" ENOENT (send (at "nobody"));
          fails_as "mem_sendto" ENOENT (send (at "a\000b"));
          fails_as "mem_sendto" ENAMETOOLONG (send (at (String.make 200 'x')));
          fails_as "mem_sendto" EINVAL (send (ADDR_INET (Unix.inet_addr_loopback, 1)));
          Unix.set_nonblock b;
          fails_as "mem_recvfrom" EAGAIN (receive b);
          let closed = Unix.dup b in
          Unix.close closed;
          fails_as "mem_recvfrom" EBADF (receive closed);
          check_string "as before" "abcd" (string m)));
  Test_io.with_pair Test_io.pipe (fun r w ->
      fails_as "mem_recvfrom" ENOTSOCK (fun () ->
          fst (Netsys_mem.mem_recvfrom r m 0 4 []));
      fails_as "mem_sendto" ENOTSOCK (fun () ->
          Netsys_mem.mem_sendto w m 0 4 [] (ADDR_UNIX "x")))

let suites =
  ( "addresses",
    [
      test "paths" paths;
      test "abstract names" abstract;
      test "internet" (internet "127.0.0.1");
      test "internet, version 6" (internet "::1");
      test "peers without an address" unnamed;
      test "refused" refused;
    ] )
