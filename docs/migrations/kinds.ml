open SharedMem.NewAPI

(* A file has a name and a size; its tag is this program's choice. *)
let file : [ `file ] Kind.scanned = Kind.scanned ~tag:2 "file"

let prepare_write_file =
  ( header_size + 2,
    fun chunk name size ->
      let addr = write_header chunk file 2 in
      write_addr chunk name;
      write_int chunk size;
      addr )

let add_file name size =
  let open Prepare_syntax in
  alloc
    (let+ name = prepare_write_string name and+ write = prepare_write_file in
     write name size)

let get_name : [ `file ] SharedMem.addr -> [ `string ] SharedMem.addr = get_field file 0

let () =
  ignore (SharedMem.init { heap_size = 1 lsl 20; hash_table_pow = 8 } ~num_workers:0);
  let main = add_file "main.js" 12 in
  Printf.printf "%s has %d bytes\n" (read_string (get_name main)) (get_int file 1 main)
