type ('k, 'c) t = { tag : int; name : string }
type 'k scanned = ('k, [ `scanned ]) t
type 'k opaque = ('k, [ `opaque ]) t
type 'k serialized = ('k, [ `serialized ]) t

(* Our own tags: the originals', whose objects are the same ones. *)
let own = [ 0; 1; 11; 13; 14; 19 ]

(* The tags that were declared, as bits. *)
let declared = Atomic.make 0L

let rec claim tag =
  let before = Atomic.get declared in
  let bit = Int64.shift_left 1L tag in
  if Int64.logand before bit <> 0L then false
  else Atomic.compare_and_set declared before (Int64.logor before bit) || claim tag

let declare what ~from ~until ~tag name =
  let refuse why =
    invalid_arg
      (Printf.sprintf "SharedMem.NewAPI.Kind.%s %S: tag %d %s" what name tag why)
  in
  if tag < from || tag > until then
    refuse (Printf.sprintf "is not from %d to %d" from until);
  if List.mem tag own then refuse "is the library's own";
  if not (claim tag) then refuse "is another kind's";
  { tag; name }

let scanned ~tag name = declare "scanned" ~from:2 ~until:12 ~tag name
let opaque ~tag name = declare "opaque" ~from:15 ~until:18 ~tag name
let serialized ~tag name = declare "serialized" ~from:20 ~until:63 ~tag name
let tag kind = kind.tag
let name kind = kind.name
