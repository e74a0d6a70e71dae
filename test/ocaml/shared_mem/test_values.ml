(* What objects hold: values, strings, bytes, words. *)

open Test_support
open Tables

let tags _ =
  List.iter
    (fun tag -> refused "tag" (fun () -> Prim.store 1 tag))
    [ -1; 0; 18; 64; max_int; min_int ];
  List.iter
    (fun tag -> check_int "value" tag (Prim.deserialize (Prim.store tag tag)))
    [ 19; 20; 63 ];
  refused "a function" (fun () -> Fun.add "f" succ);
  check_bool "not stored" false (Fun.mem "f")

let values _ =
  let same v = check_bool "value" true (Prim.deserialize (Prim.store v 19) = v) in
  same 0;
  same max_int;
  same "";
  same [||];
  same (Some 1L, 2l, 3n, [| 0.5; infinity |]);
  same (String.make 10_000_000 'x');
  same (List.init 100_000 string_of_int);
  let x = ref 1 in
  let (a, b) : int ref * int ref = Prim.deserialize (Prim.store (x, x) 19) in
  check_bool "sharing" true (a == b)

(* Values of up to 256 words have a reader of their own, larger ones the runtime's: most of these are
   on the one side or the other, and some have what the first one leaves to the second. *)
let random_values _ =
  let input = QCheck.(pair (int_bound 1_000_000) (int_bound 60)) in
  let holds (seed, size) =
    let v = Random_graph.graph ~cyclic:(seed mod 2 = 0) seed size in
    let back = Prim.deserialize (Prim.store v 19) in
    (* Whatever is wrong with its headers, the collector finds. *)
    if seed mod 10 = 0 then Gc.minor ();
    if seed mod 100 = 0 then Gc.compact ();
    Marshal.to_string back [] = Marshal.to_string v []
  in
  let _, _, check = property ~count:2000 "" input holds in
  check ()

let strings _ =
  let texts = [ ""; "a"; "1234567"; "12345678"; "123456789"; String.make 5000 'y' ] in
  let objects = List.map (fun s -> (s, Prim.string_object s)) texts in
  List.iter
    (fun (s, addr) ->
      let words = Obj.size (Obj.repr s) in
      check_string "read" s (Prim.read_string (addr + 8) words);
      List.iter
        (fun (s', addr') ->
          let sign n = compare n 0 in
          check_int "compare"
            (sign (compare s s'))
            (sign (Prim.compare_string addr addr')))
        objects)
    objects;
  let _, addr = List.nth objects 3 in
  refused "no words" (fun () -> Prim.read_string (addr + 8) 0);
  refused "negative" (fun () -> Prim.read_string (addr + 8) (-1));
  raises "too many"
    (function SharedMem.Invalid_address _ -> true | _ -> false)
    (fun () -> Prim.read_string (addr + 8) max_int);
  Prim.store_release (addr + 16) (-1L);
  raises "no padding"
    (function SharedMem.Invalid_header _ -> true | _ -> false)
    (fun () -> Prim.read_string (addr + 8) 2)

let bytes _ =
  let addr = Prim.alloc 4 in
  let source = Bytes.of_string "0123456789abcdef" in
  Prim.write_bytes addr source ~pos:4 ~len:8;
  let text () =
    String.init 8 (fun i ->
        let word = Prim.load_acquire addr in
        Char.chr (Int64.to_int (Int64.shift_right_logical word (8 * i)) land 255))
  in
  check_string "written" "456789ab" (text ());
  List.iter
    (fun (pos, len) -> Prim.write_bytes addr source ~pos ~len)
    [ (-1, 8); (0, -1); (0, 17); (16, 1); (max_int, 1); (1, max_int); (min_int, 4) ];
  check_string "unchanged" "456789ab" (text ())

let cells _ =
  let addr = Prim.alloc 1 in
  Prim.store_release addr Int64.min_int;
  Alcotest.(check int64) "load" Int64.min_int (Prim.load_acquire addr);
  check_bool "fails" false (Prim.compare_exchange ~weak:false addr 1L 2L);
  check_bool "works" true (Prim.compare_exchange ~weak:false addr Int64.min_int (-1L));
  while not (Prim.compare_exchange ~weak:true addr (-1L) 5L) do
    ()
  done;
  Alcotest.(check int64) "load" 5L (Prim.load_acquire addr)

let view () =
  alone (fun () ->
      let buf, _ = Prim.init config ~num_workers:0 in
      let addr = Prim.alloc 1 in
      check_int "size" (addr + SharedMem.heap_capacity ()) (Bigarray.Array1.dim buf);
      Prim.store_release addr 0x4142434445464748L;
      check_bool "byte" true (buf.{addr} = 'H');
      buf.{addr + 7} <- 'Z';
      Alcotest.(check int64) "word" 0x5a42434445464748L (Prim.load_acquire addr);
      Gc.full_major ();
      check_bool "byte" true (buf.{addr + 7} = 'Z'))

external compress : string -> int -> int -> string = "hh_compress"

(* The address space of this process, in bytes. *)
let address_space () =
  let status = In_channel.with_open_bin "/proc/self/status" In_channel.input_all in
  let line =
    List.find (String.starts_with ~prefix:"VmSize:") (String.split_on_char '\n' status)
  in
  Scanf.sscanf line "VmSize: %d kB" (fun kb -> kb * 1024)

(* Room for one copy of a string, and not for two. What was compressed was kept for good where OCaml
   had no memory for the string; then there was none for compressing either. *)
let () =
  role "compresses" @@ fun _ ->
  let size = 256 lsl 20 in
  let input = String.make size 'x' in
  let limit =
    Printf.sprintf "prlimit --pid %d --as=%d" (Unix.getpid ())
      (address_space () + (size * 3 / 2))
  in
  check_int limit 0 (Sys.command limit);
  for _ = 1 to 5 do
    match compress input 19 (-1) with
    | _ -> Alcotest.fail "there was room"
    | exception Out_of_memory -> ()
  done

let no_memory_for_the_string () = wait_ok (spawn "compresses" [])

let () =
  run "shared_mem values"
    [
      ( "values",
        [
          case "tags and functions" tags;
          case "values come back" ~config:{ config with heap_size = 1 lsl 26 } values;
          case "random values" ~config:{ config with heap_size = 1 lsl 28 } random_values;
        ] );
      ( "words",
        [
          case "strings" strings;
          case "bytes" bytes;
          case "words" cells;
          test "the view" view;
          test "no memory for a compressed string" no_memory_for_the_string;
        ] );
    ]
