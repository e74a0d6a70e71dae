open Test_support

external answer : int -> int = "second_rust_answer"
external setup : unit -> unit = "hh_shared_setup"

let works () =
  setup ();
  check_int "even" 44 (answer 22);
  check_int "odd, through a caught panic" 26 (answer 13);
  setup ();
  check_int "again" 8 (answer 4)

let () = run "second Rust library" [ ("both", [ test "work" works ]) ]
