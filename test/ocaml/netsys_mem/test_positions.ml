(* Input and output at positions of a file, and of several pieces of memory at once. *)

open Test_support
module A = Bigarray.Array1

let text = Netsys_mem.memory_of_string
let string = Netsys_mem.string_of_memory
let fails_as = Test_io.fails_as

let with_file contents f =
  with_temp_dir (fun dir ->
      let path = Filename.concat dir "f" in
      Out_channel.with_open_bin path (fun oc -> output_string oc contents);
      let fd = Unix.openfile path [ O_RDWR ] 0 in
      Fun.protect ~finally:(fun () -> Unix.close fd) (fun () -> f path fd))

let contents path = In_channel.with_open_bin path In_channel.input_all
let here fd = Unix.lseek fd 0 SEEK_CUR

let positions () =
  with_file "0123456789" (fun path fd ->
      let m = text "----------" in
      check_int "read" 4 (Netsys_mem.mem_pread fd m 1 4 3L);
      check_string "from there" "-3456-----" (string m);
      check_int "short" 2 (Netsys_mem.mem_pread fd m 0 10 8L);
      check_int "at the end" 0 (Netsys_mem.mem_pread fd m 0 10 10L);
      check_int "beyond" 0 (Netsys_mem.mem_pread fd m 0 10 1_000_000L);
      check_int "nothing" 0 (Netsys_mem.mem_pread fd m 10 0 0L);
      check_int "written" 3 (Netsys_mem.mem_pwrite fd (text "xABCx") 1 3 5L);
      check_string "there" "01234ABC89" (contents path);
      check_int "past the end" 1 (Netsys_mem.mem_pwrite fd (text "z") 0 1 11L);
      check_string "with a hole" "01234ABC89\000z" (contents path);
      check_int "the descriptor stays" 0 (here fd))

(* More than 4 GB into a file. *)
let far_positions () =
  with_file "" (fun path fd ->
      let pos = 0x1_2345_6789_0L in
      check_int "written" 3 (Netsys_mem.mem_pwrite fd (text "far") 0 3 pos);
      let m = text "..." in
      check_int "read" 2 (Netsys_mem.mem_pread fd m 1 2 (Int64.succ pos));
      check_string "there" ".ar" (string m);
      check_bool "so long" true ((Unix.LargeFile.stat path).st_size = Int64.add pos 3L))

let refused_positions () =
  let m = text "abcd" in
  with_file "0123456789" (fun path fd ->
      List.iter
        (fun (off, len, pos) ->
          let what = Printf.sprintf "%d %d %Ld" off len pos in
          raises_invalid what (fun () -> Netsys_mem.mem_pread fd m off len pos);
          raises_invalid what (fun () -> Netsys_mem.mem_pwrite fd m off len pos))
        [
          (-1, 1, 0L);
          (0, -1, 0L);
          (2, 3, 0L);
          (1, max_int, 0L);
          (5, 0, 0L);
          (0, 1, -1L);
          (0, 0, Int64.min_int);
          (0, 1, Int64.max_int);
          (0, 4, Int64.sub Int64.max_int 3L);
        ];
      check_string "m as before" "abcd" (string m);
      check_string "file as before" "0123456789" (contents path);
      (* Allowed here, and too long for any file system of today. *)
      let last = Int64.sub Int64.max_int 4L in
      check_int "nothing there" 0 (Netsys_mem.mem_pread fd m 0 4 last);
      let before = Sys.signal Sys.sigxfsz Signal_ignore in
      fails_as "mem_pwrite" EFBIG (fun () -> Netsys_mem.mem_pwrite fd m 0 4 last);
      Sys.set_signal Sys.sigxfsz before;
      let read_only = Unix.openfile path [ O_RDONLY ] 0 in
      fails_as "mem_pwrite" EBADF (fun () -> Netsys_mem.mem_pwrite read_only m 0 4 0L);
      Unix.close read_only;
      fails_as "mem_pread" EBADF (fun () -> Netsys_mem.mem_pread read_only m 0 4 0L));
  Test_io.with_pair Test_io.pipe (fun r w ->
      fails_as "mem_pread" ESPIPE (fun () -> Netsys_mem.mem_pread r m 0 4 0L);
      fails_as "mem_pwrite" ESPIPE (fun () -> Netsys_mem.mem_pwrite w m 0 4 0L))

(* Linux interrupts no regular file's call. But its log is read at positions as well, and whoever has
   read all of it waits: then a signal comes, unless a message does before. *)
let interrupted () =
  let m = text (String.make 10_000 '-') in
  let handler = Sys.signal Sys.sigusr1 (Signal_handle ignore) in
  let rec read fd tries =
    let child =
      fork (fun () ->
          Unix.sleepf 0.2;
          Unix.kill (Unix.getppid ()) Sys.sigusr1)
    in
    let answer =
      match Netsys_mem.mem_pread fd m 0 10_000 0L with
      | bytes -> `Message bytes
      (* EPIPE: messages that were gone before they were read. *)
      | exception Unix.Unix_error (EPIPE, _, _) -> `Message 1
      | exception Unix.Unix_error (EINTR, "mem_pread", _) -> `Interrupted
    in
    wait_ok child;
    match answer with
    | `Interrupted -> ()
    | `Message bytes ->
        check_bool "a message" true (bytes > 0 && tries > 0);
        read fd (tries - 1)
  in
  (match Unix.openfile "/dev/kmsg" [ O_RDONLY ] 0 with
  | exception Unix.Unix_error _ ->
      print_endline "not tested: /dev/kmsg is not ours to read"
  | fd ->
      Fun.protect
        ~finally:(fun () -> Unix.close fd)
        (fun () ->
          ignore (Unix.lseek fd 0 SEEK_END);
          read fd 20));
  Sys.set_signal Sys.sigusr1 handler

let pieces () =
  Test_io.with_pair Test_io.pipe (fun r w ->
      let a = text "..hello.." and b = text "world!" in
      check_int "written" 11
        (Netsys_mem.mem_writev w [| (a, 2, 5); (b, 6, 0); (b, 0, 6) |]);
      let c = text "----" and d = text "----------" in
      check_int "read" 11 (Netsys_mem.mem_readv r [| (c, 1, 2); (d, 0, 0); (d, 1, 9) |]);
      check_string "first" "-he-" (string c);
      check_string "then" "-lloworld!" (string d);
      check_int "none" 0 (Netsys_mem.mem_writev w [||]);
      check_int "none" 0 (Netsys_mem.mem_readv r [||]);
      Unix.close w;
      check_int "end" 0 (Netsys_mem.mem_readv r [| (c, 0, 4) |]));
  Test_io.with_pair (Test_io.sockets SOCK_DGRAM) (fun a b ->
      let m = text "onetwo" in
      check_int "one message" 6 (Netsys_mem.mem_writev a [| (m, 3, 3); (m, 0, 3) |]);
      let into = text "______" in
      check_int "received" 4 (Netsys_mem.mem_readv b [| (into, 4, 2); (into, 0, 2) |]);
      check_string "the rest is gone" "oo__tw" (string into))

let refused_pieces () =
  let m = text "abcd" and n = text "xy" in
  Test_io.with_pair (Test_io.sockets SOCK_STREAM) (fun a b ->
      List.iter
        (fun ((_, off, len) as wrong) ->
          let what = Printf.sprintf "%d %d" off len in
          let pieces = [| (m, 0, 4); wrong; (m, 0, 1) |] in
          raises_invalid what (fun () -> Netsys_mem.mem_writev a pieces);
          raises_invalid what (fun () -> Netsys_mem.mem_readv a pieces))
        [ (n, -1, 1); (n, 0, -1); (n, 1, 2); (n, 1, max_int); (n, 3, 0); (m, 0, 5) ];
      let most = Array.make 1024 (m, 1, 1) in
      check_int "as many as may be" 1024 (Netsys_mem.mem_writev a most);
      check_int "received" 1024 (Netsys_mem.mem_readv b most);
      check_string "the last one's" "abcd" (string m);
      let more = Array.make 1025 (m, 1, 1) in
      fails_as "mem_writev" EINVAL (fun () -> Netsys_mem.mem_writev a more);
      fails_as "mem_readv" EINVAL (fun () -> Netsys_mem.mem_readv a more);
      Unix.set_nonblock a;
      fails_as "mem_readv" EAGAIN (fun () -> Netsys_mem.mem_readv a [| (m, 0, 4) |]);
      Unix.close b;
      let before = Sys.signal Sys.sigpipe Signal_ignore in
      fails_as "mem_writev" EPIPE (fun () -> Netsys_mem.mem_writev a [| (m, 0, 4) |]);
      Sys.set_signal Sys.sigpipe before;
      Unix.close a;
      fails_as "mem_readv" EBADF (fun () -> Netsys_mem.mem_readv a [||]);
      fails_as "mem_writev" EBADF (fun () -> Netsys_mem.mem_writev a [||]))

(* Memory that is not there any more is the system's error, not a crash. *)
let shrunk_file () =
  with_file "" (fun _ fd ->
      let m = Netsys_mem.memory_map_file fd true (4 * Netsys_mem.pagesize) in
      Unix.ftruncate fd 0;
      let there = text "ab" in
      Test_io.with_pair Test_io.pipe (fun r w ->
          fails_as "mem_writev" EFAULT (fun () ->
              Netsys_mem.mem_writev w [| (m, 0, 10); (there, 0, 2) |]);
          check_int "other" 2 (Netsys_mem.mem_writev w [| (there, 0, 2) |]);
          fails_as "mem_readv" EFAULT (fun () -> Netsys_mem.mem_readv r [| (m, 0, 10) |]));
      with_file "0123456789" (fun _ other ->
          fails_as "mem_pread" EFAULT (fun () -> Netsys_mem.mem_pread other m 0 10 0L);
          fails_as "mem_pwrite" EFAULT (fun () -> Netsys_mem.mem_pwrite other m 0 10 0L)))

let suites =
  ( "positions and pieces",
    [
      test "at positions" positions;
      test "at far positions" far_positions;
      test "refused positions" refused_positions;
      test "a signal" interrupted;
      test "pieces" pieces;
      test "refused pieces" refused_pieces;
      test "a file that shrank" shrunk_file;
    ] )
