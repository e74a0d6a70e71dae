(* Several domains mark, follow and delete while others collect. *)

open Test_support

let both f g =
  let other = Domain.spawn f in
  g ();
  Domain.join other

let while_the_other_collects () =
  let stop = Atomic.make false in
  let expected = List.init 2000 (fun i -> (i, string_of_int i, float i)) in
  both
    (fun () ->
      while not (Atomic.get stop) do
        collect ();
        ignore (Sys.opaque_identity (List.init 1000 string_of_int))
      done)
    (fun () ->
      for n = 1 to 150 do
        let v = List.init 2000 (fun i -> (i, string_of_int i, float i)) in
        let p = Ancient.mark v in
        if n mod 10 = 0 then Gc.full_major ();
        if Ancient.follow p <> expected || v <> expected then failwith "wrong";
        Ancient.delete p
      done;
      Atomic.set stop true)

let both_mark () =
  let work seed () =
    let random = Random.State.make [| seed |] in
    let live = Queue.create () in
    for n = 1 to 3000 do
      let size = if n mod 100 = 0 then 5000 else Random.State.int random 50 in
      let v = List.init (1 + size) (fun i -> seed + n + i) in
      Queue.push (Ancient.mark v, v) live;
      if Queue.length live > 50 then begin
        let p, v = Queue.pop live in
        if Ancient.follow p <> v then failwith "wrong";
        Ancient.delete p
      end
    done;
    Queue.iter (fun (p, v) -> if Ancient.follow p <> v then failwith "wrong") live;
    Queue.iter (fun (p, _) -> Ancient.delete p) live
  in
  both (work 1_000_000) (work 2_000_000)

let racing_deletes () =
  for _ = 1 to 300 do
    let proxies = Array.init 20 (fun n -> Ancient.mark (Array.init (1 + (n * 40)) Fun.id)) in
    let wins = Atomic.make 0 and ready = Atomic.make 0 in
    let race () =
      Atomic.incr ready;
      while Atomic.get ready < 2 do Domain.cpu_relax () done;
      Array.iter
        (fun p ->
          match Ancient.delete p with
          | () -> Atomic.incr wins
          | exception Invalid_argument text -> if text <> "deleted" then failwith text)
        proxies
    in
    both race race;
    check_int "each deleted once" 20 (Atomic.get wins)
  done
  [@ocamlformat "disable"]

(* A marked graph that another domain owns and changes: some of the changes are seen, and
   nothing else. *)
let while_the_other_changes () =
  let cells = Array.init 1000 (fun n -> ref [ n ]) in
  let stop = Atomic.make false in
  both
    (fun () ->
      let n = ref 0 in
      while not (Atomic.get stop) do
        incr n;
        cells.(!n mod 1000) := [ !n mod 1000; !n; !n ];
        if !n mod 10_000 = 0 then Gc.minor ()
      done)
    (fun () ->
      for _ = 1 to 300 do
        let p = Ancient.mark cells in
        Array.iteri
          (fun n cell ->
            match !cell with
            | [ m ] -> if m <> n then failwith "wrong"
            | [ m; a; b ] -> if m <> n || a <> b || a mod 1000 <> n then failwith "torn"
            | _ -> failwith "wrong shape")
          (Ancient.follow p);
        Ancient.delete p
      done;
      Atomic.set stop true)

let other_domains_delete () =
  let p = Ancient.mark (Array.init 5000 string_of_int) in
  Domain.join (Domain.spawn (fun () -> Ancient.delete p));
  raises_invalid "here too" (fun () -> Ancient.follow p)

let () =
  run "ancient mark, domains"
    [
      ( "two domains",
        [
          test "one collects" while_the_other_collects;
          test "both mark and delete" both_mark;
          test "racing deletes" racing_deletes;
          test "one changes what is marked" while_the_other_changes;
          test "one deletes the other's" other_domains_delete;
        ] );
    ]
