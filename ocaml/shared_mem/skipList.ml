(* The lock-free skip list of Herlihy and others, "The Art of Multiprocessor Programming", 2nd
   edition, section 14.4, with the sentinels left out and these differences:

   - A link is known by its address, not by its node: the head has links, and no element.
   - A removed node's links are marked with the bit that rust/heap/src/object.rs keeps for that.
     A collection follows them all the same: who is killed between marking a node and taking
     it out leaves a whole list.
   - A link of a node is empty until the node is put in there. The primitive that does so writes
     it then, so that no node ever refers to one that was taken out and freed: between looking
     at the list and changing it, whole collections may pass.
   - Whatever a traversal holds may have been taken out and freed. Its links are as they were,
     since space is used again after compaction only: marked, so that nothing is put behind it. *)

open Words

type 'k sklist = [ `sklist of 'k ]
type 'k sknode = [ `sknode of 'k ]

let tag = 11

(* With a quarter of the nodes on each next level, enough for 4^12 elements. *)
let levels = 12
let mark = 2

(* {1 Objects} *)

let prep_size = Writer.header_size + levels

(* The head: a link for each level. *)
let prepare_write_sklist =
  let write chunk =
    let set = Writer.begin_object chunk ~tag ~size:levels in
    Writer.skip chunk levels;
    of_int set
  in
  (prep_size, write)

let random = Domain.DLS.new_key Random.State.make_self_init

let random_level () =
  let rec level bits n =
    if n < levels - 1 && bits land 3 = 3 then level (bits lsr 2) (n + 1) else n
  in
  level (Random.State.bits (Domain.DLS.get random)) 0

(* A node: its element, and a link for each level that it is on. *)
let prepare_write_sknode () =
  let links = random_level () + 1 in
  let write chunk data =
    Writer.check_object data;
    let node = Writer.begin_object chunk ~tag ~size:(1 + links) in
    Writer.write_word chunk (Int64.of_int (to_int data));
    Writer.skip chunk links;
    of_int node
  in
  (Writer.header_size + 1 + links, write)

let head set =
  if size_of (check_tag tag set) <> levels then raise_header set;
  to_int set

let top_level node =
  let size = size_of (check_tag tag node) in
  if size < 2 then raise_header node;
  size - 2

(* {1 Links} *)

let head_link head level = field head level
let link node level = field node (1 + level)

(* The word of a link: the address of a node, or 0, and perhaps the mark. *)
let get at =
  let word = load at in
  if Int64.logand word 5L <> 0L then raise (Invalid_address (at, word));
  Int64.to_int word

let is_marked word = word land mark <> 0
let node_of word = word land lnot mark
let removed node = is_marked (get (link node 0))

let data node =
  let at = field node 0 in
  address ~at (load at)

exception Removed

(* How a node's element compares. That of a node that was taken out may be freed by now. *)
let compare_data cmp node x =
  match cmp (data node) x with
  | order -> order
  | exception (Invalid_header _ | Invalid_address _) when removed node -> raise Removed

(* {1 Searching} *)

(* On each level, the last link before [x] and the node that it leads to; whether that is equal,
   on the lowest. What is marked is taken out on the way. *)
let find cmp head x preds succs =
  let rec start () = level_from (levels - 1) (head_link head (levels - 1))
  and level_from level pred = walk level pred (node_of (get pred))
  and walk level pred node =
    if node = 0 then down level pred node
    else
      let next = link node level in
      let word = get next in
      if is_marked word then
        if compare_modify ~weak:false pred node (Int64.of_int (node_of word)) then
          walk level pred (node_of word)
        else
          (* Something was put in here, or [pred] is the link of a node that was removed. *)
          start ()
      else
        match compare_data cmp node x with
        | order when order < 0 -> walk level next (node_of word)
        | _ -> down level pred node
        | exception Removed -> start ()
  and down level pred node =
    preds.(level) <- pred;
    succs.(level) <- node;
    if level > 0 then level_from (level - 1) (pred - 8)
    else
      node <> 0
      &&
      match compare_data cmp node x with
      | order -> order = 0
      | exception Removed -> start ()
  in
  start ()

let sklist_mem cmp set x =
  let head = head set in
  let rec start () = level_from (levels - 1) (head_link head (levels - 1))
  and level_from level pred = walk level pred (node_of (get pred))
  and walk level pred node =
    if node = 0 then down level pred
    else
      let next = link node level in
      let word = get next in
      if is_marked word then walk level pred (node_of word)
      else
        match compare_data cmp node x with
        | order when order < 0 -> walk level next (node_of word)
        | 0 -> true
        | _ -> down level pred
        | exception Removed -> start ()
  and down level pred = level > 0 && level_from (level - 1) (pred - 8) in
  start ()

(* Calls [f] on the nodes from the link [at] on, as long as it is true. *)
let rec nodes f at =
  match node_of (get at) with
  | 0 -> ()
  | node ->
      let next = link node 0 in
      if is_marked (get next) || f node then nodes f next

let sklist_iter f set =
  let each node =
    f (data node);
    true
  in
  nodes each (head_link (head set) 0)

let sklist_is_empty set =
  let empty = ref true in
  let stop _ =
    empty := false;
    false
  in
  nodes stop (head_link (head set) 0);
  !empty

(* {1 Changing} *)

(* What is done about a node that is in the set, until somebody has removed it: then the node and
   its element may be freed at any time. What was left to do is left to who comes by. *)
let unless_removed node f =
  match f () with
  | () -> ()
  | exception (Invalid_header _ | Invalid_address _) when removed node -> ()

let sklist_add cmp set node =
  let head = head set and top = top_level node in
  let node = to_int node in
  let x = data node in
  let preds = Array.make levels 0 and succs = Array.make levels 0 in
  let find () = find cmp head x preds succs in
  let put level = insert ~at:preds.(level) succs.(level) ~link:(link node level) node in
  (* On the lowest level, it is in the set. *)
  let rec add () =
    if find () then false
    else if put 0 then true
    else begin
      if get (link node 0) <> 0 then
        invalid_arg "SharedMem.NewAPI.sklist_add: this node was added before";
      add ()
    end
  in
  (* On the others it is found sooner, unless it is being removed already. *)
  let rec add_above level =
    if level <= top then
      if put level then add_above (level + 1)
      else if not (is_marked (get (link node level))) then begin
        ignore (find ());
        if succs.(0) = node then add_above level
      end
  in
  add ()
  && begin
       unless_removed node (fun () ->
           add_above 1;
           (* Whoever removed it meanwhile may not have seen it on the levels above. *)
           if removed node then ignore (find ()));
       true
     end

(* Marks a link, unless somebody else has. *)
let rec mark_link at =
  let word = get at in
  (not (is_marked word))
  && (compare_modify ~weak:false at word (Int64.of_int (word lor mark)) || mark_link at)

let sklist_remove cmp set x =
  let head = head set in
  let preds = Array.make levels 0 and succs = Array.make levels 0 in
  let find () = find cmp head x preds succs in
  find ()
  &&
  let node = succs.(0) in
  match top_level (of_int node) with
  | exception Invalid_header _ when removed node -> false
  | top ->
      for level = top downto 1 do
        ignore (mark_link (link node level))
      done;
      (* Who marks the lowest has removed it. *)
      mark_link (link node 0)
      && begin
           unless_removed node (fun () -> ignore (find ()));
           true
         end
