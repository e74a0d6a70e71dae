(* Every kind of value through Ancient.mark: what comes back. What is refused is in
   test_mark_refused. *)

open Test_support

let native = Sys.backend_type = Native
let marked v = Ancient.follow (Ancient.mark v)
let bytes v = Marshal.to_string v [ Closures ]

(* A copy is the same to everything that looks at it, and elsewhere. *)
let same what v =
  let before = bytes v in
  let copy = marked v in
  check_bool (what ^ " is ancient") true (Ancient.is_ancient copy);
  check_bool (what ^ " was not") false (Ancient.is_ancient v);
  check_bool (what ^ ": elsewhere") true (copy != v);
  check_bool (what ^ ": equal") true (compare copy v = 0 && compare v copy = 0);
  check_int (what ^ ": hash") (Hashtbl.hash v) (Hashtbl.hash copy);
  Gc.full_major ();
  check_string (what ^ ": marshalled") before (bytes copy);
  check_string (what ^ ": source") before (bytes v)

type r = { name : string; mutable count : int; weight : float; next : r option }
[@@warning "-69"]

type f = { x : float; y : float } [@@warning "-69"]
type u = A | B of int | C of { c : string; d : u }

let fresh s = Bytes.to_string (Bytes.of_string s)

let plain () =
  let n = Sys.opaque_identity 3 in
  same "list" (List.init n (fun i -> (i, string_of_int i)));
  same "record" { name = fresh "a"; count = n; weight = 2.5; next = None };
  same "float record" { x = float n; y = 2. };
  same "variants" [ A; B n; C { c = fresh "c"; d = B n } ];
  same "polymorphic variants" [ `A; `B n; `C (fresh "x") ];
  same "string" (fresh "hello");
  same "strings of every padding" (List.init 20 (fun n -> String.make n 'x'));
  same "float" (float n);
  same "float array" (Array.init n float);
  same "large float array" (Array.init 10_000 float);
  same "array" (Array.init 10_000 string_of_int);
  same "int32" (Int32.of_int n);
  same "int64" (Int64.of_int n);
  same "nativeint" (Nativeint.of_int n);
  same "option" (Some (fresh "x"));
  same "forced lazy"
    (let l = lazy (fresh "x") in
     ignore (Lazy.force l);
     [ l ]);
  same "atomic" (Atomic.make (fresh "x"));
  same "bytes" (Bytes.make 1000 'b')

let hash_table () =
  let table = Hashtbl.create 10 in
  for i = 1 to 5000 do
    Hashtbl.replace table (string_of_int i) (i, float i)
  done;
  same "hash table" table;
  let copy = marked table in
  check_int "length" 5000 (Hashtbl.length copy);
  check_bool "found" true (Hashtbl.find copy "77" = (77, 77.));
  check_bool "missed" false (Hashtbl.mem copy "x");
  check_int "iterated" 5000 (Hashtbl.fold (fun _ _ n -> n + 1) copy 0)

let immediates () =
  List.iter
    (fun v ->
      let p, { Ancient.i_size } = Ancient.mark_info v in
      check_int "size" 0 i_size;
      check_bool "itself" true (Ancient.follow p == v);
      check_bool "is ancient" false (Ancient.is_ancient v);
      Ancient.delete p;
      raises_invalid "deleted twice" (fun () -> Ancient.delete p);
      raises_invalid "followed after" (fun () -> Ancient.follow p))
    [ Obj.repr []; Obj.repr 0; Obj.repr (-1); Obj.repr None; Obj.repr () ];
  check_bool "no address" true (Ancient.address_of [] = 0n)

let empty () =
  let v = ([||], fresh "", [], String.make 0 ' ', Array.sub [| 1 |] 0 0) in
  same "empty things" v;
  let a, b, _, _, c = marked v in
  check_int "lengths" 0 (Array.length a + String.length b + Array.length c);
  check_bool "append" true (Array.append a [| 1 |] = [| 1 |]);
  check_bool "alone" true (marked [||] = [||])

let static_list = [ "static"; "data" ]
let static_int64 = 77L

(* In a native program literals are static: kept where they are. In bytecode they are
   ordinary blocks. *)
let static () =
  let kept what v =
    let copy = marked v in
    check_bool what true (copy = v);
    check_bool (what ^ ": kept") native (copy == v)
  in
  kept "list" static_list;
  kept "int64" static_int64;
  let a, b = marked (static_list, Sys.opaque_identity 1) in
  check_bool "inside" native (a == static_list);
  check_int "beside" 1 b;
  check_bool "equal" true (a = static_list)

let sharing () =
  let s = fresh "shared" in
  let a = marked [| s; s; fresh "shared" |] in
  check_bool "kept" true (a.(0) == a.(1));
  check_bool "not invented" true (a.(0) != a.(2))

let cycles () =
  let rec l = Sys.opaque_identity 1 :: 2 :: l in
  let c = marked l in
  check_bool "the way round" true (List.tl (List.tl c) == c);
  check_int "first" 1 (List.hd c);
  let r = { name = fresh "self"; count = 1; weight = 0.; next = None } in
  Obj.set_field (Obj.repr r) 3 (Obj.repr (Some r));
  match (marked r).next with
  | Some r' -> (
      check_string "name" "self" r'.name;
      match r'.next with
      | Some r'' -> check_bool "cycle" true (r'' == r')
      | None -> Alcotest.fail "cut")
  | None -> Alcotest.fail "cut"

let already_ancient () =
  let inner = marked (List.init 100 string_of_int) in
  let p, { Ancient.i_size } = Ancient.mark_info (Some inner) in
  check_int "one block only" 16 i_size;
  check_bool "not copied" true (Ancient.follow p = Some inner);
  (match Ancient.follow p with
  | Some i -> check_bool "the same" true (i == inner)
  | None -> Alcotest.fail "none");
  let q, { Ancient.i_size } = Ancient.mark_info inner in
  check_int "nothing" 0 i_size;
  check_bool "itself" true (Ancient.follow q == inner);
  Ancient.delete q;
  Ancient.delete p;
  check_bool "what it referred to stays" true (inner = List.init 100 string_of_int)

let closures () =
  let k = Sys.opaque_identity 10 in
  let s = fresh "env" in
  let add x = x + k and add3 a b c = a + b + c + k and name () = s in
  let rec even n = if n = 0 then k > 0 else odd (n - 1)
  and odd n = if n = 0 then k < 0 else even (n - 1) in
  let a, a3, n, e, o, partial = marked (add, add3, name, even, odd, add3 1 2) in
  Gc.compact ();
  check_int "one argument" 15 (a 5);
  check_int "three" 16 (a3 1 2 3);
  check_string "environment" "env" (n ());
  check_bool "mutual" true (e 10 && not (o 10));
  check_int "partial" 16 (partial 3);
  check_bool "deep" true (marked [ odd ] |> fun l -> (List.hd l) 7)

class counter (start : int) =
  object (self)
    val mutable n = start
    val label = fresh "label"
    method get = n
    method twice = 2 * self#get
    method label = label
  end

let objects () =
  let o = new counter (Sys.opaque_identity 21) in
  let c = marked o in
  Gc.compact ();
  check_int "method" 21 c#get;
  check_int "self" 42 c#twice;
  check_string "field" "label" c#label;
  check_int "same identity" (Oo.id o) (Oo.id c);
  check_bool "equal" true (compare o c = 0)

(* Refused once, as a custom block with a finaliser: arrays over files have operations of their
   own, whose finaliser unmaps. *)
let mapped_bigarrays () =
  with_temp_dir @@ fun dir ->
  let fd = Unix.openfile (Filename.concat dir "data") [ O_RDWR; O_CREAT ] 0o600 in
  let file = Unix.map_file fd Bigarray.int32 Bigarray.c_layout true [| 3; 5000 |] in
  Unix.close fd;
  let file = Bigarray.array2_of_genarray file in
  file.{2, 4999} <- 7l;
  let marked = Ancient.mark (Some file) in
  file.{2, 4999} <- 8l;
  let copy = Option.get (Ancient.follow marked) in
  let row = Bigarray.Array2.slice_left copy 2 in
  check_bool "the copy's data are its own" true (row.{4999} = 7l);
  ignore (Sys.opaque_identity file);
  (* The array itself, the copy's row: gone; what the copy has must stay mapped. *)
  for _ = 1 to 3 do
    ignore (Sys.opaque_identity (Bigarray.Array2.slice_left copy 1));
    Gc.full_major ()
  done;
  check_bool "still there" true (copy.{2, 4999} = 7l && copy.{0, 0} = 0l);
  Ancient.delete marked

let bigarrays () =
  let open Bigarray in
  let a = Array2.init Float64 C_layout 30 20 (fun i j -> float ((i * 100) + j)) in
  let sub = Array2.sub_left a 10 5 in
  let c, d = marked (a, sub) in
  Gc.full_major ();
  check_bool "equal" true (compare a c = 0 && compare sub d = 0);
  check_int "hash" (Hashtbl.hash a) (Hashtbl.hash c);
  check_string "marshalled" (bytes (a, sub)) (bytes (c, d));
  Array2.set a 0 0 99.;
  check_bool "data of its own" true (Array2.get c 0 0 = 0.);
  let s = Array2.sub_left c 3 2 in
  Gc.full_major ();
  check_bool "sub" true (Array2.get s 1 5 = 405.);
  check_int "reshape" 600 (Array1.dim (reshape_1 (genarray_of_array2 c) 600));
  let e = Array1.create Char C_layout 0 in
  check_int "empty" 0 (Array1.dim (marked e));
  let odd = Array1.init Int8_unsigned Fortran_layout 13 Fun.id in
  check_bool "odd length" true (compare (marked odd) odd = 0)

let custom_arithmetic () =
  let a, b, c = marked (Int64.of_string "123456789012", 5l, 7n) in
  check_bool "int64" true (Int64.add a 1L = 123456789013L);
  check_bool "int32" true (Int32.mul b 2l = 10l);
  check_bool "nativeint" true (Nativeint.succ c = 8n);
  check_bool "both ways" true (compare a 1L > 0 && compare 1L a < 0);
  let d = Obj.repr a |> Obj.dup in
  Gc.full_major ();
  check_bool "dup" true (Obj.obj d = a)

let predefined_exceptions () =
  if native then begin
    let e = marked [ Not_found; Invalid_argument (fresh "x") ] in
    check_bool "caught by its name" true
      (match raise (List.hd e) with exception Not_found -> true | _ -> false);
    check_bool "with its argument" true
      (match raise (List.nth e 1) with
      | exception Invalid_argument s -> s = "x"
      | _ -> false)
  end
  else
    match Ancient.mark [ Not_found ] with
    | _ -> Alcotest.fail "not refused"
    | exception Invalid_argument _ -> ()

(* The optional argument is no obstacle to passing them on. *)
let[@warning "-48"] passed_on () =
  let lists = List.map (fun n -> List.init n Fun.id) [ 1; 2; 3 ] in
  let proxies = List.map Ancient.mark lists in
  check_bool "mark" true (List.map Ancient.follow proxies = lists);
  let sizes =
    List.map Ancient.mark_info lists |> List.map (fun (_, i) -> i.Ancient.i_size)
  in
  check_bool "mark_info" true (sizes = [ 24; 48; 72 ]);
  lists |> Ancient.mark |> Ancient.delete

(* Runs under `ulimit -s 8192`: see [long_list]. *)
let () =
  role "long list" (fun _ ->
      let n = 10_000_000 in
      let rec build n acc = if n = 0 then acc else build (n - 1) (n :: acc) in
      let p = Ancient.mark (build n []) in
      Gc.compact ();
      let rec sum acc = function [] -> acc | x :: l -> sum (acc + x) l in
      if sum 0 (Ancient.follow p) <> n * (n + 1) / 2 then failwith "wrong sum";
      Ancient.delete p)

let long_list () =
  Unix.putenv "HH_SHARED_TEST_ROLE" "long list";
  let command =
    Printf.sprintf "ulimit -S -s 8192 && exec %s" (Filename.quote Sys.executable_name)
  in
  wait_ok (Unix.create_process "/bin/sh" [| "sh"; "-c"; command |] Unix.stdin Unix.stdout
             Unix.stderr)
  [@ocamlformat "disable"]

let () =
  run "ancient mark"
    [
      ( "values",
        [
          test "plain" plain;
          test "hash table" hash_table;
          test "immediates" immediates;
          test "empty" empty;
          test "static" static;
          test "sharing" sharing;
          test "cycles" cycles;
          test "already ancient" already_ancient;
          test "closures" closures;
          test "mark as an argument" passed_on;
          test "objects" objects;
          test "bigarrays" bigarrays;
          test "bigarrays over files" mapped_bigarrays;
          test "int64 and the like" custom_arithmetic;
          test "predefined exceptions" predefined_exceptions;
          test "10 million cells under 8 MB of stack" long_list;
        ] );
    ]
