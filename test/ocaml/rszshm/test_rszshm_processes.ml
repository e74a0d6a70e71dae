(* Rszshm between processes: forked ones, unrelated ones, and ones that are killed. *)

open Test_support
module Marks = Rszshm_marks

let page = 4096
let mib = 1 lsl 20

(* ccan's own number: all of 4 MiB but its header and counter. *)
let bytes = (4 * mib) - 28
let with_path f = with_temp_dir (fun dir -> f (Filename.concat dir "region"))

(* On tmpfs, where a growth takes a while: the system gives it zeroed memory. *)
let with_shm f =
  let r = Rszshm.make ~scan:{ Rszshm.default_scan with len = 64 * mib } 1 in
  Fun.protect
    ~finally:(fun () ->
      Rszshm.remove r;
      Rszshm.detach r)
    (fun () -> f r)

let wait_until what holds =
  let deadline = Unix.gettimeofday () +. 120. in
  while not (holds ()) do
    if Unix.gettimeofday () > deadline then Alcotest.failf "waited too long: %s" what;
    Unix.sleepf 0.0005
  done

let () =
  role "fill" (fun args ->
      let r = Rszshm.attach args.(0) in
      Marks.fill r args.(1).[0] (int_of_string args.(2));
      Rszshm.detach r)

let mark n = Char.chr (Char.code 'A' + n)

let forked () =
  with_path (fun path ->
      let r = Rszshm.make ~path page in
      let child n = fork (fun () -> Marks.fill r (mark n) bytes) in
      let pids = List.init 7 child in
      Marks.fill r (mark 7) bytes;
      List.iter wait_ok pids;
      let marks = Marks.check ~drawers:8 r bytes in
      check_bool ("A to H: " ^ marks) true (String.for_all (fun c -> c <= 'H') marks);
      Rszshm.detach r)

let executed () =
  with_path (fun path ->
      let r = Rszshm.make ~path page in
      let child n = spawn "fill" [ path; String.make 1 (mark n); string_of_int bytes ] in
      List.iter wait_ok (List.init 8 child);
      let marks = Marks.check ~drawers:8 r bytes in
      check_bool ("A to H: " ^ marks) true (String.for_all (fun c -> c <= 'H') marks);
      Rszshm.detach r)

(* Word 0: whose turn it is. Word 8: an address. *)
let () =
  role "peer" (fun args ->
      let r = Rszshm.attach args.(0) in
      wait_until "turn 1" (fun () -> Rszshm.load r 0 = 1);
      Alcotest.(check int)
        "the same address" (Rszshm.load r 8)
        (Nativeint.to_int (Rszshm.address r));
      check_int "nothing new here" 0 (Bool.to_int (Rszshm.update r));
      check_bool "extended" true (Rszshm.grow r);
      (Rszshm.data r).{Rszshm.capacity r - 1} <- 'p';
      Rszshm.store r 0 2;
      wait_until "turn 3" (fun () -> Rszshm.load r 0 = 3);
      let before = Rszshm.capacity r in
      check_bool "followed" false (Rszshm.grow r);
      check_bool "larger" true (Rszshm.capacity r > before);
      check_bool "its byte" true ((Rszshm.data r).{Rszshm.capacity r - 1} = 'q');
      Rszshm.detach r)

let growth_is_seen () =
  with_path (fun path ->
      let r = Rszshm.make ~path 1 in
      let pid = spawn "peer" [ path ] in
      Rszshm.store r 8 (Nativeint.to_int (Rszshm.address r));
      let before = Rszshm.capacity r in
      Rszshm.store r 0 1;
      wait_until "turn 2" (fun () -> Rszshm.load r 0 = 2);
      check_int "not before update" before (Rszshm.capacity r);
      check_bool "update" true (Rszshm.update r);
      check_bool "no more" false (Rszshm.update r);
      check_bool "its byte" true ((Rszshm.data r).{Rszshm.capacity r - 1} = 'p');
      check_bool "grow" true (Rszshm.grow r);
      (Rszshm.data r).{Rszshm.capacity r - 1} <- 'q';
      Rszshm.store r 0 3;
      wait_ok pid;
      Rszshm.detach r)

(* All find the region too small at the same time. One extends it, the others follow: also
   parent and child, who share the descriptor. *)
let one_extends () =
  let rounds = 12 and everybody = 6 in
  with_path (fun path ->
      let r = Rszshm.make ~path 1 in
      let base = Rszshm.capacity r + 64 in
      let meet n =
        ignore (Rszshm.fetch_add r 0 1 : int);
        wait_until "all to meet" (fun () -> Rszshm.load r 0 >= n * everybody)
      in
      let work () =
        for round = 1 to rounds do
          meet ((2 * round) - 1);
          if Rszshm.grow r then ignore (Rszshm.fetch_add r 8 1 : int);
          check_int "doubled once" (base lsl round) (Rszshm.capacity r + 64);
          meet (2 * round)
        done
      in
      let pids = List.init (everybody - 1) (fun _ -> fork work) in
      work ();
      List.iter wait_ok pids;
      check_int "extended once each time" rounds (Rszshm.load r 8);
      Rszshm.detach r)

let rec grow_to_the_end r =
  match Rszshm.grow r with
  | _ -> grow_to_the_end r
  | exception Unix.Unix_error (ENOMEM, _, _) -> ()

let killed_while_growing () =
  let unfinished = ref 0 in
  for _ = 1 to 60 do
    with_shm (fun r ->
        let victim = fork (fun () -> grow_to_the_end r) in
        let other = fork (fun () -> grow_to_the_end r) in
        Unix.sleepf (Random.float 0.03);
        Unix.kill victim Sys.sigkill;
        (match wait victim with
        | WSIGNALED _ | WEXITED 0 -> ()
        | _ -> Alcotest.fail "the victim failed by itself");
        wait_ok other;
        ignore (Rszshm.update r : bool);
        check_int "the other got to the end" (Rszshm.max_capacity r) (Rszshm.capacity r));
    (* Nobody else to finish what the victim began. *)
    with_shm (fun r ->
        let victim = fork (fun () -> grow_to_the_end r) in
        Unix.sleepf (Random.float 0.03);
        Unix.kill victim Sys.sigkill;
        ignore (wait victim : Unix.process_status);
        ignore (Rszshm.update r : bool);
        if Rszshm.capacity r < Rszshm.max_capacity r then incr unfinished;
        (* An unrelated process attaches what is left, and grows it. *)
        Rszshm.detach r;
        let again = Rszshm.attach (Rszshm.path r) in
        grow_to_the_end again;
        check_int "to the end" (Rszshm.max_capacity again) (Rszshm.capacity again);
        Rszshm.store again (Rszshm.capacity again - 8) 1;
        Rszshm.detach again)
  done;
  Printf.printf "killed before the end: %d of 60\n" !unfinished;
  check_bool "some were killed before the end" true (!unfinished > 0)

(* A process that stops in the middle of whatever stops nobody: there is no lock. *)
let stopped () =
  with_shm (fun r ->
      let victim = fork (fun () -> grow_to_the_end r) in
      Unix.sleepf (Random.float 0.005);
      Unix.kill victim Sys.sigstop;
      grow_to_the_end r;
      check_int "to the end" (Rszshm.max_capacity r) (Rszshm.capacity r);
      Unix.kill victim Sys.sigcont;
      wait_ok victim)

let exits_harmlessly () =
  with_path (fun path ->
      let r = Rszshm.make ~path 1 in
      let pid =
        fork (fun () ->
            Rszshm.store r 0 7;
            Rszshm.detach r)
      in
      wait_ok pid;
      check_int "still here" 7 (Rszshm.load r 0);
      check_bool "and there" true (Sys.file_exists path);
      check_bool "and growing" true (Rszshm.grow r);
      Rszshm.detach r)

let () =
  Random.self_init ();
  run "rszshm processes"
    [
      ( "processes",
        [
          test "8 forked ones mark every byte once" forked;
          test "8 executed ones mark every byte once" executed;
          test "growth is seen at the next update" growth_is_seen;
          test "one of many extends" one_extends;
          test "killed while growing" killed_while_growing;
          test "stopped while growing" stopped;
          test "a child's detaching is its own" exits_harmlessly;
        ] );
    ]
