type shape = Circle of float | Box of { width : float; height : float }

let area = function
  | Circle radius -> Float.pi *. radius *. radius
  | Box { width; height } -> width *. height

let () =
  let path = Filename.temp_file "shapes" ".image" in
  let attach flag = Ancient.attach (Unix.openfile path [ flag ] 0) 0n in
  let writer = attach O_RDWR in
  ignore (Ancient.share writer 0 [ Circle 1.; Box { width = 2.; height = 3. } ]);
  Ancient.detach writer;
  (* From here on it could be any other process. *)
  let reader = attach O_RDONLY in
  let shapes : shape list = Ancient.follow (Ancient.get reader 0) in
  List.iter (fun shape -> Printf.printf "area %.2f\n" (area shape)) shapes;
  Sys.remove path
