(* Transactions, reset, and the counter. *)

open Test_support
open Tables

let transactions _ =
  check_bool "first" true (SharedMem.is_init_transaction ());
  SharedMem.commit_transaction ();
  check_bool "not first" false (SharedMem.is_init_transaction ());
  check_int "version" 2 (Prim.next_version ());
  SharedMem.commit_transaction ();
  check_int "version" 4 (Prim.next_version ());
  SharedMem.reset_heap ();
  check_int "version" 2 (Prim.next_version ())

let reset _ =
  for i = 1 to 1000 do
    Lists.add (key i) (list_of i)
  done;
  SharedMem.reset_heap ();
  let stats = SharedMem.hash_stats () in
  check_int "nonempty" 0 stats.nonempty_slots;
  check_int "used" 0 stats.used_slots;
  check_int "size" 0 (SharedMem.heap_size ());
  for i = 1 to 1000 do
    check_bool "gone" false (Lists.mem (key i))
  done;
  Lists.add (key 1) (list_of 2);
  check_bool "new" true (Lists.get (key 1) = Some (list_of 2));
  let addr = Prim.alloc 1000 in
  for i = 0 to 999 do
    Alcotest.(check int64) "zero" 0L (Prim.load_acquire (addr + (8 * i)))
  done

let counter () =
  alone (fun () ->
      for i = 1 to 5 do
        check_int "early" i (Prim.counter_next ())
      done;
      ignore (make 1);
      let last = ref 5 in
      for _ = 1 to 5000 do
        let n = Prim.counter_next () in
        check_bool "increases" true (n > !last);
        last := n
      done)

let () =
  run "shared_mem state"
    [
      ( "state",
        [ case "transactions" transactions; case "reset" reset; test "counter" counter ]
      );
    ]
