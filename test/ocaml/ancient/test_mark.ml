open Test_support

let () =
  run "ancient: mark"
    [
      ( "basic",
        [
          test "list" (fun () ->
              let l = List.init 1000 (fun i -> (i, string_of_int i)) in
              let p = Ancient.mark l in
              Gc.compact ();
              check_bool "equal" true (compare (Ancient.follow p) l = 0);
              check_bool "is" true (Ancient.is_ancient (Ancient.follow p));
              Ancient.delete p;
              raises_invalid "twice" (fun () -> Ancient.delete p);
              raises_invalid "follow" (fun () -> Ancient.follow p));
        ] );
    ]
