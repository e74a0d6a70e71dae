(* Ancient.mark ~protect:true: read like any other, but a store kills. *)

open Test_support

let protect v = Ancient.mark ~protect:true v

(* How a child that does [f] ends. *)
let fate f = wait (fork (fun () -> ignore (Sys.opaque_identity (f ()))))

let faults what f =
  match fate f with
  | WSIGNALED n when n = Sys.sigsegv -> ()
  | WSIGNALED n -> Alcotest.failf "%s: signal %d" what n
  | WEXITED n | WSTOPPED n -> Alcotest.failf "%s: no fault, %d" what n

let table n =
  let t = Hashtbl.create n in
  for i = 1 to n do
    Hashtbl.replace t i (string_of_int i)
  done;
  t

let stores_fault () =
  let check n =
    let a = Ancient.follow (protect (Array.init n string_of_int)) in
    faults "first" (fun () -> a.(0) <- a.(n - 1));
    faults "last" (fun () -> a.(n - 1) <- a.(0));
    faults "inside" (fun () -> Bytes.set (Bytes.unsafe_of_string a.(n / 2)) 0 'x');
    check_bool "as it was" true (a = Array.init n string_of_int)
  in
  List.iter check [ 2; 100; 10_000 ];
  faults "Hashtbl.iter" (fun () ->
      Hashtbl.iter (fun _ _ -> ()) (Ancient.follow (protect (table 10))));
  let data = Bigarray.(Array1.init Int C_layout 10 Fun.id) in
  faults "bigarray" (fun () -> Bigarray.Array1.set (Ancient.follow (protect data)) 3 7);
  let free = Ancient.follow (Ancient.mark (Array.init 10 string_of_int)) in
  match fate (fun () -> free.(0) <- free.(1)) with
  | WEXITED 0 -> ()
  | _ -> Alcotest.fail "an unprotected one must not fault"

let reads () =
  let v = (table 1000, List.init 100 string_of_int, 5L, [| 1.5 |]) in
  let p, { Ancient.i_size } = Ancient.mark_info ~protect:true v in
  let ((t, l, i, f) as copy) = Ancient.follow p in
  Gc.compact ();
  check_bool "size" true (i_size > 0 && Ancient.is_ancient copy);
  check_bool "compare" true (compare v copy = 0);
  check_bool "find" true (Hashtbl.find t 77 = "77" && l = List.init 100 string_of_int);
  check_bool "others" true (Int64.add i 1L = 6L && f.(0) = 1.5);
  check_bool "copy" true (Ancient.copy copy = v);
  check_bool "mark" true (Ancient.follow (Ancient.mark (Some copy)) = Some v);
  Ancient.delete p;
  Gc.full_major ();
  check_bool "deleted" false (Ancient.is_ancient copy);
  raises_invalid "twice" (fun () -> Ancient.delete p);
  Ancient.delete (protect 5)

let memory_comes_back () =
  let v = Array.init 200_000 string_of_int in
  Ancient.delete (protect v);
  leaves_no_memory ~most:(8 lsl 20) (fun () ->
      for _ = 1 to 50 do
        Ancient.delete (protect v)
      done)

(* More values than the kernel allows mappings: neighbours are one, and so are the dead. *)
let few_mappings () =
  let before = mappings () in
  let all = Array.init 100_000 (fun n -> protect [ n ]) in
  check_bool "in a row" true (mappings () - before < 100);
  let each first step f =
    let n = ref first in
    while !n < Array.length all do
      f !n;
      n := !n + step
    done
  in
  each 0 2 (fun n -> Ancient.delete all.(n));
  check_bool "holes" true (mappings () - before < 20_000);
  each 1 2 (fun n -> if Ancient.follow all.(n) <> [ n ] then failwith "wrong");
  faults "still protected" (fun () ->
      Obj.set_field (Obj.repr (Ancient.follow all.(99_999))) 0 (Obj.repr 1));
  each 1 2 (fun n -> Ancient.delete all.(n));
  check_bool "gone" true (mappings () - before < 1000)

let () =
  run "ancient protect"
    [
      ( "protect",
        [
          test "a store faults" stores_fault;
          test "reading, comparing, collecting, deleting" reads;
          test "memory comes back" memory_comes_back;
          test "a hundred thousand" few_mappings;
        ] );
    ]
