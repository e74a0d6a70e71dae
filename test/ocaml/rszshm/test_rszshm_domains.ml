(* Rszshm and domains. No test here forks: OCaml refuses to, once a domain was spawned. *)

open Test_support
module A = Bigarray.Array1
module Marks = Rszshm_marks

let mib = 1 lsl 20
let bytes = 2 * mib
let with_path f = with_temp_dir (fun dir -> f (Filename.concat dir "region"))
let mark n = Char.chr (Char.code 'A' + n)

let fill_with_two r n bytes =
  let d = Domain.spawn (fun () -> Marks.fill r (mark (n + 1)) bytes) in
  Marks.fill r (mark n) bytes;
  Domain.join d

let () =
  role "fill" (fun args ->
      let r = Rszshm.attach args.(0) in
      fill_with_two r (int_of_string args.(1)) bytes;
      Rszshm.detach r)

let together () =
  with_path (fun path ->
      let r = Rszshm.make ~path 1 in
      fill_with_two r 0 bytes;
      ignore (Marks.check ~drawers:2 r bytes : string);
      Rszshm.detach r)

let processes_of_domains () =
  with_path (fun path ->
      let r = Rszshm.make ~path 1 in
      let pids = List.init 8 (fun n -> spawn "fill" [ path; string_of_int (2 * n) ]) in
      List.iter wait_ok pids;
      ignore (Marks.check ~drawers:16 r bytes : string);
      Rszshm.detach r)

(* One domain grows to the end; the other uses all that it sees, asking again and again. *)
let use_while_growing () =
  with_path (fun path ->
      let scan = { Rszshm.default_scan with len = 32 * mib } in
      let r = Rszshm.make ~scan ~path 1 in
      let first = Rszshm.data r in
      let user =
        Domain.spawn (fun () ->
            let rec go seen =
              let data = Rszshm.data r in
              let capacity = A.dim data in
              data.{capacity - 1} <- 'u';
              first.{0} <- 'f';
              Rszshm.store r (capacity - 8) capacity;
              if A.dim (A.sub data 0 capacity) < Rszshm.max_capacity r then
                go (if capacity > seen then capacity else seen)
              else seen
            in
            go 0)
      in
      let rec grow () =
        ignore (Rszshm.update r : bool);
        match Rszshm.grow r with
        | _ -> grow ()
        | exception Unix.Unix_error (ENOMEM, _, _) -> ()
      in
      grow ();
      check_bool "it saw it grow" true (Domain.join user >= 0);
      check_bool "nothing moved" true ((Rszshm.data r).{0} = 'f');
      Rszshm.detach r)

(* One domain detaches while the other uses words and arrays in every way. *)
let detach_while_using () =
  with_path (fun path ->
      for _ = 1 to 100 do
        let r = Rszshm.make ~path 1 in
        let data = Rszshm.data r in
        let ready = Atomic.make false in
        let user =
          Domain.spawn (fun () ->
              let rec go n =
                Atomic.set ready true;
                data.{n land 1023} <- 'x';
                ignore (Rszshm.fetch_add r 8 1 : int);
                ignore (Rszshm.update r : bool);
                if n < 5 then ignore (Rszshm.grow r : bool);
                ignore ((Rszshm.data r).{n land 1023} : char);
                go (n + 1)
              in
              match go 0 with
              | () -> ()
              | exception (Invalid_argument _ | Unix.Unix_error (EBADF, _, _)) -> ())
        in
        while not (Atomic.get ready) do
          Domain.cpu_relax ()
        done;
        Rszshm.detach r;
        Domain.join user;
        check_int "capacity" 0 (Rszshm.capacity r);
        raises_invalid "words" (fun () -> Rszshm.load r 0);
        data.{0} <- 'y';
        Rszshm.unlink r
      done)

(* Arrays die in the collections of any domain, whoever made them. *)
let collected_anywhere () =
  with_path (fun path ->
      let r = Rszshm.make ~path 65536 in
      let churn () =
        for i = 0 to 20_000 do
          let part = A.sub (Rszshm.data r) i 16 in
          part.{0} <- 'c';
          if i mod 5_000 = 0 then Gc.full_major ()
        done
      in
      let d = Domain.spawn churn in
      churn ();
      Domain.join d;
      check_bool "alive" true ((Rszshm.data r).{20_000} = 'c');
      Rszshm.detach r)

let () =
  run "rszshm domains"
    [
      ( "domains",
        [
          test "2 domains mark every byte once" together;
          test "8 processes of 2 domains mark every byte once" processes_of_domains;
          test "one grows, one uses" use_while_growing;
          test "one detaches, one uses" detach_while_using;
          test "arrays are collected anywhere" collected_anywhere;
        ] );
    ]
