(* Ten unrelated processes with two domains each, all at once on one file. *)

open Test_support
open Values

(* A value, and what the writer said of it: every process must say the same. *)
type packet = {
  writer : int;
  n : int;
  payload : payload;
  marshalled : string;
  hash : int;
  long_hash : int;
  printed : string;
}

and payload = {
  int64s : int64 array;
  int32s : (int32 * int64) list;
  nativeint : nativeint;
  array : (float, Bigarray.float64_elt, Bigarray.c_layout) Bigarray.Array2.t;
  bytes : (int, Bigarray.int8_unsigned_elt, Bigarray.fortran_layout) Bigarray.Array1.t;
  floats : float array;
  strings : (string, string) Hashtbl.t;
  variant : variant list;
}

let payload writer n =
  let k = (writer * 100) + n in
  let strings = Hashtbl.create 8 in
  for i = 0 to 20 do
    Hashtbl.replace strings (string_of_int (i + k)) (String.make (i mod 5) 's')
  done;
  {
    int64s = Array.init 30 (fun i -> Int64.mul 0x1_0000_0001L (Int64.of_int (i - k)));
    int32s = List.init 20 (fun i -> (Int32.of_int (i * k), Int64.of_int (-i)));
    nativeint = Nativeint.of_int (k * k);
    array = Bigarray.(Array2.init Float64 C_layout) 3 7 (fun i j -> float ((i * k) + j));
    bytes = Bigarray.(Array1.init Int8_unsigned Fortran_layout) (100 + (n mod 9)) (fun i -> i land 255);
    floats = [| 1. /. float (k + 1); infinity; -0.; float k |];
    strings;
    variant = [ Constant; Block (k, "b"); Float (float n) ];
  }
  [@@ocamlformat "disable"]

let print p =
  let int32s = List.map (fun (a, b) -> Printf.sprintf "%ld/%Lx" a b) p.int32s in
  let variants = List.map (function Constant -> 0 | Block (k, _) -> k | Float x -> truncate x) p.variant in
  Printf.sprintf "%d %d %Ld %s %nd %h %g %S" (List.fold_left ( + ) 0 variants) p.bytes.{100} p.int64s.(7) (String.concat "," int32s) p.nativeint
    p.floats.(0) p.array.{2, 6}
    (String.concat "" (List.init 2000 (fun i -> Option.value ~default:"" (Hashtbl.find_opt p.strings (string_of_int i)))))
  [@@ocamlformat "disable"]

let packet writer n =
  let payload = payload writer n in
  {
    writer;
    n;
    payload;
    marshalled = Marshal.to_string payload [];
    hash = Hashtbl.hash payload;
    long_hash = Hashtbl.hash_param 500 500 payload;
    printed = print payload;
  }

let check p =
  if Hashtbl.hash p.payload <> p.hash then failwith "hash";
  if Hashtbl.hash_param 500 500 p.payload <> p.long_hash then failwith "long hash";
  if Marshal.to_string p.payload [] <> p.marshalled then failwith "Marshal";
  if print p.payload <> p.printed then failwith "printed";
  let own = payload p.writer p.n in
  if compare p.payload own <> 0 || compare own p.payload <> 0 then failwith "compare";
  if not (p.payload.int64s = own.int64s && p.payload.array = own.array) then
    failwith "equal"

let processes = 10

(* One of the two writes and reads, one only reads; each keeps what it has read for a while. *)
let domain path number ~writes () =
  let md = if writes then Ancient.open_file ~mode:Create ~durable:false path else Ancient.open_file path in
  let random = Random.State.make [| Lazy.force seed; number; Bool.to_int writes |] in
  let kept = Queue.create () in
  let read key =
    match Ancient.get md key with
    | exception Not_found -> ()
    | proxy ->
        let p : packet = Ancient.follow proxy in
        check p;
        if p.writer <> key then failwith "another key's";
        Queue.push p kept
  in
  for n = 1 to 25 do
    if writes then begin
      let p = packet number n in
      let p' = Ancient.follow (Ancient.share md number p) in
      check p';
      if compare p p' <> 0 then failwith "not what was shared"
    end;
    for _ = 1 to 3 do
      read (Random.State.int random processes)
    done;
    if Queue.length kept > 10 then check (Queue.pop kept);
    if n mod 10 = 0 then Gc.full_major ()
  done;
  Queue.iter check kept;
  Ancient.detach md
  [@@ocamlformat "disable"]

let () =
  role "member" (fun args ->
      let path = args.(0) and number = int_of_string args.(1) in
      (* Which opens the file for the first time is not said. *)
      let other = Domain.spawn (fun () -> domain path number ~writes:true ()) in
      let rec wait_for_file () =
        if not (Sys.file_exists path && (Unix.stat path).st_size >= 8192) then begin
          Unix.sleepf 0.001;
          wait_for_file ()
        end
      in
      wait_for_file ();
      (match domain path number ~writes:false () with
      | () -> ()
      | exception Failure text when contains "open for reading only" text -> ());
      Domain.join other)

let crowd () =
  with_temp_dir (fun dir ->
      let path = Filename.concat dir "image" in
      let all = List.init processes (fun n -> spawn "member" [ path; string_of_int n ]) in
      List.iter wait_ok all;
      let md = Ancient.open_file ~verify:true path in
      check_bool "verify" true (Ancient.verify md = Ok ());
      check_int "keys" processes (List.length (Ancient.keys md));
      for number = 0 to processes - 1 do
        let p : packet = Ancient.follow (Ancient.get md number) in
        check p;
        check_int "the last" 25 p.n
      done)

let () =
  ignore (Lazy.force seed);
  run "ancient file: crowd"
    [ ("crowd", [ test "ten processes, two domains each" crowd ]) ]
