(* A dictionary in a file: one process writes it, another one, started anew, looks up every word.

   As in the original's test, the words are a tree of arrays, one slot for each character, with
   empty arrays for leaves: what used to crash. *)

type tree = Nothing | Inner of { ends : witness; below : tree array }
and witness = Word of int array | No_word

let slots = 256
let words = List.init 3_000 (fun i -> Printf.sprintf "%x-%o" (i * i) (i mod 97))

let rec add below word at =
  let slot = Char.code word.[at] in
  let last = at + 1 = String.length word in
  let ends, deeper =
    match below.(slot) with
    | Nothing -> (No_word, [||])
    | Inner { ends; below } -> (ends, below)
  in
  let deeper = if deeper = [||] && not last then Array.make slots Nothing else deeper in
  below.(slot) <- Inner { ends = (if last then Word [||] else ends); below = deeper };
  if not last then add deeper word (at + 1)

let rec has below word at =
  below <> [||]
  &&
  match below.(Char.code word.[at]) with
  | Nothing -> false
  | Inner { ends; below } ->
      if at + 1 = String.length word then ends = Word [||] else has below word (at + 1)

let write path =
  let md = Ancient.attach (Unix.openfile path [ O_RDWR; O_CREAT; O_TRUNC ] 0o644) 0n in
  let tree = Array.make slots Nothing in
  List.iter (fun word -> add tree word 0) words;
  ignore (Ancient.share md 0 tree);
  (* The collector goes over all that is left. *)
  Array.fill tree 0 slots Nothing;
  Gc.compact ();
  Ancient.detach md

let verify path =
  let md = Ancient.attach (Unix.openfile path [ O_RDWR ] 0o644) 0n in
  let tree : tree array = Ancient.follow (Ancient.get md 0) in
  let found = List.filter (fun word -> has tree word 0) words in
  let foreign = List.filter (fun word -> has tree (word ^ "?") 0) words in
  Printf.printf "%d of %d words found, %d that aren't there\n%!" (List.length found)
    (List.length words) (List.length foreign);
  Ancient.detach md

let () =
  match Sys.argv with
  | [| _; "verify"; path |] -> verify path
  | _ -> (
      let path = Filename.temp_file "dictionary" ".image" in
      write path;
      let self = Sys.executable_name in
      let reader =
        Unix.create_process self [| self; "verify"; path |] Unix.stdin Unix.stdout
          Unix.stderr
      in
      let _, status = Unix.waitpid [] reader in
      Sys.remove path;
      match status with WEXITED 0 -> () | _ -> exit 1)
