(* A new state is prepared while readers go on with the last one; then it is everybody's. *)
module Docs =
  SharedMem.EntityHeap.Make
    (SharedMem.StringKey)
    (struct
      type t = string

      let description = "documents"
    end)

let show state =
  let text get = Option.value (get "page") ~default:"nothing" in
  Printf.printf "%s: committed %s, latest %s\n" state (text Docs.get_committed)
    (text Docs.get_latest)

let () =
  ignore (SharedMem.init { heap_size = 1 lsl 20; hash_table_pow = 10 } ~num_workers:0);
  Docs.add "page" "draft 1";
  SharedMem.commit_transaction ();
  Docs.add "page" "draft 2";
  show "while it is written";
  SharedMem.commit_transaction ();
  show "after the commit";
  Docs.add "page" "a mistake";
  Docs.rollback "page";
  show "after a rollback"
