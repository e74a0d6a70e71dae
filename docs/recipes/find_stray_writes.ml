(* Who writes to a value that was marked? With [~protect:true] the first one is killed by SIGSEGV
   where it does it; a debugger or a core file shows the place. *)
let () =
  let counts = Ancient.mark ~protect:true (Array.make 1000 0) in
  match Unix.fork () with
  | 0 -> (Ancient.follow counts).(3) <- 1
  | child -> (
      match Unix.waitpid [] child with
      | _, WSIGNALED signal when signal = Sys.sigsegv -> print_endline "somebody wrote"
      | _ -> print_endline "nobody wrote")
