(* Numbers that all processes read and write: a file of them, mapped as a bigarray in OCaml's own
   way, needs nothing of ours; a matrix that is written once goes into a file with its labels. *)
type table = {
  labels : string array;
  cells : (float, Bigarray.float64_elt, Bigarray.c_layout) Bigarray.Array2.t;
}

let () =
  let path = Filename.temp_file "matrix" ".image" in
  let cells =
    Bigarray.Array2.init Float64 C_layout 1000 1000 (fun i j -> float (i * j))
  in
  let labels = Array.init 1000 (Printf.sprintf "row %d") in
  let md = Ancient.open_file path ~mode:Create in
  ignore (Ancient.share md 0 { labels; cells });
  match Unix.fork () with
  | 0 ->
      let table : table = Ancient.follow (Ancient.get md 0) in
      Printf.printf "%s: %.0f\n" table.labels.(12) table.cells.{12, 11}
  | pid ->
      ignore (Unix.waitpid [] pid);
      Sys.remove path
