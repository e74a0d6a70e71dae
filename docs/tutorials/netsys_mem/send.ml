let child socket =
  let memory = Netsys_mem.mem_recv_fd ~same_address:true socket in
  let words : string list = Netsys_mem.as_value memory 8 in
  print_endline (String.concat " " words)

let parent socket =
  let memory = Netsys_mem.alloc_shared_memory 65536 in
  ignore (Netsys_mem.init_value memory 0 [ "built"; "once,"; "read"; "elsewhere" ] []);
  Netsys_mem.mem_send_fd socket memory

let () =
  match Sys.argv with
  | [| _; "child" |] -> child Unix.stdin
  | _ ->
      let ours, theirs = Unix.socketpair ~cloexec:true PF_UNIX SOCK_STREAM 0 in
      let self = Sys.executable_name in
      let pid =
        Unix.create_process self [| self; "child" |] theirs Unix.stdout Unix.stderr
      in
      parent ours;
      ignore (Unix.waitpid [] pid)
