(* Written for Flow's modules, with nothing of Flow's own objects. *)
module FileKey = struct
  type t = string

  let to_string path = path
  let compare = String.compare
end

module Contents =
  SharedMem.SerializedHeap
    (FileKey)
    (struct
      type t = string list

      let description = "contents"
    end)

module Names =
  SharedMem.AddrHeap
    (FileKey)
    (struct
      type t = [ `string ]
    end)

let add_name path =
  let open SharedMem.NewAPI in
  ignore (Names.add path (alloc (prepare_write_string (Filename.basename path))))

let master () =
  (match Contents.get "src/main.js" with
  | Some lines -> Printf.printf "%d lines\n" (List.length lines)
  | None -> print_endline "not there");
  (match Names.get "src/main.js" with
  | Some name -> print_endline (SharedMem.NewAPI.read_string name)
  | None -> print_endline "no name");
  SharedMem.commit_transaction ();
  Contents.remove_batch (Contents.KeySet.singleton "src/main.js");
  while not (SharedMem.collect_slice ~force:false 10_000) do
    ()
  done;
  Printf.printf "removed: %b\n" (not (Contents.mem "src/main.js"))

let () =
  let config = { SharedMem.heap_size = 1 lsl 25; hash_table_pow = 14 } in
  match SharedMem.init config ~num_workers:1 with
  | Error () -> prerr_endline "no shared memory"
  | Ok handle -> (
      match Unix.fork () with
      | 0 ->
          SharedMem.connect handle ~worker_id:1;
          Contents.add "src/main.js" [ "// @flow"; "export default 1;" ];
          add_name "src/main.js";
          Unix._exit 0
      | pid ->
          ignore (Unix.waitpid [] pid);
          master ())
