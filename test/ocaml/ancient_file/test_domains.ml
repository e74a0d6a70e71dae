(* Several domains, and signals that arrive while a writer waits. *)

open Test_support
open Values

let in_file f () = with_temp_dir (fun dir -> f (Filename.concat dir "image"))

let () =
  role "keep busy" (fun args ->
      let md = attach args.(0) in
      let v = List.init 300_000 Fun.id in
      for _ = 1 to 15 do
        ignore (Ancient.share md 1 v)
      done)

(* Before any domain is spawned. *)
let signals path =
  let md = attach path in
  ignore (Ancient.share md 0 0);
  let count = ref 0 in
  Sys.set_signal Sys.sigprof (Signal_handle (fun _ -> incr count));
  let child = spawn "keep busy" [ path ] in
  let ticker =
    fork (fun () ->
        let parent = Unix.getppid () in
        for _ = 1 to 100 do
          Unix.sleepf 0.002;
          Unix.kill parent Sys.sigprof
        done)
  in
  for i = 1 to 100 do
    ignore (Ancient.share md 0 (List.init 100 (fun j -> (i, j))))
  done;
  wait_ok ticker;
  wait_ok child;
  Sys.set_signal Sys.sigprof Signal_ignore;
  check_bool "signals came" true (!count > 0);
  check_int "the last one" 100 (fst (List.hd (Ancient.follow (Ancient.get md 0))));
  check_int "the other's" 300_000
    (List.length (Ancient.follow (Ancient.get md 1) : int list))

(* A handler that raises once jumped over the frames of [share], out of the call that lets the
   other domains run: the file's lock stayed taken as long as the process lived. *)
let raising_signals path =
  let md = attach path in
  let v = List.init 20_000 string_of_int in
  let armed = ref false and raised = ref 0 in
  let handler _ =
    if !armed then (
      armed := false;
      raise Exit)
  in
  Sys.set_signal Sys.sigprof (Signal_handle handler);
  let busy = spawn "keep busy" [ path ] in
  let ticker =
    fork (fun () ->
        let parent = Unix.getppid () in
        for _ = 1 to 30_000 do
          Unix.sleepf 0.001;
          Unix.kill parent Sys.sigprof
        done)
  in
  let share () =
    try
      armed := true;
      ignore (Ancient.share md 0 v);
      armed := false
    with Exit -> incr raised
  in
  (* On a busy machine all signals of a third of a second once came between two shares. *)
  let ticks () = fst (Unix.waitpid [ WNOHANG ] ticker) = 0 in
  let rec share_until_raised shares =
    if shares < 100 || !raised = 0 then
      if ticks () then begin
        share ();
        share_until_raised (shares + 1)
      end
      else check_bool "the other goes on" true false
  in
  share_until_raised 0;
  Sys.set_signal Sys.sigprof Signal_ignore;
  Unix.kill ticker Sys.sigkill;
  ignore (Unix.waitpid [] ticker);
  check_bool "handlers raised" true (!raised > 0);
  (* Another process gets the lock while this one lives. *)
  wait_ok busy;
  wait_ok (spawn "keep busy" [ path ]);
  check_int "shared" 300_000 (List.length (Ancient.follow (Ancient.get md 1) : int list))

let domains path =
  let stop = Atomic.make false in
  let collector =
    Domain.spawn (fun () ->
        while not (Atomic.get stop) do
          Gc.full_major ();
          ignore (Sys.opaque_identity (List.init 10_000 string_of_int))
        done)
  in
  let writer key =
    Domain.spawn (fun () ->
        (* Both make the file, or find it made. *)
        let md = attach path in
        for i = 1 to 60 do
          let v = List.init (i * 20) (fun j -> (key, i, string_of_int j)) in
          let v' = Ancient.follow (Ancient.share md key v) in
          if compare v v' <> 0 then failwith "not what was shared";
          match Ancient.get md (1 - key) with
          | exception Not_found -> ()
          | other ->
              let l : (int * int * string) list = Ancient.follow other in
              let k, n, _ = List.hd l in
              if k <> 1 - key || List.length l <> n * 20 then failwith "the other's"
        done;
        Ancient.detach md)
  in
  let writers = List.map writer [ 0; 1 ] in
  List.iter Domain.join writers;
  Atomic.set stop true;
  Domain.join collector;
  let md = attach path in
  for key = 0 to 1 do
    let l : (int * int * string) list = Ancient.follow (Ancient.get md key) in
    check_int "last" 1200 (List.length l)
  done

(* Sharing a value changes nothing of it, not for a moment: here another domain looks all the time,
   and marks it for the collector. *)
let watched path =
  let md = Ancient.open_file ~mode:Create ~durable:false path in
  let make () =
    (everything (), List.init 3000 (fun i -> (i, string_of_int i, Int64.of_int i)))
  in
  let source = make () and expected = make () in
  let bytes = Marshal.to_string source [] in
  let stop = Atomic.make false and looks = Atomic.make 0 in
  let first = fst source and second = snd source in
  let is_still () =
    let source = Sys.opaque_identity source in
    fst source == first && snd source == second
  in
  let watcher =
    Domain.spawn (fun () ->
        (* Should it fail, nobody waits for the next look. *)
        Fun.protect ~finally:(fun () -> Atomic.set looks (-1)) @@ fun () ->
        while not (Atomic.get stop) do
          (* A short moment is seen by who looks often. *)
          for _ = 1 to 100_000 do
            if not (is_still ()) then failwith "changed for a moment"
          done;
          if compare source expected <> 0 then failwith "changed";
          if Hashtbl.hash_param 200 200 source <> Hashtbl.hash_param 200 200 expected then
            failwith "another hash";
          if Atomic.get looks mod 8 = 0 then begin
            if Marshal.to_string source [] <> bytes then failwith "changed in a byte";
            ignore (Gc.major_slice 0)
          end;
          Atomic.incr looks
        done)
  in
  for i = 1 to 300 do
    let before = Atomic.get looks in
    let p = Ancient.share md (i land 3) source in
    if i mod 50 = 0 && compare (Ancient.follow p) expected <> 0 then failwith "the copy";
    (* On one processor, the other has its turn, too. *)
    if i mod 20 = 0 then
      while before >= 0 && Atomic.get looks = before do
        Domain.cpu_relax ()
      done
  done;
  Atomic.set stop true;
  Domain.join watcher

(* A graph that another domain changes while it is shared: some of the changes are seen, and nothing
   else. *)
let changed path =
  let md = Ancient.open_file ~mode:Create ~durable:false path in
  let cells = Array.init 1000 (fun n -> ref [ n ]) in
  let stop = Atomic.make false in
  let changer =
    Domain.spawn (fun () ->
        let n = ref 0 in
        while not (Atomic.get stop) do
          incr n;
          cells.(!n mod 1000) := [ !n mod 1000; !n; !n ];
          if !n mod 10_000 = 0 then Gc.minor ()
        done)
  in
  for i = 1 to 200 do
    let p = Ancient.share md (i land 3) cells in
    Array.iteri
      (fun n cell ->
        match !cell with
        | [ m ] -> if m <> n then failwith "wrong"
        | [ m; a; b ] -> if m <> n || a <> b || a mod 1000 <> n then failwith "torn"
        | _ -> failwith "wrong shape")
      (Ancient.follow p)
  done;
  Atomic.set stop true;
  Domain.join changer;
  check_bool "verify" true (Ancient.verify md = Ok ())

let () =
  run "ancient file: domains"
    [
      ( "domains",
        [
          test "signals while waiting for another writer" (in_file signals);
          test "handlers that raise" (in_file raising_signals);
          test "two domains write, a third collects" (in_file domains);
          test "one watches what the other shares" (in_file watched);
          test "one changes what the other shares" (in_file changed);
        ] );
    ]
