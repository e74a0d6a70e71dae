(* Kinds, and chunks of objects: what is refused, and that the heap is sound afterwards. *)

open Test_support
open Tables
open People
open SharedMem.NewAPI

let kinds () =
  let no tag =
    refused "scanned" (fun () -> Kind.scanned ~tag "x");
    refused "opaque" (fun () -> Kind.opaque ~tag "x");
    refused "serialized" (fun () -> Kind.serialized ~tag "x")
  in
  List.iter no [ min_int; -1; 0; 1; 2; 11; 13; 14; 15; 19; 20; 63; 64; 66; max_int ];
  List.iter (fun tag -> refused "opaque" (fun () -> Kind.opaque ~tag "x")) [ 3; 21 ];
  List.iter (fun tag -> refused "scanned" (fun () -> Kind.scanned ~tag "x")) [ 16; 21 ];
  List.iter (fun tag -> refused "ser." (fun () -> Kind.serialized ~tag "x")) [ 3; 16 ];
  let k : unit Kind.scanned = Kind.scanned ~tag:12 "twelve" in
  check_int "tag" 12 (Kind.tag k);
  check_string "name" "twelve" (Kind.name k);
  match Kind.opaque ~tag:2 "mine" with
  | _ -> Alcotest.fail "declared twice"
  | exception Invalid_argument s ->
      check_string "message"
        "SharedMem.NewAPI.Kind.opaque \"mine\": tag 2 is not from 15 to 18" s

let of_two_domains_one_declares _ =
  let declare () =
    match Kind.serialized ~tag:40 "x" with
    | (_ : unit Kind.serialized) -> 1
    | exception Invalid_argument _ -> 0
  in
  let other = Domain.spawn declare in
  let here = declare () in
  check_int "one" 1 (here + Domain.join other)

(* {1 Chunks} *)

let preparing _ =
  let order = ref [] in
  let p n =
    ( 1,
      fun chunk ->
        order := n :: !order;
        ignore (write_header chunk note 0);
        n )
  in
  check_bool "product" true (alloc (prepare_product (p 1) (p 2)) = (1, 2));
  check_int "map" 6 (alloc (prepare_map (p 3) (( * ) 2)));
  check_bool "none" true (alloc (prepare_opt p None) = None);
  check_bool "some" true (alloc (prepare_opt p (Some 4)) = Some 4);
  check_bool "all" true (alloc (prepare_all p [| 5; 6; 7 |]) = [| 5; 6; 7 |]);
  alloc (prepare_iter (fun n -> prepare_map (p n) ignore) [| 8; 9 |]);
  check_string "const" "x" (alloc (prepare_const "x"));
  check_bool "order" true (List.rev !order = [ 1; 2; 3; 4; 5; 6; 7; 8; 9 ]);
  check_int "words" (8 * 9) (SharedMem.heap_size ())

(* What a chunk refuses; and that the heap can be walked and collected afterwards. *)
let chunk_limits _ =
  let escaped = ref None in
  let bad what size write = refused what (fun () -> alloc (size, write)) in
  let header chunk n = ignore (write_header chunk note n) in
  let record chunk n = ignore (write_header chunk person n) in
  bad "nothing written" 2 (fun _ -> ());
  bad "half written" 3 (fun c ->
      header c 2;
      write_int64 c 1L);
  bad "too large" 2 (fun c -> header c 2);
  bad "negative" 2 (fun c -> header c (-1));
  bad "huge" 2 (fun c -> header c max_int);
  bad "one too many" 3 (fun c ->
      header c 1;
      write_int64 c 1L;
      write_int64 c 1L);
  bad "no header" 1 (fun c -> write_int64 c 1L);
  bad "no header" 2 (fun c -> write_string c "x");
  bad "in the midst" 4 (fun c ->
      header c 2;
      header c 0);
  bad "a string too long" 3 (fun c ->
      header c 2;
      write_string c (String.make 24 'x'));
  bad "an integer in an opaque one" 2 (fun c ->
      header c 1;
      write_int c 1);
  bad "none in an opaque one" 2 (fun c ->
      header c 1;
      write_addr_opt c None);
  bad "a word in a scanned one" 2 (fun c ->
      record c 1;
      write_int64 c 8L);
  bad "a string in a scanned one" 2 (fun c ->
      record c 1;
      write_string c "x");
  bad "63 bits" 2 (fun c ->
      record c 1;
      write_int c max_int);
  bad "negative" (-1) ignore;
  raises "no object" invalid_address (fun () ->
      alloc
        ( 2,
          fun c ->
            record c 1;
            write_addr c (addr_of_int 8) ));
  raises "not there yet" invalid_header (fun () ->
      alloc
        ( 4,
          fun c ->
            let addr = write_header c person 1 in
            write_addr c (addr_of_int (int_of_addr addr + 16)) ));
  raises "full" (( = ) SharedMem.Heap_full) (fun () -> alloc (1 lsl 40, ignore));
  raises "what it raises" (( = ) Exit) (fun () -> alloc (5, fun _ -> raise Exit));
  alloc
    ( 2,
      fun c ->
        escaped := Some c;
        header c 1;
        write_int64 c 7L );
  let chunk = Option.get !escaped in
  refused "afterwards" (fun () -> write_header chunk note 0);
  refused "afterwards" (fun () -> write_int64 chunk 1L);
  refused "afterwards" (fun () -> write_string chunk "");
  (try
     alloc
       ( 5,
         fun c ->
           escaped := Some c;
           record c 4;
           raise Exit )
   with Exit -> ());
  refused "after an exception" (fun () -> write_int (Option.get !escaped) 1);
  ignore (person_of "x" 1);
  SharedMem.compact ();
  check_int "all of it is collected" 0 (SharedMem.heap_size ())

let without_a_heap () =
  alone (fun () ->
      refused "alloc" (fun () -> alloc (prepare_write_string "x"));
      refused "alloc" (fun () -> alloc (prepare_const ()));
      refused "read" (fun () -> read_string (addr_of_int 8));
      refused "get" (fun () -> age (addr_of_int 8));
      refused "set" (fun () -> set_int person 2 (addr_of_int 8) 1);
      refused "decompress" (fun () -> read_compressed text (addr_of_int 8)))

let forked_without_connecting handle =
  let ada = person_of "Ada" 36 in
  wait_ok
    (fork (fun () ->
         check_int "reads" 36 (age ada);
         check_string "reads" "Ada" (read_string (name ada));
         refused "alloc" (fun () -> person_of "Bob" 1);
         refused "set" (fun () -> set_int person 2 ada 1);
         refused "set" (fun () -> set_field_opt person 1 ada None);
         SharedMem.connect handle ~worker_id:1;
         set_int person 2 ada 37;
         set_field person 1 ada (person_of ~friend:ada "Bob" 1)));
  check_int "age" 37 (age ada);
  check_string "friend" "Bob" (read_string (name (Option.get (friend ada))))

let () =
  run "shared_mem chunks"
    [
      ( "kinds",
        [
          test "declared once, with tags in range" kinds;
          case "of two domains, one declares" of_two_domains_one_declares;
        ] );
      ( "chunks",
        [
          case "preparing" preparing;
          case "limits" chunk_limits;
          test "without a heap" without_a_heap;
          case "a forked child must connect to write" forked_without_connecting;
        ] );
    ]
