let role_variable = "HH_SHARED_TEST_ROLE"
let roles : (string, string array -> unit) Hashtbl.t = Hashtbl.create 8
let role name f = Hashtbl.replace roles name f

let guarded f =
  match f () with
  | () -> 0
  | exception e ->
      Printf.eprintf "[%d] %s\n%s%!" (Unix.getpid ()) (Printexc.to_string e)
        (Printexc.get_backtrace ());
      2

let verifying =
  match Sys.getenv_opt "OCAMLRUNPARAM" with
  | Some p -> String.contains p 'V'
  | None -> false

let run ?(seconds = 300) name suites =
  (* SIGALRM's default action ends the process even while a stub is stuck. *)
  ignore (Unix.alarm (if verifying then 2 * seconds else seconds));
  match Sys.getenv_opt role_variable with
  | None -> Alcotest.run ~show_errors:true name suites
  | Some wanted -> (
      match Hashtbl.find_opt roles wanted with
      | None ->
          prerr_endline ("no such role: " ^ wanted);
          exit 3
      | Some f ->
          exit (guarded (fun () -> f (Array.sub Sys.argv 1 (Array.length Sys.argv - 1)))))

let test name f = Alcotest.test_case name `Quick f

let spawn ?(stdin = Unix.stdin) ?(stdout = Unix.stdout) name args =
  let environment =
    Array.append
      (Array.of_list
         (List.filter
            (fun binding ->
              not (String.starts_with ~prefix:(role_variable ^ "=") binding))
            (Array.to_list (Unix.environment ()))))
      [| role_variable ^ "=" ^ name |]
  in
  Unix.create_process_env Sys.executable_name
    (Array.of_list (Sys.executable_name :: args))
    environment stdin stdout Unix.stderr

let fork f =
  flush_all ();
  match Unix.fork () with 0 -> Unix._exit (guarded f) | pid -> pid

let rec wait pid =
  match Unix.waitpid [] pid with
  | _, status -> status
  | exception Unix.Unix_error (EINTR, _, _) -> wait pid

let wait_ok pid =
  match wait pid with
  | WEXITED 0 -> ()
  | WEXITED n -> Alcotest.failf "process %d exited with %d" pid n
  | WSIGNALED n -> Alcotest.failf "process %d was killed by signal %d" pid n
  | WSTOPPED n -> Alcotest.failf "process %d was stopped by signal %d" pid n

let check_int what expected got = Alcotest.(check int) what expected got
let check_bool what expected got = Alcotest.(check bool) what expected got
let check_string what expected got = Alcotest.(check string) what expected got

let raises_unix what code f =
  match f () with
  | _ -> Alcotest.failf "%s: no exception, wanted %s" what (Unix.error_message code)
  | exception Unix.Unix_error (got, name, argument) ->
      if got <> code then
        Alcotest.failf "%s: %s (%s, %s), wanted %s" what (Unix.error_message got) name
          argument (Unix.error_message code)

let raises_invalid what f =
  match f () with
  | _ -> Alcotest.failf "%s: no exception, wanted Invalid_argument" what
  | exception Invalid_argument _ -> ()

let rec remove path =
  match (Unix.lstat path).st_kind with
  | S_DIR ->
      Array.iter (fun name -> remove (Filename.concat path name)) (Sys.readdir path);
      Unix.rmdir path
  | _ -> Unix.unlink path

let with_temp_dir f =
  let dir = Filename.temp_dir "hh_shared" "" in
  Fun.protect
    ~finally:(fun () -> if Sys.file_exists dir then remove dir)
    (fun () -> f dir)

let lines path = In_channel.with_open_bin path (fun c -> In_channel.input_all c)
let collect () = if verifying then Gc.full_major () else Gc.compact ()

let resident_bytes () =
  Scanf.sscanf (lines "/proc/self/statm") "%d %d" (fun _ resident -> resident * 4096)

(* Resident memory grows by itself at times: the kernel makes huge pages of small ones when it
   pleases. What leaks, leaks every time. *)
let leaves_no_memory ~most f =
  let rec go rounds grown =
    if rounds = 0 then
      Alcotest.failf "bytes more, each time: %s"
        (String.concat ", " (List.rev_map string_of_int grown))
    else
      let before = resident_bytes () in
      f ();
      let more = resident_bytes () - before in
      if more >= most then go (rounds - 1) (more :: grown)
  in
  go 5 []

let mappings () = List.length (String.split_on_char '\n' (lines "/proc/self/maps")) - 1

let seed =
  lazy
    (match Sys.getenv_opt "QCHECK_SEED" with
    | Some text -> int_of_string text
    | None ->
        Random.self_init ();
        Random.bits ())

let property ?(count = 200) name values holds =
  test name (fun () ->
      let seed = Lazy.force seed in
      let cell = QCheck.Test.make_cell ~name ~count values holds in
      try QCheck.Test.check_cell_exn ~rand:(Random.State.make [| seed |]) cell
      with e -> Alcotest.failf "QCHECK_SEED=%d: %s" seed (Printexc.to_string e))

module Random_graph = Random_graph
