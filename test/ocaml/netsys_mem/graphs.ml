(* Random graphs of OCaml values, with sharing and cycles, and what must hold of a copy. *)

module A = Bigarray.Array1

type field = Int of int | To of int

type node =
  | Block of int * field list  (** tag, fields *)
  | String of string
  | Float of float
  | Floats of float list
  | Int32 of int32
  | Int64 of int64
  | Nativeint of nativeint
  | Bytes_array of string
  | Empty

(* Node 0 is the root; fields lead to any node, also back. *)
type t = node list

let gen_field n =
  QCheck.Gen.(
    frequency
      [ (1, map (fun i -> Int i) int); (3, map (fun i -> To i) (int_bound (n - 1))) ])

let gen_node ~customs n =
  let open QCheck.Gen in
  let plain =
    [
      ( 8,
        map2
          (fun tag fields -> Block (tag, fields))
          (int_bound 5)
          (list_size (int_range 1 6) (gen_field n)) );
      (1, map (fun len -> Block (0, List.init len (fun i -> Int i))) (int_range 20 400));
      (3, map (fun s -> String s) (string_size (int_bound 40)));
      (2, map (fun f -> Float f) float);
      (1, map (fun l -> Floats l) (list_size (int_range 1 5) float));
      (1, return Empty);
    ]
  in
  let special =
    [
      (1, map (fun i -> Int32 (Int32.of_int i)) int);
      (1, map (fun i -> Int64 (Int64.of_int i)) int);
      (1, map (fun i -> Nativeint (Nativeint.of_int i)) int);
      (1, map (fun s -> Bytes_array s) (string_size (int_bound 100)));
    ]
  in
  frequency (if customs then plain @ special else plain)

let gen ~customs =
  let open QCheck.Gen in
  int_range 1 60 >>= fun n ->
  map2
    (fun fields rest -> Block (0, fields) :: rest)
    (list_size (int_range 1 5) (gen_field n))
    (list_repeat (n - 1) (gen_node ~customs n))

let show_node = function
  | Block (tag, fields) ->
      Printf.sprintf "%d[%s]" tag
        (String.concat " "
           (List.map
              (function Int i -> string_of_int i | To i -> "@" ^ string_of_int i)
              fields))
  | String s -> Printf.sprintf "%S" s
  | Float f -> string_of_float f
  | Floats l -> String.concat "," (List.map string_of_float l)
  | Int32 i -> Int32.to_string i
  | Int64 i -> Int64.to_string i
  | Nativeint i -> Nativeint.to_string i
  | Bytes_array s -> Printf.sprintf "array %S" s
  | Empty -> "[||]"

let print graph = String.concat "; " (List.map show_node graph)
let arbitrary ~customs = QCheck.make ~print (gen ~customs)

(* The value that a graph describes. *)
let build (graph : t) =
  let make = function
    | Block (tag, fields) -> Obj.new_block tag (List.length fields)
    | String s -> Obj.repr (Bytes.to_string (Bytes.of_string s))
    | Float f -> Obj.repr (Sys.opaque_identity (f +. 0.))
    | Floats l -> Obj.repr (Array.of_list l)
    | Int32 i -> Obj.repr (Int32.add (Sys.opaque_identity i) 0l)
    | Int64 i -> Obj.repr (Int64.add (Sys.opaque_identity i) 0L)
    | Nativeint i -> Obj.repr (Nativeint.add (Sys.opaque_identity i) 0n)
    | Bytes_array s -> Obj.repr (Netsys_mem.memory_of_string s)
    | Empty -> Obj.repr [||]
  in
  let made = Array.of_list (List.map make graph) in
  List.iteri
    (fun i -> function
      | Block (_, fields) ->
          List.iteri
            (fun f field ->
              Obj.set_field made.(i) f
                (match field with Int n -> Obj.repr n | To n -> made.(n)))
            fields
      | _ -> ())
    graph;
  made.(0)

(* The blocks that a value reaches, each once, in no order. *)
let blocks root =
  let rec go seen = function
    | [] -> seen
    | o :: rest when Obj.is_int o || List.memq o seen -> go seen rest
    | o :: rest ->
        let fields =
          if Obj.tag o < Obj.no_scan_tag then List.init (Obj.size o) (Obj.field o) else []
        in
        go (o :: seen) (fields @ rest)
  in
  go [] [ root ]

(* What the original computes as [bytelen]. *)
let expected_bytelen root =
  let words = List.fold_left (fun words o -> words + 1 + Obj.size o) 0 (blocks root) in
  let data o =
    if Netsys_mem.is_bigarray o then
      let bytes = A.size_in_bytes (Obj.obj o : Netsys_mem.memory) in
      16 + ((bytes + 7) / 8 * 8)
    else 0
  in
  List.fold_left (fun bytes o -> bytes + data o) (8 * words) (blocks root)

(* Marshal shows structure, contents, sharing and cycles. *)
let image v = Marshal.to_string v []
