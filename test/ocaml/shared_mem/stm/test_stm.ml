(* The table beside a model: whatever two domains, or two processes, see of it could be seen if
   their operations came one after the other. *)

open Test_support
open Tables

let keys = 4
let objects = 6

module Spec = struct
  open STM

  (* Objects go by their numbers. [Collect] is a slice of a collection. *)
  type cmd = Add of int * int | Get of int | Mem of int | Remove of int | Collect

  (* What is stored under each key. *)
  type state = int option list

  (* Each run has keys of its own, so that the heap need not be emptied in between. *)
  type sut = { run : int; objects : [ `string ] SharedMem.addr array }

  let key sut k = Printf.sprintf "%d of run %d" k sut.run

  let show_cmd = function
    | Add (k, n) -> Printf.sprintf "add %d %d" k n
    | Get k -> Printf.sprintf "get %d" k
    | Mem k -> Printf.sprintf "mem %d" k
    | Remove k -> Printf.sprintf "remove %d" k
    | Collect -> "collect"

  let workers =
    let open QCheck.Gen in
    let k = int_bound (keys - 1) in
    [
      (4, map2 (fun k n -> Add (k, n)) k (int_bound (objects - 1)));
      (3, map (fun k -> Get k) k);
      (2, map (fun k -> Mem k) k);
    ]

  let masters =
    let open QCheck.Gen in
    (3, map (fun k -> Remove k) (int_bound (keys - 1))) :: (1, return Collect) :: workers

  let arb_worker _ = QCheck.make ~print:show_cmd (QCheck.Gen.frequency workers)
  let arb_cmd _ = QCheck.make ~print:show_cmd (QCheck.Gen.frequency masters)
  let init_state = List.init keys (fun _ -> None)
  let set k value = List.mapi (fun i old -> if i = k then value else old)

  let next_state cmd state =
    match cmd with
    | Add (k, n) when List.nth state k = None -> set k (Some n) state
    | Remove k -> set k None state
    | Add _ | Get _ | Mem _ | Collect -> state

  (* The objects are stored under other keys, so that collections keep them. *)
  let objects =
    lazy
      (Array.init objects (fun n ->
           let addr = Obj.magic (Prim.string_object (string_of_int n)) in
           Addrs.add (string_of_int n) addr))

  let runs = ref 0

  let init_sut () =
    incr runs;
    { run = !runs; objects = Lazy.force objects }

  let cleanup _ = ()
  let precond _ _ = true

  let number sut addr =
    let rec at n =
      if n = Array.length sut.objects then -1
      else if sut.objects.(n) == addr then n
      else at (n + 1)
    in
    at 0

  let collect () =
    try
      match Prim.gc_phase () with
      | 0 -> Prim.start_cycle ()
      | 1 -> ignore (Prim.mark_slice 20)
      | _ -> ignore (Prim.sweep_slice 20)
    with Invalid_argument _ -> (* The other domain collects, or has begun to. *) ()

  (* As processes can send it to each other. *)
  type answer = Stored of int | Found of int option | There of bool | Done

  let answer cmd sut =
    match cmd with
    | Add (k, n) -> Stored (number sut (Addrs.add (key sut k) sut.objects.(n)))
    | Get k -> Found (Option.map (number sut) (Addrs.get (key sut k)))
    | Mem k -> There (Addrs.mem (key sut k))
    | Remove k ->
        Addrs.remove (key sut k);
        Done
    | Collect ->
        collect ();
        Done

  let result = function
    | Stored n -> Res (int, n)
    | Found n -> Res (option int, n)
    | There b -> Res (bool, b)
    | Done -> Res (unit, ())

  let run cmd sut = result (answer cmd sut)

  let postcond cmd (state : state) res =
    let holds k = List.nth state k in
    match (cmd, res) with
    | Add (k, n), Res ((Int, _), stored) ->
        Int.equal stored (Option.value (holds k) ~default:n)
    | Get k, Res ((Option Int, _), found) -> Option.equal Int.equal found (holds k)
    | Mem k, Res ((Bool, _), there) -> Bool.equal there (Option.is_some (holds k))
    | (Remove _ | Collect), Res ((Unit, _), ()) -> true
    | _ -> false
end

let run_test test =
  QCheck.Test.check_exn ~rand:(Random.State.make [| Lazy.force seed |]) test

(* {1 Domains} *)

module Domains = STM_domain.Make (Spec)
module Sequential = STM_sequential.Make (Spec)

let one_domain _ = run_test (Sequential.agree_test ~count:500 ~name:"one domain")
let two_domains _ = run_test (Domains.agree_test_par ~count:20 ~name:"two domains")

(* {1 Processes} *)

module Interleaved = STM.Internal.Make (Spec) [@@alert "-internal"]

(* Both sides count a cell up before they begin, and wait for each other: a pipe would let one of
   them be done before the other begins. *)
let begin_together cell round =
  let rec arrive () =
    let n = Prim.load_acquire cell in
    if not (Prim.compare_exchange ~weak:false cell n (Int64.add n 1L)) then arrive ()
  in
  arrive ();
  let turns = ref 0 in
  while Prim.load_acquire cell < Int64.of_int (2 * round) do
    incr turns;
    (* On a busy machine, the other side may have no core to begin on. *)
    if !turns < 1000 then Domain.cpu_relax () else Unix.sleepf 0.00005
  done

let run_all cmds sut = List.map (fun cmd -> (cmd, Spec.answer cmd sut)) cmds
let results answers = List.map (fun (cmd, answer) -> (cmd, Spec.result answer)) answers

(* What a worker is sent: where to meet, the commands and what they are about. *)
type job = { cell : Prim.addr; round : int; cmds : Spec.cmd list; sut : Spec.sut }

(* A worker that does what it is sent, until there is nothing. *)
let serve jobs answers =
  let rec serve () =
    match (Marshal.from_channel jobs : job) with
    | { cell; round; cmds; sut } ->
        begin_together cell round;
        Marshal.to_channel answers (run_all cmds sut) [];
        flush answers;
        serve ()
    | exception End_of_file -> ()
  in
  serve ()

let repetitions = 10

let two_processes handle =
  let jobs_out, jobs_in = Unix.pipe () and answers_out, answers_in = Unix.pipe () in
  let pid =
    worker handle 1 (fun () ->
        Unix.close jobs_in;
        serve (Unix.in_channel_of_descr jobs_out) (Unix.out_channel_of_descr answers_in))
  in
  List.iter Unix.close [ jobs_out; answers_in ];
  let jobs = Unix.out_channel_of_descr jobs_in in
  let answers = Unix.in_channel_of_descr answers_out in
  let cell = Prim.string_object "a word " in
  ignore (Prim.add (Digest.string "cell") cell);
  let cell = cell + 8 and round = ref 0 in
  Prim.store_release cell 0L;
  let once (prefix, ours, theirs) =
    incr round;
    let sut = Spec.init_sut () in
    let before = run_all prefix sut in
    Marshal.to_channel jobs { cell; round = !round; cmds = theirs; sut } [];
    flush jobs;
    begin_together cell !round;
    let ours = run_all ours sut in
    let theirs : (Spec.cmd * Spec.answer) list = Marshal.from_channel answers in
    Interleaved.check_obs (results before) (results ours) (results theirs) Spec.init_state
  in
  let always triple =
    List.for_all (fun _ -> once triple) (List.init repetitions Stdlib.Fun.id)
  in
  (* Only the master may remove. *)
  let triples = Interleaved.arb_triple 10 8 Spec.arb_cmd Spec.arb_cmd Spec.arb_worker in
  run_test (QCheck.Test.make ~count:150 ~name:"two processes" triples always);
  close_out jobs;
  wait_ok pid

let () =
  let config = { SharedMem.heap_size = 1 lsl 20; hash_table_pow = 16 } in
  run "shared_mem and a model"
    [
      ( "table",
        [
          case "one domain" ~config one_domain;
          case "two domains" ~config two_domains;
          case "two processes" ~config two_processes;
        ] );
    ]
