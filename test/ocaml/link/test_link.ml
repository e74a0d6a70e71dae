open Test_support

let () =
  role "child" (fun args -> if args <> [| "a" |] then failwith "arguments");
  run "link"
    [
      ("child", [ test "runs" (fun () -> wait_ok (spawn "child" [ "a" ])) ]);
      ("modules", List.map (fun (name, works) -> test name works) Four.all);
    ]
