(* Values in memory that several processes map: forked, exec'ed, at one address or another; and
   other domains at work meanwhile. *)

open Test_support
module A = Bigarray.Array1

let there = 0x0b00_0000_0000n
let size = 1 lsl 20
let all = Netsys_mem.[ Copy_bigarray; Copy_custom_int; Copy_atom ]

type message = {
  id : int;
  text : string;
  numbers : float array;
  pair : int64 * int32;
  data : Netsys_mem.memory;
  tree : tree;
}

and tree = Leaf | Node of tree * string * tree

let message id =
  let rec tree n =
    if n = 0 then Leaf
    else
      let t = tree (n - 1) in
      Node (t, string_of_int n, t)
  in
  {
    id;
    text = String.concat "," (List.init 50 string_of_int);
    numbers = Array.init 20 float;
    pair = (Int64.of_int id, Int32.of_int (-id));
    data = Netsys_mem.memory_of_string "bigarray";
    tree = tree 6;
  }

let check_message what m =
  let expected = message m.id in
  check_bool what true
    (compare m expected = 0
    && Hashtbl.hash m = Hashtbl.hash expected
    && Marshal.to_string m [] = Marshal.to_string expected [])

(* Kept reachable, as values in a buffer don't keep it. *)
let buffers = ref []

let map fd =
  let m = Netsys_mem.memory_map_file fd ~addr:there true size in
  buffers := m :: !buffers;
  m

(* Reader: tells its operations, waits for word, reads the value at the same file's other address. *)
let () =
  role "reader" (fun args ->
      let fd = Unix.openfile args.(0) [ O_RDWR ] 0 in
      let m = map fd in
      if Netsys_mem.memory_address m <> there then failwith "the address is taken";
      let ops =
        List.map Netsys_mem.get_custom_ops [ Obj.repr 0l; Obj.repr 0L; Obj.repr m ]
      in
      let ops =
        List.map
          (fun (name, o) ->
            if name = "_bigarr02" then
              Netsys_mem.get_custom_ops (Obj.repr (Netsys_mem.memory_of_string ""))
            else (name, o))
          ops
      in
      Marshal.to_channel stdout ops [];
      flush stdout;
      let voffset = int_of_string (input_line stdin) in
      (* In a function of its own: bytecode keeps what is on the stack, and after the buffer's
         contents are gone no value of it may be left there. *)
      let read () =
        let value : message = Netsys_mem.as_value m voffset in
        check_message "read in place" value;
        Gc.compact ();
        check_message "after a collection" value;
        let data = A.sub value.data 0 3 in
        check_string "data" "big" (Netsys_mem.string_of_memory data);
        Netsys_mem.copy_value all value
      in
      let copy = read () in
      Netsys_mem.zero_pages m 0 size;
      Gc.full_major ();
      check_message "copied" copy)

let with_file f =
  with_temp_dir (fun dir ->
      let path = Filename.concat dir "shared" in
      let fd = Unix.openfile path [ O_RDWR; O_CREAT ] 0o600 in
      Fun.protect ~finally:(fun () -> Unix.close fd) (fun () -> f path fd))

let other_address () =
  with_file (fun path fd ->
      let m = Netsys_mem.memory_map_file fd true size in
      check_bool "elsewhere" true (Netsys_mem.memory_address m <> there);
      let from_child, to_parent = Unix.pipe ~cloexec:true () in
      let from_parent, to_child = Unix.pipe ~cloexec:true () in
      let pid = spawn ~stdin:from_parent ~stdout:to_parent "reader" [ path ] in
      Unix.close to_parent;
      Unix.close from_parent;
      let ic = Unix.in_channel_of_descr from_child in
      let target_custom_ops : (string * Netsys_mem.custom_ops) list =
        Marshal.from_channel ic
      in
      let voffset, _ =
        Netsys_mem.init_value ~targetaddr:there ~target_custom_ops m 4096 (message 7) all
      in
      let line = Printf.sprintf "%d\n" voffset in
      ignore (Unix.write_substring to_child line 0 (String.length line));
      Unix.close to_child;
      wait_ok pid;
      close_in ic)

let forked () =
  with_file (fun _ fd ->
      let m = map fd in
      let write offset id = fst (Netsys_mem.init_value m offset (message id) all) in
      let voffset = write 0 1 in
      let child =
        fork (fun () ->
            check_message "the parent's" (Netsys_mem.as_value m voffset);
            ignore (write 65536 2))
      in
      wait_ok child;
      Gc.full_major ();
      check_message "the child's" (Netsys_mem.as_value m (65536 + 8));
      check_int "which is" 2 (Netsys_mem.as_value m (65536 + 8) : message).id)

(* Two domains copy from the same values while two others allocate and collect. In a process of its
   own: one that ever had a second domain can't fork. *)
let () =
  role "domains" (fun _ ->
      let value = List.init 2000 (fun i -> (i, string_of_int i, Int64.of_int i)) in
      let stop = Atomic.make false in
      let churn () =
        while not (Atomic.get stop) do
          ignore (Sys.opaque_identity (List.init 1000 (fun i -> [ i ])));
          Gc.full_major ()
        done
      in
      let copy () =
        let m = Netsys_mem.alloc_memory_pages size in
        for _ = 1 to 100 do
          let voffset, _ = Netsys_mem.init_value m 0 value all in
          let there : (int * string * int64) list = Netsys_mem.as_value m voffset in
          if compare there value <> 0 then failwith "another value";
          if compare (Netsys_mem.copy_value all there) value <> 0 then
            failwith "another copy"
        done;
        ignore (Sys.opaque_identity m)
      in
      let churner = Domain.spawn churn in
      let copiers = [ Domain.spawn copy ] in
      copy ();
      List.iter Domain.join copiers;
      Atomic.set stop true;
      Domain.join churner)

let domains () = wait_ok (spawn "domains" [])

let suites =
  ( "processes",
    [
      test "another process, another address" other_address;
      test "a forked process" forked;
      test "domains" domains;
    ] )
