type t = { input : in_channel; output : out_channel }

let socket folder = Filename.concat folder "redis.sock"

let connect folder =
  let fd = Unix.socket PF_UNIX SOCK_STREAM 0 in
  match Unix.connect fd (ADDR_UNIX (socket folder)) with
  | () -> { input = Unix.in_channel_of_descr fd; output = Unix.out_channel_of_descr fd }
  | exception exn ->
      Unix.close fd;
      raise exn

let close t = close_out t.output

(* The protocol: a command is an array of strings; an answer is a line, or a string. *)

let send t words =
  Printf.fprintf t.output "*%d\r\n" (List.length words);
  let word w =
    output_char t.output '$';
    output_string t.output (string_of_int (String.length w));
    output_string t.output "\r\n";
    output_string t.output w;
    output_string t.output "\r\n"
  in
  List.iter word words

let answer t =
  let line = input_line t.input in
  let rest = String.sub line 1 (String.length line - 2) in
  match line.[0] with
  | '$' when rest = "-1" -> raise Not_found
  | '$' ->
      let text = really_input_string t.input (int_of_string rest) in
      ignore (really_input_string t.input 2);
      text
  | '-' -> failwith rest
  | _ -> rest

(* No more than this ahead: neither side's socket may fill while the other one's is full. *)
let ahead = 200

let pipelined t items send_one use =
  let n = Array.length items in
  let rec batch first =
    if first < n then begin
      let last = min n (first + ahead) in
      for i = first to last - 1 do
        send_one items.(i)
      done;
      flush t.output;
      for _ = first to last - 1 do
        use (answer t)
      done;
      batch last
    end
  in
  batch 0

let put t pairs = pipelined t pairs (fun (k, v) -> send t [ "SET"; k; v ]) ignore
let get_all t keys use = pipelined t keys (fun k -> send t [ "GET"; k ]) use

let get t key =
  send t [ "GET"; key ];
  flush t.output;
  answer t

(* The server. *)

let find_program names =
  let path =
    String.split_on_char ':' (Option.value (Sys.getenv_opt "PATH") ~default:"")
  in
  let found name =
    List.find_opt Sys.file_exists (List.map (fun d -> Filename.concat d name) path)
  in
  match List.find_map found names with
  | Some program -> program
  | None -> failwith (String.concat " or " names ^ " is not installed")

let version t =
  send t [ "INFO"; "server" ];
  flush t.output;
  let field name line =
    if String.starts_with ~prefix:(name ^ ":") line then
      let skip = String.length name + 1 in
      Some (String.trim (String.sub line skip (String.length line - skip)))
    else None
  in
  let lines = String.split_on_char '\n' (answer t) in
  match List.find_map (field "valkey_version") lines with
  | Some version -> "Valkey " ^ version
  | None ->
      "Redis " ^ Option.value (List.find_map (field "redis_version") lines) ~default:""

let start folder =
  let program = find_program [ "redis-server"; "valkey-server" ] in
  let options = [ "--port"; "0"; "--save"; ""; "--appendonly"; "no"; "--dir"; folder ] in
  let argv = Array.of_list (program :: "--unixsocket" :: socket folder :: options) in
  let log = Filename.concat folder "redis.log" in
  let log = Unix.openfile log [ O_WRONLY; O_CREAT; O_TRUNC; O_CLOEXEC ] 0o600 in
  let pid = Unix.create_process program argv Unix.stdin log log in
  Unix.close log;
  let here = Unix.getpid () in
  let stop () =
    if Unix.getpid () = here then begin
      Unix.kill pid Sys.sigterm;
      ignore (Unix.waitpid [] pid)
    end
  in
  at_exit stop;
  let rec wait tries =
    match connect folder with
    | t -> t
    | exception Unix.Unix_error _ when tries > 0 ->
        Unix.sleepf 0.02;
        wait (tries - 1)
    | exception Unix.Unix_error (e, _, _) -> failwith (Unix.error_message e)
  in
  let t = wait 250 in
  let name = version t in
  close t;
  name
