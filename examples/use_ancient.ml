type shape = Circle of float | Box of { width : float; height : float }

let area = function
  | Circle radius -> Float.pi *. radius *. radius
  | Box { width; height } -> width *. height

let () =
  let path = Filename.temp_file "shapes" ".image" in
  let writer = Ancient.open_file path ~mode:Create in
  ignore (Ancient.share writer 0 [ Circle 1.; Box { width = 2.; height = 3. } ]);
  Ancient.detach writer;
  (* From here on it could be any other process. *)
  let reader = Ancient.open_file path in
  let shapes : shape list = Ancient.follow (Ancient.get reader 0) in
  List.iter (fun shape -> Printf.printf "area %.2f\n" (area shape)) shapes;
  Sys.remove path
