open Words

let place kind i addr =
  let size = size_of (check_tag (Kind.tag kind) addr) in
  if i < 0 || i >= size then
    invalid_arg
      (Printf.sprintf "SharedMem.NewAPI: word %d of an object of kind %S, which has %d" i
         (Kind.name kind) size);
  field (to_int addr) i

let word at = address ~at (load at)
let get_field kind i addr = word (place kind i addr)

let get_field_opt kind i addr =
  let found = get_field kind i addr in
  if found == null then None else Some found

let get_int kind i addr =
  let at = place kind i addr in
  of_tagged ~at (load at)

let checked = function
  | None -> 0
  | Some addr ->
      Writer.check_object addr;
      to_int addr

let rec exchange at old desired =
  compare_modify ~weak:false at old (Int64.of_int desired)
  || (to_int (word at) = old && exchange at old desired)

let rec set at desired =
  if not (exchange at (to_int (word at)) desired) then set at desired

let set_field_opt kind i addr desired = set (place kind i addr) (checked desired)
let set_field kind i addr desired = set_field_opt kind i addr (Some desired)

let compare_and_set_field kind i addr old desired =
  let at = place kind i addr in
  let old = Option.fold ~none:0 ~some:to_int old in
  ignore (word at);
  exchange at old (checked desired)

let set_int kind i addr n =
  let at = place kind i addr in
  let desired = Int64.of_int (tagged n) in
  let rec set () =
    let old = load at in
    ignore (of_tagged ~at old);
    if not (compare_modify ~weak:false at (Int64.to_int old) desired) then set ()
  in
  set ()

let get_int64 kind i addr = load (place kind i addr)
let size kind addr = size_of (check_tag (Kind.tag kind) addr)

let coerce kind addr =
  if tag_of (header addr) = Kind.tag kind then Some (of_int (to_int addr)) else None
