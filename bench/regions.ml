(* Rszshm: a log that several processes append to, and that grows: each takes its place by one
   fetch_add and copies the line there. Against a file opened to append, and a pipe with a reader.
   And one word that two processes add to. *)

let topic = "Appending lines of 64 bytes"
let line = String.make 64 'x'

let until_room region last =
  while Rszshm.capacity region < last do
    ignore (Rszshm.grow region)
  done

(* The first word is where the next line goes; the bigarray covers what is mapped now. *)
let append_to_region n =
  let region = Rszshm.make 4096 in
  Rszshm.store region 0 64;
  let data = ref (Rszshm.data region) in
  for _ = 1 to n do
    let at = Rszshm.fetch_add region 0 64 in
    if at + 64 > Bigarray.Array1.dim !data then begin
      until_room region (at + 64);
      data := Rszshm.data region
    end;
    Netsys_mem.blit_string_to_memory line 0 !data at 64
  done;
  region

let append_to_file folder n =
  let path = Filename.concat folder "log" in
  let fd = Unix.openfile path [ O_WRONLY; O_CREAT; O_APPEND; O_CLOEXEC ] 0o600 in
  for _ = 1 to n do
    assert (Unix.write_substring fd line 0 64 = 64)
  done;
  Unix.close fd;
  path

(* The reader takes what it gets, a page and more at once. *)
let through_a_pipe n =
  let exit_, entrance = Unix.pipe ~cloexec:true () in
  match Unix.fork () with
  | 0 ->
      Unix.close entrance;
      let b = Bytes.create 65536 in
      while Unix.read exit_ b 0 65536 > 0 do
        ()
      done;
      Unix._exit 0
  | reader ->
      Unix.close exit_;
      for _ = 1 to n do
        assert (Unix.write_substring entrance line 0 64 = 64)
      done;
      Unix.close entrance;
      ignore (Unix.waitpid [] reader)

let appending folder n =
  Measure.race ~per:n
    ~fresh:((1 lsl 24) + (256 * n))
    [
      (* A region's addresses are kept until its bigarrays are collected. *)
      Measure.contender "Rszshm, which grows from a page" ~prepare:Gc.full_major
        ~after:Rszshm.remove (fun () -> append_to_region n);
      Measure.contender "write, to a file in memory" ~after:Sys.remove (fun () ->
          append_to_file folder n);
      Measure.contender "write, to a pipe with a reader" ~waits:true (fun () ->
          through_a_pipe n);
    ]
  |> Results.add ~topic
       ~what:(Printf.sprintf "each of %d" n)
       ~size:(float n) ~base:"write, to a file in memory"

let counting n =
  let region = Rszshm.make 4096 in
  let count () = Scratch.times n (fun _ -> Rszshm.fetch_add region 0 1) in
  let atomic = Atomic.make 0 in
  let with_another f () =
    match Unix.fork () with
    | 0 ->
        f ();
        Unix._exit 0
    | other ->
        f ();
        ignore (Unix.waitpid [] other)
  in
  Measure.race ~per:n
    [
      Measure.contender "Rszshm.fetch_add" count;
      Measure.contender "Rszshm.fetch_add, two processes" ~waits:true (with_another count);
      Measure.contender "Atomic.fetch_and_add, private" (fun () ->
          Scratch.times n (fun _ -> Atomic.fetch_and_add atomic 1));
    ]
  |> Results.add ~topic:"Counting in shared memory"
       ~what:(Printf.sprintf "each of %d" n)
       ~size:(float n) ~base:"Atomic.fetch_and_add, private";
  Rszshm.remove region

let run () =
  let scale = if Measure.quick then 10 else 1 in
  Scratch.with_folder (fun folder -> appending folder (1_000_000 / scale));
  counting (10_000_000 / scale)
