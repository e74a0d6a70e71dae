(* Writers killed in the midst of anything, several at once, thousands of times. After each time the
   file is whole, and has for each key the value from before the change that was cut off, or the
   one from after it. *)

open Test_support

let writers = 3
let keys_each = 3

(* The [n]th value of a key. Some are so large that the file grows; some have a part of another key's
   value, which is not copied. *)
type value = { key : int; n : int; list : string list; part : (int * int * string list) option }
  [@@ocamlformat "disable"]

let list key n =
  let length = if n mod 17 = 0 then 12_000 else ((n * 37) + key) mod 300 in
  List.init length (fun i -> string_of_int (i + n))

(* The changes to a key are numbered, too, and every fifth is that it is removed. *)
let is_removed n = n mod 5 = 0

let check_part (key, n, l) =
  if l <> list key n then failwith (Printf.sprintf "the part of %d, %d" key n)

let check_value v =
  if v.list <> list v.key v.n then failwith (Printf.sprintf "value %d, %d" v.key v.n);
  Option.iter check_part v.part

(* What all of a round's processes write into: for each key the change that was begun last, and the
   one that was done last; and whether something was wrong. *)
type board = (int, Bigarray.int_elt, Bigarray.c_layout) Bigarray.Array2.t

let board dir : board =
  let fd = Unix.openfile (Filename.concat dir "board") [ O_RDWR; O_CREAT ] 0o600 in
  let board = Unix.map_file fd Int C_layout true [| 3; (writers * keys_each) + 1 |] in
  Unix.close fd;
  Bigarray.array2_of_genarray board

let edit ?(durable = false) path = Ancient.open_file ~mode:Create ~durable path

(* Changes its own keys, at random, and now and then makes the file shorter. *)
let write ~durable path (board : board) seed writer =
  let random = Random.State.make [| seed |] in
  let md = edit ~durable path in
  while true do
    let key = (writer * keys_each) + Random.State.int random keys_each in
    let n = board.{1, key} + 1 in
    board.{0, key} <- n;
    (match Random.State.int random 10 with 0 -> Ancient.compact md | _ -> ());
    if is_removed n then ignore (Ancient.remove md (Int key))
    else begin
      let part =
        match
          if n land 1 = 0 then raise Not_found
          else Ancient.get md (Random.State.int random (writers * keys_each))
        with
        | exception Not_found -> None
        | proxy ->
            let other : value = Ancient.follow proxy in
            Some (other.key, other.n, other.list)
      in
      ignore (Ancient.share md key { key; n; list = list key n; part })
    end;
    board.{1, key} <- n
  done

(* Reads what the others write, and looks again at what it has read before. *)
let read path seed =
  let random = Random.State.make [| seed |] in
  let md = edit path in
  let seen = Queue.create () in
  while true do
    (match Ancient.get md (Random.State.int random (writers * keys_each)) with
    | exception Not_found -> ()
    | proxy ->
        let v : value = Ancient.follow proxy in
        check_value v;
        Queue.push v seen);
    if Queue.length seen > 10 then check_value (Queue.pop seen)
  done

(* In a child. What it finds wrong it says at once, and leaves on the board, because it is killed. *)
let guarded (board : board) f =
  fork (fun () ->
      try f ()
      with e ->
        board.{2, 0} <- 1;
        raise e)

(* A change that was cut off was made or not; the next one is counted from what is there. *)
let check path (board : board) ~verify =
  wait_ok
    (fork (fun () ->
         let md = Ancient.open_file ~mode:Read_write ~durable:false ~verify path in
         (match Ancient.verify md with
         | Ok () -> ()
         | Error { offset; reason; _ } -> failwith (Printf.sprintf "%d: %s" offset reason));
         for key = 0 to (writers * keys_each) - 1 do
           let is_at n =
             match (Ancient.get md key : value Ancient.ancient) with
             | exception Not_found -> n = 0 || is_removed n
             | proxy ->
                 let v = Ancient.follow proxy in
                 check_value v;
                 v.key = key && v.n = n
           in
           let started, finished = (board.{0, key}, board.{1, key}) in
           if not (is_at finished) then
             if is_at started then board.{1, key} <- started
             else
               failwith
                 (Printf.sprintf "key %d is neither at %d nor at %d" key finished started)
         done;
         (* The lock is free. *)
         ignore (Ancient.share md 1_000_000 ())))

let killed ~durable rounds () =
  with_temp_dir (fun dir ->
      let path = Filename.concat dir "image" and board = board dir in
      let random = Random.State.make [| Lazy.force seed |] in
      (* Longer on a busy machine, until writers get as far as to write. *)
      let longest = ref 0.004 in
      for round = 1 to rounds do
        let before = Array.init (writers * keys_each) (fun key -> board.{1, key}) in
        let child f = guarded board (fun () -> f (Random.State.bits random)) in
        let reader = child (read path) in
        let all =
          reader
          :: List.init writers (fun writer ->
                 child (fun seed -> write ~durable path board (seed + writer) writer))
        in
        let pause () = Unix.sleepf (Random.State.float random !longest) in
        pause ();
        List.iter
          (fun pid ->
            Unix.kill pid Sys.sigkill;
            ignore (wait pid);
            if Random.State.bool random then pause ())
          (List.rev all);
        check_int "nothing was wrong" 0 board.{2, 0};
        if Sys.file_exists path then check path board ~verify:(round land 1 = 0);
        if Array.for_all Fun.id (Array.mapi (fun key n -> board.{1, key} = n) before) then
          longest := Float.min 1. (!longest *. 1.2)
      done;
      let changes = ref 0 in
      for key = 0 to (writers * keys_each) - 1 do
        changes := !changes + board.{1, key}
      done;
      check_bool "the writers got somewhere" true (!changes > rounds / 2);
      (* Nothing leaks: without its values, the file is what an empty one is. *)
      wait_ok
        (fork (fun () ->
             let md = edit path in
             List.iter (fun key -> ignore (Ancient.remove md key)) (Ancient.keys md);
             Ancient.compact md));
      check_int "nothing is left" 8192 (Unix.stat path).st_size)

(* Killed while the file is made: it is there, or it isn't, and whoever comes next makes it. *)
let creation rounds () =
  with_temp_dir (fun dir ->
      let random = Random.State.make [| Lazy.force seed |] in
      let there = ref 0 in
      for round = 1 to rounds do
        let path = Filename.concat dir (string_of_int (round mod 7)) in
        if Sys.file_exists path then Sys.remove path;
        let make () =
          fork (fun () ->
              let md = edit ~durable:(round mod 10 = 0) path in
              ignore (Ancient.share md 0 (list 0 3)))
        in
        let makers = List.init (1 + (round land 1)) (fun _ -> make ()) in
        Unix.sleepf (Random.State.float random 0.002);
        List.iter (fun pid -> Unix.kill pid Sys.sigkill) makers;
        List.iter (fun pid -> ignore (wait pid)) makers;
        if Sys.file_exists path && (Unix.stat path).st_size > 0 then incr there;
        wait_ok
          (fork (fun () ->
               let md = edit path in
               if Ancient.verify md <> Ok () then failwith "verify";
               (match Ancient.get md 0 with
               | exception Not_found -> ()
               | proxy -> if Ancient.follow proxy <> list 0 3 then failwith "key 0");
               ignore (Ancient.share md 1 (list 1 3));
               if Ancient.follow (Ancient.get md 1) <> list 1 3 then failwith "key 1"))
      done;
      check_bool "some were killed early, some late" true (!there > 0))

let () =
  run "ancient file: killed at once"
    [
      ( "killed",
        [
          test "in anything" (killed ~durable:false 220);
          test "waiting for the disk" (killed ~durable:true 20);
          test "while the file is made" (creation 220);
        ] );
    ]
