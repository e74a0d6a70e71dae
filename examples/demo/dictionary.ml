(* A dictionary in a file, which other processes open in no time.

   One process builds a tree of all words and shares it into a file. Two others attach the
   file and walk that very tree: nothing is read in, decoded or copied.

     dictionary WORD-LIST      one word a line

   Read from the end: who does what, the reader, the writer, the value itself. *)

type entry = {
  place : int;  (** in the alphabet *)
  anagrams : string list;  (** all words of the same letters; one list for all of them *)
}

type tree = Leaf | Node of { left : tree; word : string; entry : entry; right : tree }

let rec find word = function
  | Leaf -> None
  | Node n ->
      let c = String.compare word n.word in
      if c = 0 then Some n.entry else find word (if c < 0 then n.left else n.right)

let build words =
  let families = Hashtbl.create (Array.length words) in
  let letters word = List.sort Char.compare (List.of_seq (String.to_seq word)) in
  let key word = String.of_seq (List.to_seq (letters word)) in
  let family key = Option.value (Hashtbl.find_opt families key) ~default:[] in
  let keys = Array.map key words in
  Array.iteri (fun i key -> Hashtbl.replace families key (words.(i) :: family key)) keys;
  let rec balanced low high =
    if low = high then Leaf
    else
      let place = (low + high) / 2 in
      let left = balanced low place and right = balanced (place + 1) high in
      let entry = { place; anagrams = family keys.(place) } in
      Node { left; word = words.(place); entry; right }
  in
  balanced 0 (Array.length words)

(* The writer. *)

let write words ~image ~marshalled =
  let tree, built = Show.timed (fun () -> build words) in
  let size = Show.count (Array.length words) "word" in
  Printf.printf "%-20s %8.1f ms  %s\n%!" "build the tree" (built *. 1e3) size;
  let report what file (_, seconds) =
    let bytes = Show.megabytes (Unix.stat file).st_size in
    Printf.printf "%-20s %8.1f ms  %s\n%!" what (seconds *. 1e3) bytes
  in
  Show.timed (fun () ->
      let md = Ancient.open_file image ~mode:Create ~permissions:0o600 in
      ignore (Ancient.share md 0 tree);
      Ancient.detach md)
  |> report "Ancient.share" image;
  Show.timed (fun () ->
      Out_channel.with_open_bin marshalled (fun c -> Marshal.to_channel c tree []))
  |> report "Marshal.to_channel" marshalled

(* The reader. *)

let attach image =
  let md = Ancient.open_file image in
  (Ancient.follow (Ancient.get md 0) : tree)

let unmarshal marshalled : tree = In_channel.with_open_bin marshalled Marshal.from_channel

let look_up_all words tree =
  let check place word =
    match find word tree with
    | Some entry when entry.place = place && List.mem word entry.anagrams -> ()
    | _ -> failwith (word ^ ": not found as it was written")
  in
  Array.iteri check words

let read name words ~image ~marshalled =
  let tree, opening = Show.timed (fun () -> attach image) in
  let (), shared = Show.timed (fun () -> look_up_all words tree) in
  let copy, decoding = Show.timed (fun () -> unmarshal marshalled) in
  let (), copied = Show.timed (fun () -> look_up_all words copy) in
  let each seconds = seconds *. 1e9 /. float (Array.length words) in
  Printf.printf
    "%s: open %.0f µs against Marshal.from_channel %.1f ms: %s times as fast\n\
     %s: %s looked up, %.0f ns each against %.0f in its own heap\n\
     %!"
    name (opening *. 1e6) (decoding *. 1e3)
    (Show.number (int_of_float (decoding /. opening)))
    name
    (Show.count (Array.length words) "word")
    (each shared) (each copied)

(* Who does what: this program runs itself, as the writer and then as two readers. *)

let read_words path =
  let lines = In_channel.with_open_bin path In_channel.input_lines in
  Array.of_list (List.sort_uniq String.compare lines)

let everyone word_list =
  let image = Filename.temp_file "dictionary" ".image" in
  let marshalled = Filename.temp_file "dictionary" ".marshal" in
  let remove_both () = List.iter Sys.remove [ image; marshalled ] in
  Fun.protect ~finally:remove_both @@ fun () ->
  let start name =
    let argv = [| Sys.executable_name; name; word_list; image; marshalled |] in
    (name, Unix.create_process argv.(0) argv Unix.stdin Unix.stdout Unix.stderr)
  in
  Show.wait_all [ start "writer" ];
  Show.wait_all [ start "reader 1"; start "reader 2" ]

let () =
  match Sys.argv with
  | [| _; "writer"; words; image; marshalled |] ->
      write (read_words words) ~image ~marshalled
  | [| _; name; words; image; marshalled |] ->
      read name (read_words words) ~image ~marshalled
  | [| _; word_list |] -> everyone word_list
  | _ ->
      prerr_endline "dictionary WORD-LIST";
      exit 2
