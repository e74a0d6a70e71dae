(* Proxies of marked values: what they tell, and how long what they stand for lives. *)

open Test_support

let marked v = Ancient.follow (Ancient.mark v)

let size () =
  let _, { Ancient.i_size } = Ancient.mark_info [| Sys.opaque_identity 1; 2; 3 |] in
  check_int "three fields" (if Sys.backend_type = Native then i_size else 32) i_size;
  let _, { Ancient.i_size } = Ancient.mark_info (Array.init 3 Fun.id) in
  check_int "header and three fields" 32 i_size;
  let _, { Ancient.i_size } = Ancient.mark_info (List.init 10 string_of_int) in
  check_int "ten cells and strings" (10 * (24 + 16)) i_size

let address () =
  let v = marked (Array.init 3 Fun.id) in
  let a = Ancient.address_of v in
  Gc.compact ();
  check_bool "stays" true (a = Ancient.address_of v && a <> 0n && Nativeint.rem a 8n = 0n)

let proxy_dropped () =
  let values = List.init 100 (fun n -> marked (List.init n string_of_int)) in
  Gc.compact ();
  List.iteri (fun n v -> check_bool "stays" true (v = List.init n string_of_int)) values

let proxies_are_opaque () =
  let p = Ancient.mark [ Sys.opaque_identity 1 ] in
  raises_invalid "compare" (fun () -> compare p (Ancient.mark [ 2 ]));
  raises_invalid "marshal" (fun () -> Marshal.to_string p [])

(* A copied proxy had a "not deleted yet" of its own: the second delete freed the room of
   whatever value was there by then. *)
let proxy_copied () =
  let v = [ Sys.opaque_identity 1; 2 ] in
  let p = Ancient.mark v in
  let q : int list Ancient.ancient = Obj.obj (Obj.dup (Obj.repr p)) in
  check_bool "the same value" true (Ancient.follow q == Ancient.follow p);
  Gc.full_major ();
  Ancient.delete q;
  let deleted what f =
    Alcotest.check_raises what (Invalid_argument "deleted") (fun () -> ignore (f ()))
  in
  deleted "follow" (fun () -> Ancient.follow p);
  deleted "delete" (fun () -> Ancient.delete p);
  deleted "delete again" (fun () -> Ancient.delete q)

(* So had a copy of what the proxy leads to, and freed the room of whatever value was there by then. *)
let cell_copied () =
  let copied p : 'a Ancient.ancient =
    let q = Obj.dup (Obj.repr p) in
    Obj.set_field q 0 (Obj.dup (Obj.field q 0));
    Obj.obj q
  in
  let deleted what f =
    Alcotest.check_raises what (Invalid_argument "deleted") (fun () -> ignore (f ()))
  in
  let use p q =
    check_bool "the same value" true (Ancient.follow q == Ancient.follow p);
    Ancient.delete q;
    (* In its room, as far as it is used again, are others. *)
    let others = List.init 100 (fun i -> Ancient.mark [ string_of_int i ]) in
    deleted "follow" (fun () -> Ancient.follow p);
    deleted "delete" (fun () -> Ancient.delete p);
    deleted "delete again" (fun () -> Ancient.delete q);
    List.iteri
      (fun i p -> check_bool "whole" true (Ancient.follow p = [ string_of_int i ]))
      others;
    List.iter Ancient.delete others;
    deleted "and later" (fun () -> Ancient.delete p)
  in
  let each v =
    let p = Ancient.mark v in
    use p (copied p)
  in
  for i = 1 to 1000 do
    each (Obj.repr [ i ])
  done;
  each (Obj.repr (Array.make 600 "x"));
  each (Obj.repr (Array.make 600_000 "y"));
  each (Obj.repr 7);
  let p = Ancient.mark ~protect:true (Obj.repr [ Sys.opaque_identity 1 ]) in
  use p (copied p)

let forked () =
  let v = marked (Array.init 100_000 string_of_int) in
  let check () = Array.iteri (fun i s -> if s <> string_of_int i then failwith s) v in
  let children =
    List.init 3 (fun _ ->
        fork (fun () ->
            check ();
            Gc.compact ();
            let own = Ancient.mark (List.init 1000 string_of_int) in
            check ();
            Ancient.delete own;
            let big = Ancient.mark (Array.init 10_000 string_of_int) in
            Ancient.delete big))
  in
  List.iter wait_ok children;
  check ()

let () =
  run "ancient proxies"
    [
      ( "proxies",
        [
          test "size" size;
          test "address" address;
          test "dropped" proxy_dropped;
          test "opaque" proxies_are_opaque;
          test "a proxy copied" proxy_copied;
          test "a proxy's cell copied" cell_copied;
          test "forked" forked;
        ] );
    ]
