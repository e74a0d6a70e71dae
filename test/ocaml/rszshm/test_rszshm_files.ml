(* Files that Rszshm must refuse, files that end too early, large files, full file systems. *)

open Test_support
module A = Bigarray.Array1

let page = 4096
let mib = 1 lsl 20
let gib = 1 lsl 30
let read_file path = In_channel.with_open_bin path In_channel.input_all
let write_file path text = Out_channel.with_open_bin path (fun c -> output_string c text)
let with_path f = with_temp_dir (fun dir -> f (Filename.concat dir "region"))

(* The bytes of a region's file of two pages, detached. *)
let good path =
  let r = Rszshm.make ~path page in
  Rszshm.detach r;
  read_file path

let refused ?(code = Rszshm.enodata) what path =
  raises_unix what code (fun () -> Rszshm.attach path)

(* A header as the library writes it, whatever it says: the checksum is right. *)
let forge ?(flen = 2 * page) ?(max = 4 * gib) ?(addr = 64 lsl 40) good =
  let b = Bytes.of_string good in
  let put at n = Bytes.set_int64_ne b at (Int64.of_int n) in
  put 0 flen;
  put 8 max;
  put 16 addr;
  let hash = ref 0xcbf29ce484222325L in
  for i = 8 to 55 do
    hash := Int64.logxor !hash (Int64.of_int (Bytes.get_uint8 b i));
    hash := Int64.mul !hash 0x100000001b3L
  done;
  Bytes.set_int64_ne b 56 !hash;
  Bytes.to_string b

let short () =
  with_path (fun path ->
      let file = good path in
      List.iter
        (fun len ->
          write_file path (String.sub file 0 len);
          refused (Printf.sprintf "%d bytes" len) path)
        [ 0; 1; 8; 24; 63; 64; 65; page - 1; page; (2 * page) - 1 ];
      write_file path file;
      Rszshm.detach (Rszshm.attach path))

let every_bit () =
  with_path (fun path ->
      let file = good path in
      for bit = 0 to (8 * 64) - 1 do
        let b = Bytes.of_string file in
        let at = bit / 8 in
        Bytes.set_uint8 b at (Bytes.get_uint8 b at lxor (1 lsl (bit mod 8)));
        write_file path (Bytes.to_string b);
        refused (Printf.sprintf "bit %d" bit) path
      done)

let noise =
  property ~count:500 "random changes are refused, or do no harm"
    QCheck.(list_of_size (Gen.int_range 1 20) (pair (int_bound 63) (int_bound 255)))
    (fun changes ->
      with_path (fun path ->
          let b = Bytes.of_string (good path) in
          List.iter (fun (at, byte) -> Bytes.set_uint8 b at byte) changes;
          write_file path (Bytes.to_string b);
          match Rszshm.attach path with
          | exception Unix.Unix_error (code, _, _) -> code = Rszshm.enodata
          | r ->
              let data = Rszshm.data r in
              for i = 0 to A.dim data - 1 do
                data.{i} <- 'x'
              done;
              Rszshm.detach r;
              true))

let impossible_spans () =
  with_path (fun path ->
      let file = good path in
      let wrong what file =
        write_file path file;
        refused what path
      in
      wrong "no length" (forge ~flen:0 file);
      wrong "half a page" (forge ~flen:2048 file);
      wrong "more than the file" (forge ~flen:(3 * page) file);
      wrong "huge" (forge ~flen:(max_int land lnot 4095) file);
      wrong "negative" (forge ~flen:(-page) file);
      wrong "more than its maximum" (forge ~max:page file);
      wrong "no maximum" (forge ~max:0 file);
      wrong "no pages" (forge ~max:(gib + 1) file);
      wrong "a negative maximum" (forge ~max:(-page) file);
      wrong "all of memory" (forge ~max:(1 lsl 47) file);
      wrong "the null page" (forge ~addr:0 file);
      wrong "near the null page" (forge ~addr:page file);
      wrong "no page's address" (forge ~addr:((64 lsl 40) + 8) file);
      wrong "the kernel's" (forge ~addr:(-0x8000_0000_0000) file);
      wrong "beyond user space" (forge ~addr:(1 lsl 47) file);
      wrong "across its end" (forge ~addr:((1 lsl 47) - gib) file);
      write_file path (forge file);
      Rszshm.detach (Rszshm.attach path))

(* The addresses of whatever this process has: its code, its heap, its stack. *)
let taken_addresses () =
  with_path (fun path ->
      let file = good path in
      (* What earlier regions left behind may be attached again: that is not taken. *)
      Gc.full_major ();
      let maps = String.split_on_char '\n' (read_file "/proc/self/maps") in
      let before = List.length maps in
      let tried = ref 0 in
      List.iter
        (fun line ->
          match Scanf.sscanf_opt line "%x-%x" (fun a b -> (a, b)) with
          | Some (a, b) when a >= 0x1_0000 && b < 0x7fff_0000_0000 ->
              incr tried;
              write_file path (forge ~max:(2 * page) ~addr:a file);
              refused ~code:Unix.ENOSPC line path;
              (* Where malloc's heap ends, nothing may be by now: it gives memory back. *)
              if not (String.ends_with ~suffix:"[heap]" line) then begin
                write_file path (forge ~max:(2 * page) ~addr:(b - page) file);
                refused ~code:Unix.ENOSPC line path
              end;
              write_file path (forge ~max:(b - a + (2 * page)) ~addr:(a - page) file);
              refused ~code:Unix.ENOSPC line path
          | _ -> ())
        maps;
      check_bool "some were tried" true (!tried > 5 && before > 5))

let cut_under_us () =
  with_path (fun path ->
      let r = Rszshm.make ~path (8 * page) in
      List.iter
        (fun len ->
          Unix.truncate path len;
          raises_unix "update" Rszshm.enodata (fun () -> Rszshm.update r);
          raises_unix "grow" Rszshm.enodata (fun () -> Rszshm.grow r))
        [ 8 * page; page; 100; 0 ];
      refused "attach" path;
      Rszshm.detach r)

let length_tampered () =
  with_path (fun path ->
      let r = Rszshm.make ~path ((8 * page) - 64) in
      let fd = Unix.openfile path [ O_RDWR ] 0 in
      List.iter
        (fun flen ->
          let b = Bytes.create 8 in
          Bytes.set_int64_ne b 0 flen;
          ignore (Unix.lseek fd 0 SEEK_SET : int);
          ignore (Unix.write fd b 0 8 : int);
          let what = Int64.to_string flen in
          raises_unix what Rszshm.enodata (fun () -> Rszshm.update r);
          raises_unix what Rszshm.enodata (fun () -> Rszshm.grow r))
        [ 0L; 1L; 4096L; 16384L; 32769L; 65536L; 0x1_0000_0000L; -1L; Int64.min_int ];
      Unix.close fd;
      Rszshm.detach r)

(* A file system on disk with room: memory is not for large files. *)
let large_dir () =
  let on_disk dir =
    let argv = [| "stat"; "-f"; "-c"; "%T %a %S"; dir |] in
    let c = Unix.open_process_args_in argv.(0) argv in
    let line = In_channel.input_all c in
    ignore (Unix.close_process_in c : Unix.process_status);
    match Scanf.sscanf_opt line "%s %d %d" (fun t a s -> (t, a * s)) with
    | Some (kind, free) -> kind <> "tmpfs" && kind <> "ramfs" && free > 20 * gib
    | None -> false
  in
  List.find_opt on_disk
    (List.filter Sys.file_exists [ Filename.get_temp_dir_name (); "/var/tmp"; "." ])

let () =
  role "large" (fun args ->
      let r = Rszshm.attach args.(0) in
      check_int "capacity" ((6 * gib) - 64) (Rszshm.capacity r);
      check_int "beyond 4 GiB" 42 (Rszshm.load r (5 * gib));
      check_bool "grow" true (Rszshm.grow r);
      check_int "capacity" ((9 * gib) - 64) (Rszshm.capacity r);
      Rszshm.store r ((9 * gib) - 72) 43;
      Rszshm.detach r)

let past_4_gib () =
  match large_dir () with
  | None ->
      print_endline "no file system on disk with 20 GiB free";
      Alcotest.skip ()
  | Some dir ->
      let scan = { Rszshm.default_scan with len = 9 * gib } in
      let path =
        Filename.concat dir (Printf.sprintf "rszshm_large_%d" (Unix.getpid ()))
      in
      let r =
        try Rszshm.make ~scan ~path ((3 * gib) - 64)
        with Unix.Unix_error (EFBIG, _, _) -> Alcotest.skip ()
      in
      Fun.protect
        ~finally:(fun () -> Rszshm.unlink r)
        (fun () ->
          check_bool "grow" true (Rszshm.grow r);
          check_int "capacity" ((6 * gib) - 64) (Rszshm.capacity r);
          Rszshm.store r (5 * gib) 42;
          (Rszshm.data r).{(6 * gib) - 65} <- 'x';
          wait_ok (spawn "large" [ path ]);
          check_bool "update" true (Rszshm.update r);
          check_int "theirs" 43 (Rszshm.load r ((9 * gib) - 72));
          raises_unix "at its maximum" Unix.ENOMEM (fun () -> Rszshm.grow r);
          Rszshm.detach r)

(* In a file system of 1000 KiB, mounted at the directory given. *)
let () =
  role "full" (fun args ->
      let at name = Filename.concat args.(0) name in
      let r = Rszshm.make ~path:(at "region") ((64 * 1024) - 64) in
      let rec grow () =
        match Rszshm.grow r with
        | _ -> grow ()
        | exception Unix.Unix_error (ENOSPC, _, _) -> ()
      in
      grow ();
      check_int "as far as there is room" ((512 * 1024) - 64) (Rszshm.capacity r);
      A.fill (Rszshm.data r) 'x';
      raises_unix "make" Unix.ENOSPC (fun () -> Rszshm.make ~path:(at "big") mib);
      check_bool "leaves nothing" false (Sys.file_exists (at "big"));
      (* A copy with a hole, which the file system could not fill. *)
      write_file (at "hole")
        ( forge ~flen:(768 * 1024) (read_file (at "region")) |> fun f ->
          String.sub f 0 page );
      Unix.truncate (at "hole") (768 * 1024);
      Rszshm.detach r;
      raises_unix "a hole" Unix.ENOSPC (fun () -> Rszshm.attach (at "hole"));
      Unix.unlink (at "hole");
      (* Others take what is left. Once they are gone, it grows. *)
      let r = Rszshm.attach (at "region") in
      write_file (at "filler") (String.make (300 * 1024) 'f');
      raises_unix "no room" Unix.ENOSPC (fun () -> Rszshm.grow r);
      check_int "as before" ((512 * 1024) - 64) (Rszshm.capacity r);
      A.fill (Rszshm.data r) 'y';
      Unix.unlink (at "filler");
      Rszshm.unlink r;
      Rszshm.detach r;
      let r = Rszshm.make ~path:(at "region") ((256 * 1024) - 64) in
      check_bool "grows" true (Rszshm.grow r);
      A.fill (Rszshm.data r) 'z';
      Rszshm.detach r)

(* A mount namespace of its own. In a chroot [unshare] cannot make the mounts private; it need
   not where none is shared. *)
let unshare () =
  let contains text part =
    let n = String.length part in
    let rec at i =
      i + n <= String.length text && (String.sub text i n = part || at (i + 1))
    in
    at 0
  in
  if contains (read_file "/proc/self/mountinfo") " shared:" then [ "unshare"; "-m" ]
  else [ "unshare"; "-m"; "--propagation"; "unchanged" ]

let run_in_small_tmpfs dir command =
  let script = "mount -t tmpfs -o size=1000k none \"$0\" || exit 77; " ^ command in
  let argv =
    Array.of_list (unshare () @ [ "sh"; "-c"; script; dir; Sys.executable_name ])
  in
  wait (Unix.create_process argv.(0) argv Unix.stdin Unix.stdout Unix.stderr)

let full_tmpfs () =
  with_temp_dir (fun dir ->
      if Unix.geteuid () <> 0 || run_in_small_tmpfs dir "true" <> WEXITED 0 then begin
        print_endline "not allowed to mount a small tmpfs";
        Alcotest.skip ()
      end;
      check_bool "the role succeeds" true
        (run_in_small_tmpfs dir "HH_SHARED_TEST_ROLE=full exec \"$1\" \"$0\"" = WEXITED 0))

let () =
  run "rszshm files"
    [
      ( "hostile",
        [
          test "short files" short;
          test "every bit of the header" every_bit;
          noise;
          test "impossible spans" impossible_spans;
          test "addresses in use" taken_addresses;
          test "cut under us" cut_under_us;
          test "the length tampered with" length_tampered;
        ] );
      ( "room",
        [ test "growth past 4 GiB" past_4_gib; test "a full file system" full_tmpfs ] );
    ]
