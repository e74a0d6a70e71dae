(* A key knows the type of its value, and readers learn when the writer had another one. *)
module V1 = struct
  let prices : (string * int) list Ancient.Key.t =
    Ancient.Key.make "prices" ~description:"(string * int) list, v1"
end

module V2 = struct
  let prices : (string * float) list Ancient.Key.t =
    Ancient.Key.make "prices" ~description:"(string * float) list, v2"
end

let () =
  let path = Filename.temp_file "prices" ".image" in
  let md = Ancient.open_file path ~mode:Create in
  ignore (Ancient.Key.share md V1.prices [ ("apple", 30); ("pear", 45) ]);
  List.iter
    (fun (name, price) -> Printf.printf "%s: %d\n" name price)
    (Ancient.follow (Ancient.Key.get md V1.prices));
  (match Ancient.Key.get md V2.prices with
  | _ -> assert false
  | exception Ancient.Key.Mismatch { found; _ } -> Printf.printf "found %s\n" found);
  Sys.remove path
