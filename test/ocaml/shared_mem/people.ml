(* Kinds that a program declares, and objects of them, for the tests of chunks and objects. *)

open Tables
open SharedMem.NewAPI
open Prepare_syntax

type person = [ `person ]

let person : person Kind.scanned = Kind.scanned ~tag:2 "person"
let note : [ `note ] Kind.opaque = Kind.opaque ~tag:15 "note"
let text : [ `text ] Kind.serialized = Kind.serialized ~tag:20 "text"
let last_text : [ `last ] Kind.serialized = Kind.serialized ~tag:63 "last"

module People =
  SharedMem.AddrHeap
    (StringKey)
    (struct
      type t = person
    end)

module Notes =
  SharedMem.AddrHeap
    (StringKey)
    (struct
      type t = [ `note ]
    end)

(* A name, a friend or none, an age. *)
let prepare_write_person :
    ([ `string ] SharedMem.addr ->
    person SharedMem.addr option ->
    int ->
    person SharedMem.addr)
    prep =
  ( header_size + 3,
    fun chunk name friend age ->
      let addr = write_header chunk person 3 in
      write_addr chunk name;
      write_addr_opt chunk friend;
      write_int chunk age;
      addr )

let name : person SharedMem.addr -> [ `string ] SharedMem.addr = get_field person 0

let friend : person SharedMem.addr -> person SharedMem.addr option =
  get_field_opt person 1

let age = get_int person 2

let person_of ?friend s years =
  alloc
    (let+ name = prepare_write_string s and+ person = prepare_write_person in
     person name friend years)

(* The same address, as one of whatever is asked for. *)
let cast : _ SharedMem.addr -> _ SharedMem.addr = Obj.magic
let addr_of_int : int -> _ SharedMem.addr = Obj.magic
let int_of_addr : _ SharedMem.addr -> int = Obj.magic
let invalid_address = function SharedMem.Invalid_address _ -> true | _ -> false
let invalid_header = function SharedMem.Invalid_header _ -> true | _ -> false
