(* A large value is shared while another domain runs: see slicing.ml; and what runs between two
   slices, on the same thread or another one, finds the file and its lock in order. *)

open Test_support
open Slicing

(* In memory, if there is room: these files are some gigabytes in all, and a slow disk takes minutes
   for that. *)
let temp_dir =
  lazy
    (let has_room dir =
       match
         Filename.open_temp_file ~mode:[ Open_binary ] ~temp_dir:dir "hh_shared" ""
       with
       | exception Sys_error _ -> false
       | path, channel -> (
           let megabyte = String.make (1 lsl 20) 'x' in
           Fun.protect ~finally:(fun () -> Sys.remove path) @@ fun () ->
           try
             for _ = 1 to 1024 do
               output_string channel megabyte
             done;
             close_out channel;
             true
           with Sys_error _ ->
             close_out_noerr channel;
             false)
     in
     if has_room "/dev/shm" then "/dev/shm" else Filename.get_temp_dir_name ())

let attach_new () =
  let path = Filename.temp_file ~temp_dir:(Lazy.force temp_dir) "hh_shared" "" in
  (path, Ancient.open_file ~mode:Create ~durable:false path)

let drop (path, md) =
  Ancient.detach md;
  Sys.remove path

let in_file f () =
  let path, md = attach_new () in
  Fun.protect (fun () -> f path md) ~finally:(fun () -> drop (path, md))

(* Each copy in a file of its own: what was followed keeps its place. *)
let shares =
  let attached = ref None in
  let drop () =
    Option.iter drop !attached;
    attached := None
  in
  let copy v =
    drop ();
    let path, md = attach_new () in
    attached := Some (path, md);
    Ancient.share md 1 v
  in
  { rounds = min 2; copy; drop = (fun _ -> drop ()) }

let check_whole md = check_bool "verify" true (Ancient.verify md = Ok ())
let get md key : int list = Ancient.follow (Ancient.get md key)

(* Another process gets the lock, and finds a value that it can replace. *)
let () =
  role "write" (fun args ->
      let md = Ancient.open_file ~mode:Read_write args.(0) in
      ignore (Ancient.share md 2 [ 2; 2 ]))

let others_can_write path md =
  wait_ok (spawn "write" [ path ]);
  check_bool "the other's" true (get md 2 = [ 2; 2 ])

(* Collections of the other domain from one slice to another: a handler runs between two, and not
   while the value is written to the file, when the others have all the time there is. The last
   time may be thereafter. *)
let others_collect_meanwhile _path md =
  let value = numbers () in
  let collections = Atomic.make 0 and seen = ref [] and total = ref 0 in
  let collect () =
    Gc.minor ();
    Atomic.incr collections
  in
  let note () = seen := Atomic.get collections :: !seen in
  with_alarm note @@ fun alarm ->
  beside collect (fun () ->
      alarm ~again:true ();
      one_lets_pass_more_than 3 (fun ~size:_ ->
          seen := [];
          ignore (Ancient.share md 1 value);
          match !seen with
          | _ :: (last :: _ as all) ->
              let first = List.nth all (List.length all - 1) in
              total := !total + last - first;
              !total
          | _ -> !total))

exception Alarm

let a_handler_raises path md =
  let value = numbers () in
  ignore (Ancient.share md 1 [ 1 ]);
  let armed = ref false and raised = ref 0 in
  with_alarm (fun () -> if !armed then raise Alarm) @@ fun alarm ->
  let try_to_share () =
    alarm ();
    armed := true;
    match Ancient.share md 3 value with
    | _ -> armed := false
    | exception Alarm -> incr raised
  in
  beside idle (fun () ->
      while !raised < 5 do
        try_to_share ();
        ignore (Ancient.remove md (Int 3))
      done;
      check_bool "as it was" true (Ancient.keys md = [ Int 1 ] && get md 1 = [ 1 ]);
      check_whole md;
      others_can_write path md;
      check_numbers (Ancient.share md 3 value);
      check_whole md)

(* It waited for itself, for ever. *)
let a_handler_changes_the_file path md =
  let value = numbers () in
  let refused = ref 0 in
  let other_path, other = attach_new () in
  (* As if by a program that has the file from elsewhere. *)
  let twice = Ancient.open_file ~mode:Read_write path in
  let is_refused what f =
    match f () with
    | () -> false
    | exception Invalid_argument text ->
        String.starts_with ~prefix:("Ancient." ^ what ^ ": file ") text
        && String.ends_with ~suffix:"for afterwards" text
  in
  let share md () = ignore (Ancient.share md 2 [ 0 ]) in
  let handler () =
    (* It may run before the lock is taken, or when it is free again. *)
    if is_refused "share" (share md) then begin
      check_bool "the same file" true (is_refused "share" (share twice));
      let remove () = ignore (Ancient.remove md (Int 1)) in
      check_bool "remove" true (is_refused "remove" remove);
      check_bool "compact" true (is_refused "compact" (fun () -> Ancient.compact md));
      incr refused;
      let n = Ancient.follow (Ancient.share other 1 !refused) in
      check_int "another file" !refused n;
      ignore (Ancient.mem md (Int 1))
    end
  in
  with_alarm handler @@ fun alarm ->
  beside idle (fun () ->
      while !refused < 3 do
        alarm ();
        ignore (Ancient.share md 1 value)
      done;
      check_numbers (Ancient.get md 1);
      check_whole md;
      others_can_write path md);
  Ancient.detach twice;
  drop (other_path, other)

(* While one thread is between two slices, another one of its domain wants the lock: it waits, and
   lets the first one go on. *)
let another_thread_waits _path md =
  let value = numbers () in
  let wanted, want = Unix.pipe () in
  let sharing = Atomic.make false and waited = ref 0 and stop = ref false in
  let other () =
    let byte = Bytes.create 1 in
    while
      ignore (Unix.read wanted byte 0 1);
      not !stop
    do
      let during = Atomic.get sharing in
      ignore (Ancient.share md 2 [ !waited ]);
      if during && not (Atomic.get sharing) then incr waited
    done
  in
  let thread = Thread.create other () in
  let wake () = ignore (Unix.write_substring want "x" 0 1) in
  let handler () =
    wake ();
    Thread.yield ()
  in
  with_alarm handler (fun alarm ->
      beside idle (fun () ->
          while !waited < 3 do
            alarm ();
            Atomic.set sharing true;
            ignore (Ancient.share md 1 value);
            Atomic.set sharing false;
            Thread.delay 0.01
          done));
  stop := true;
  wake ();
  Thread.join thread;
  check_numbers (Ancient.get md 1);
  check_whole md

let another_domain_waits _path md =
  let value = numbers () in
  let shared = Atomic.make 0 in
  let other () =
    let n = Atomic.get shared + 1 in
    if Ancient.follow (Ancient.share md 2 n) <> n then failwith "another's";
    Atomic.set shared n
  in
  beside other (fun () ->
      for _ = 1 to 3 do
        check_numbers (Ancient.share md 1 value);
        let before = Atomic.get shared in
        while Atomic.get shared = before do
          Domain.cpu_relax ()
        done
      done);
  check_whole md

let () =
  run "ancient share, slices"
    [
      ("a large value, two domains", tests shares);
      ( "between two slices",
        [
          test "others collect meanwhile" (in_file others_collect_meanwhile);
          test "a handler raises" (in_file a_handler_raises);
          test "a handler changes the file" (in_file a_handler_changes_the_file);
          test "another thread waits" (in_file another_thread_waits);
          test "another domain waits" (in_file another_domain_waits);
        ] );
    ]
