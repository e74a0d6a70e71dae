(* A writer killed at any moment leaves every published value, and the lock free. *)

open Test_support
open Values

let keys = 5

let value key n : int * int * string list =
  (key, n, List.init (1 + (((n * 37) + key) mod 400)) (fun i -> string_of_int (i + n)))

let () =
  role "write" (fun args ->
      let path = args.(0) in
      let n = ref (int_of_string args.(1)) in
      while true do
        let md = attach path in
        for _ = 1 to 50 do
          incr n;
          ignore (Ancient.share md (!n mod keys) (value (!n mod keys) !n));
          (* Says how far it is. *)
          let line = Bytes.create 8 in
          Bytes.set_int64_le line 0 (Int64.of_int !n);
          ignore (Unix.write Unix.stdout line 0 8)
        done;
        Ancient.detach md
      done)

(* The last number that the child said, when it is gone. *)
let last fd =
  let text = In_channel.input_all (Unix.in_channel_of_descr fd) in
  let n = String.length text / 8 in
  if n = 0 then None else Some (Int64.to_int (String.get_int64_le text ((n - 1) * 8)))

let killed rounds () =
  with_temp_dir (fun dir ->
      let path = Filename.concat dir "image" in
      let said = ref 0 in
      (* Longer on a busy machine, until writers get as far as to write. *)
      let longest = ref 0.03 and most = ref 0 in
      for _ = 1 to rounds do
        let r, w = Unix.pipe ~cloexec:true () in
        let child = spawn ~stdout:w "write" [ path; string_of_int !said ] in
        Unix.close w;
        Unix.sleepf (0.005 +. Random.float !longest);
        Unix.kill child Sys.sigkill;
        ignore (wait child);
        (match last r with
        | Some n ->
            most := max !most (n - !said);
            said := n
        | None -> longest := Float.min 3. (!longest *. 1.5));
        wait_ok
          (fork (fun () ->
               let md = attach path in
               for key = 0 to keys - 1 do
                 match Ancient.get md key with
                 | exception Not_found ->
                     if !said >= 2 * keys then failwith "a key is lost"
                 | v ->
                     let ((_, n, _) as v) : int * int * string list = Ancient.follow v in
                     if v <> value key n then failwith "a mixture";
                     (* What was said to be shared is there, or what came after it. *)
                     if n <= !said - keys then failwith "an old value came back"
               done;
               (* The dead writer's lock is free. *)
               ignore (Ancient.share md 100 !said)))
      done;
      check_bool "the writers got somewhere" true (!said > 2 * keys);
      (* What one writer shares keeps its place until it is gone; then it is free. *)
      check_bool "nothing leaks" true
        ((Unix.stat path).st_size < 2_000_000 + (!most * 30_000)))

let () =
  Random.self_init ();
  run "ancient file: killed writers" [ ("killed", [ test "at random" (killed 60) ]) ]
