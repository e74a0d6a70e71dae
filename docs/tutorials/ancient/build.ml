open Words

let () =
  let add dictionary i =
    let notes = List.init (i mod 4) (fun j -> Printf.sprintf "note %d" (i + j)) in
    Dictionary.add (Printf.sprintf "word%d" i) { number = i; notes } dictionary
  in
  let dictionary = List.fold_left add Dictionary.empty (List.init 200_000 Fun.id) in
  let file = Ancient.open_file "words.image" ~mode:Create in
  let _, info = Ancient.Key.share_info file key dictionary in
  Printf.printf "%d words, %d bytes\n" (Dictionary.cardinal dictionary) info.i_size
