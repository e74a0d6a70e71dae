(* What Ancient.mark refuses: by which name, and saying where it is. *)

open Test_support

(* In memory that another process writes to lie blocks with operations of that process: their
   finaliser was asked for at an address that is nothing here, a crash. *)
let foreign_customs () =
  let m = Netsys_mem.alloc_memory_pages 4096 in
  let target_custom_ops = [ ("_j", 0x10n) ] in
  let v = Int64.of_int (Sys.opaque_identity 1) in
  let offset, _ = Netsys_mem.init_value ~target_custom_ops m 0 v [ Copy_custom_int ] in
  match Ancient.mark (Netsys_mem.as_value m offset : int64) with
  | _ -> Alcotest.fail "not refused"
  | exception Invalid_argument text ->
      check_string "named" "Ancient.mark: custom block of another process at the root"
        text

exception Mine of string

type ext = ..
type ext += Here of int

let refused what text v =
  match Ancient.mark v with
  | _ -> Alcotest.failf "%s: not refused" what
  | exception Invalid_argument got -> check_string what ("Ancient.mark: " ^ text) got

let refusals () =
  let k = Sys.opaque_identity 1 in
  let delayed = lazy (k + 1) in
  refused "lazy" "lazy value not forced yet at the root" delayed;
  refused "lazy inside" "lazy value not forced yet at field 1 of field 0" [ (k, delayed) ];
  check_int "and is as it was" 2 (Lazy.force delayed);
  refused "mutex" "custom block \"_mutex\" at field 1" (k, Mutex.create ());
  refused "channel" "custom block \"_chan\" at field 0" [| stdout |];
  refused "proxy" "abstract block at field 0 of field 0" [| Ancient.mark 1 |];
  refused "exception"
    "exception or extension constructor Dune__exe__Test_mark_refused.Mine at field 0"
    (Mine "x");
  refused "extension"
    "exception or extension constructor Dune__exe__Test_mark_refused.Here at field 0 of \
     field 0"
    [ Here k ];
  let again = lazy (k + 1) in
  refused "at the end of a long list"
    "lazy value not forced yet at field 0 of field 1 (1000 times)"
    (List.init 1001 (fun n ->
         if n = 1000 then again
         else
           let l = lazy n in
           ignore (Lazy.force l);
           l))

let refused_leaves_nothing () =
  let big = List.init 1000 string_of_int in
  let k = Sys.opaque_identity 1 in
  for _ = 1 to 100 do
    match Ancient.mark (big, lazy (k + 1)) with
    | _ -> Alcotest.fail "not refused"
    | exception Invalid_argument _ -> ()
  done;
  check_bool "afterwards" true (Ancient.follow (Ancient.mark big) = big)

let continuation () =
  let open Effect in
  let open Effect.Deep in
  let module M = struct
    type _ Effect.t += Ask : unit Effect.t
  end in
  let refused = ref false in
  match_with
    (fun () -> perform M.Ask)
    ()
    {
      retc = Fun.id;
      exnc = raise;
      effc =
        (fun (type a) (e : a Effect.t) ->
          match e with
          | M.Ask ->
              Some
                (fun (k : (a, _) continuation) ->
                  (match Ancient.mark k with
                  | _ -> ()
                  | exception Invalid_argument text ->
                      refused := text = "Ancient.mark: continuation at the root");
                  continue k ())
          | _ -> None);
    };
  check_bool "refused" true !refused

let () =
  run "ancient mark, refused"
    [
      ( "refused",
        [
          test "by name and path" refusals;
          test "leaving nothing" refused_leaves_nothing;
          test "custom blocks of another process" foreign_customs;
          test "continuation" continuation;
        ] );
    ]
