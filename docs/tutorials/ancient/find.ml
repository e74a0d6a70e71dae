open Words

let () =
  let file = Ancient.open_file "words.image" in
  let dictionary = Ancient.follow (Ancient.Key.get file key) in
  match Dictionary.find_opt Sys.argv.(1) dictionary with
  | None -> print_endline "no such word"
  | Some { number; notes } ->
      Printf.printf "number %d: %s\n" number (String.concat ", " notes)
