(* SharedMem: finding a key, and storing and reading a value, against Marshal alone and against
   a Hashtbl of this process.

   A value is a record of some 100 words in 36 blocks, as a type checker keeps per function. *)

[@@@warning "-69" (* fields that nobody reads: they are there to be stored *)]

type parameter = { name : string; index : int; weight : float }

type value = {
  path : string;
  parameters : parameter list;
  sizes : float array;
  id : int64;
}

let value i =
  let parameter p = { name = Printf.sprintf "p%d" p; index = i + p; weight = float p } in
  {
    path = Printf.sprintf "src/module_%d.ml" i;
    parameters = List.init 8 parameter;
    sizes = Array.init 8 float;
    id = Int64.of_int i;
  }

module Table =
  SharedMem.SerializedHeap
    (Int)
    (struct
      type t = value

      let description = "value"
    end)

let keys = 100_000

let () =
  let config = { SharedMem.heap_size = 1 lsl 30; hash_table_pow = 20 } in
  ignore (SharedMem.init config ~num_workers:0);
  let values = Array.init keys value in
  let each f () =
    for i = 0 to keys - 1 do
      ignore (Sys.opaque_identity (f i))
    done
  in
  let private_table = Hashtbl.create keys in
  let marshalled = Array.map (fun v -> Marshal.to_string v []) values in
  Array.iteri (fun i s -> Hashtbl.replace private_table i s) marshalled;
  each (fun i -> Table.add i values.(i)) ();
  let absent i = Table.mem (i + keys) in
  let show (name, seconds) =
    Printf.printf "%-40s %12s\n%!" name (Measure.per keys seconds)
  in
  Printf.printf "medians of %-29d %12s\n" Measure.rounds "per key";
  List.iter show
    (Measure.medians
       [
         Measure.contender "SharedMem mem, present" (each Table.mem);
         Measure.contender "SharedMem mem, absent" (each absent);
         Measure.contender "Hashtbl.mem, present" (each (Hashtbl.mem private_table));
         Measure.contender "SharedMem get" (each Table.get);
         Measure.contender "Marshal.from_string"
           (each (fun i -> (Marshal.from_string marshalled.(i) 0 : value)));
         Measure.contender "SharedMem remove and add"
           (each (fun i ->
                Table.remove i;
                Table.add i values.(i)));
         Measure.contender "Marshal.to_string"
           (each (fun i -> Marshal.to_string values.(i) []));
       ])
