(* What the tests share: a value of every kind that may be in a file, and how to open one. *)

type variant = Constant | Block of int * string | Float of float

type record = {
  int : int;
  string : string;
  float : float;
  floats : float array;
  point : point;
  mutable self : record option;
}

and point = { x : float; y : float }

type everything = {
  record : record;
  twice : string * string;
  variants : variant list;
  int64 : int64;
  int32 : int32;
  nativeint : nativeint;
  bigarray : (float, Bigarray.float64_elt, Bigarray.c_layout) Bigarray.Array2.t;
  bytes : (char, Bigarray.int8_unsigned_elt, Bigarray.c_layout) Bigarray.Array1.t;
  table : (string, int) Hashtbl.t;
  empty_string : string;
  empty_array : int array;
  empty_floats : float array;
  empty_list : int list;
  literal : string list;
  forced : int list Lazy.t;
  poly : [ `A | `B of int ];
  array : int array array;
}

let bigarray () =
  let a = Bigarray.(Array2.create Float64 C_layout 3 5) in
  for i = 0 to 2 do
    for j = 0 to 4 do
      a.{i, j} <- float_of_int ((10 * i) + j)
    done
  done;
  a

let everything () =
  let shared = String.make 3 's' in
  let table = Hashtbl.create 8 in
  for i = 1 to 100 do
    Hashtbl.replace table (string_of_int i) i
  done;
  let forced = lazy (List.init 3 succ) in
  ignore (Lazy.force forced);
  {
    record =
      {
        int = max_int;
        string = "a string";
        float = 1.5;
        floats = [| 1.; nan; infinity |];
        point = { x = 0.25; y = -0. };
        self = None;
      };
    twice = (shared, shared);
    variants = [ Constant; Block (1, "one"); Float 2.5 ];
    int64 = 0x1234_5678_9abc_def0L;
    int32 = -7l;
    nativeint = 99n;
    bigarray = bigarray ();
    bytes = Bigarray.(Array1.init Char C_layout 1000 (fun i -> Char.chr (i land 255)));
    table;
    empty_string = "";
    empty_array = [||];
    empty_floats = [||];
    empty_list = [];
    literal = [ "toplevel"; "literal" ];
    forced;
    poly = `B 3;
    array = Array.init 50 (fun i -> Array.make i i);
  }

let openfile ?(flags = [ Unix.O_RDWR; Unix.O_CREAT ]) path =
  Unix.openfile path flags 0o600

let attach ?flags ?(base = 0n) path =
  let fd = openfile ?flags path in
  Fun.protect ~finally:(fun () -> Unix.close fd) (fun () -> Ancient.attach fd base)

let read_only = [ Unix.O_RDONLY ]

(* Fails unless [v], from a file, is in every way what [w], from the heap, is. *)
let check_same what v w =
  if compare v w <> 0 then failwith (what ^ ": compare says that they differ");
  if compare w v <> 0 then failwith (what ^ ": compare the other way round");
  if Hashtbl.hash v <> Hashtbl.hash w then failwith (what ^ ": hash");
  if Hashtbl.hash_param 1000 1000 v <> Hashtbl.hash_param 1000 1000 w then
    failwith (what ^ ": long hash");
  let bytes x = Marshal.to_string x [] in
  if bytes v <> bytes w then failwith (what ^ ": Marshal");
  if compare (Marshal.from_string (bytes v) 0) w <> 0 then
    failwith (what ^ ": unmarshalled")

let check_everything (v : everything) =
  let w = everything () in
  check_same "everything" v w;
  if not (Int64.equal v.int64 w.int64 && w.int64 = v.int64) then failwith "int64";
  if Int64.add v.int64 1L <> 0x1234_5678_9abc_def1L then failwith "int64 add";
  if v.int32 <> w.int32 || v.nativeint <> w.nativeint then failwith "int32, nativeint";
  if v.bigarray <> w.bigarray || v.bigarray.{2, 3} <> 23. then failwith "bigarray";
  if v.bytes <> w.bytes || v.bytes.{300} <> Char.chr 44 then failwith "bytes";
  let row = Bigarray.Array2.slice_left v.bigarray 1 in
  if row.{4} <> 14. then failwith "slice";
  let a, b = v.twice in
  if a != b then failwith "sharing was lost";
  if Hashtbl.find v.table "42" <> 42 || Hashtbl.length v.table <> 100 then
    failwith "table";
  if Array.append v.empty_array [| 1 |] <> [| 1 |] then failwith "append to [||]";
  if Array.append v.empty_floats [| 1. |] <> [| 1. |] then failwith "append to float [||]";
  if v.empty_string ^ "x" <> "x" || v.empty_list <> [] then failwith "empty";
  if Lazy.force v.forced <> [ 1; 2; 3 ] then failwith "forced lazy";
  match v.variants with
  | [ Constant; Block (1, "one"); Float 2.5 ] -> ()
  | _ -> failwith "variants"

(* Whether [words] stand in [text]. *)
let contains words text =
  let length = String.length words in
  let rec from at =
    at + length <= String.length text
    && (String.sub text at length = words || from (at + 1))
  in
  from 0
