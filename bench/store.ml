type t = {
  put : (string * string) array -> unit;
  get : string -> string;
  get_all : string array -> (string -> unit) -> unit;
  close : unit -> unit;
}

type kind = { name : string; open_in : string -> t }

(* LMDB. *)

module Lmdb = struct
  type env

  external load : unit -> string = "bench_lmdb_load"
  external open_ : string -> int -> env = "bench_lmdb_open"
  external close : env -> unit = "bench_lmdb_close"
  external begin_write : env -> unit = "bench_lmdb_begin_write"
  external commit : env -> unit = "bench_lmdb_commit"
  external begin_read : env -> unit = "bench_lmdb_begin_read"
  external end_read : env -> unit = "bench_lmdb_end_read"
  external put : env -> string -> string -> unit = "bench_lmdb_put"
  external get : env -> string -> string = "bench_lmdb_get"
end

let lmdb_in folder =
  let env = Lmdb.open_ (Filename.concat folder "lmdb") (16 lsl 30) in
  {
    put =
      (fun pairs ->
        Lmdb.begin_write env;
        Array.iter (fun (k, v) -> Lmdb.put env k v) pairs;
        Lmdb.commit env);
    get =
      (fun key ->
        Lmdb.begin_read env;
        Fun.protect ~finally:(fun () -> Lmdb.end_read env) (fun () -> Lmdb.get env key));
    get_all =
      (fun keys use ->
        Lmdb.begin_read env;
        Array.iter (fun key -> use (Lmdb.get env key)) keys;
        Lmdb.end_read env);
    close = (fun () -> Lmdb.close env);
  }

let lmdb () =
  let version = Lmdb.load () in
  (* "LMDB 0.9.31: (date)" *)
  { name = List.hd (String.split_on_char ':' version); open_in = lmdb_in }

(* SQLite. *)

module Sqlite = struct
  type db

  external load : unit -> string = "bench_sqlite_load"
  external open_ : string -> db = "bench_sqlite_open"
  external close : db -> unit = "bench_sqlite_close"
  external exec : db -> string -> unit = "bench_sqlite_exec"
  external put : db -> string -> string -> unit = "bench_sqlite_put"
  external get : db -> string -> string = "bench_sqlite_get"
end

let sqlite_in folder =
  let db = Sqlite.open_ (Filename.concat folder "sqlite") in
  {
    put =
      (fun pairs ->
        Sqlite.exec db "begin immediate";
        Array.iter (fun (k, v) -> Sqlite.put db k v) pairs;
        Sqlite.exec db "commit");
    get = Sqlite.get db;
    get_all =
      (fun keys use ->
        Sqlite.exec db "begin";
        Array.iter (fun key -> use (Sqlite.get db key)) keys;
        Sqlite.exec db "commit");
    close = (fun () -> Sqlite.close db);
  }

let sqlite () = { name = "SQLite " ^ Sqlite.load (); open_in = sqlite_in }

(* Redis. *)

let redis_in folder =
  let c = Redis.connect folder in
  {
    put = Redis.put c;
    get = Redis.get c;
    get_all = Redis.get_all c;
    close = (fun () -> Redis.close c);
  }

let redis folder = { name = Redis.start folder; open_in = redis_in }

(* Which are there. *)

let present makers =
  let try_ (name, make) =
    match make () with
    | kind -> Some kind
    | exception Failure why ->
        Results.left_out name why;
        None
  in
  List.filter_map try_ makers

let embedded () = present [ ("LMDB", lmdb); ("SQLite", sqlite) ]
let all ~folder = embedded () @ present [ ("Redis", fun () -> redis folder) ]
