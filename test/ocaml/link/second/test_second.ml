open Test_support

external answer : int -> int = "second_rust_answer"

let other () =
  check_int "even" 44 (answer 22);
  check_int "odd, through a caught panic" 26 (answer 13)

let () =
  let ours = List.map (fun (name, works) -> test name works) Four.all in
  run "second Rust library"
    [
      ("the other", [ test "works" other ]);
      ("ours", ours);
      ("the other, after ours", [ test "works still" other ]);
    ]
