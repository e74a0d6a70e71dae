(* What an OCaml source file declares, found with the compiler's own parser. *)

type shape = Abstract | Record of string list | Variant of (string * int) list

type item =
  | Value of { name : string; signature : string option }
  | Type of { name : string; shape : shape }
  | Module of string

type found = {
  mean_line : float;  (** bytes *)
  items : (item list, string) result;  (** or why the file does not parse *)
}

let shape (d : Parsetree.type_declaration) =
  let arity (c : Parsetree.constructor_declaration) =
    match c.pcd_args with
    | Pcstr_tuple l -> List.length l
    | Pcstr_record l -> List.length l
  in
  match d.ptype_kind with
  | Ptype_record l -> Record (List.map (fun l -> l.Parsetree.pld_name.txt) l)
  | Ptype_variant l -> Variant (List.map (fun c -> (c.Parsetree.pcd_name.txt, arity c)) l)
  | _ -> Abstract

let items_by walk =
  let items = ref [] and walk_on = Ast_iterator.default_iterator in
  let add item = items := item :: !items in
  let add_module name = Option.iter (fun name -> add (Module name)) name in
  let value_description _ (v : Parsetree.value_description) =
    let signature = Format.asprintf "%a" Pprintast.core_type v.pval_type in
    add (Value { name = v.pval_name.txt; signature = Some signature })
  and pat it (p : Parsetree.pattern) =
    match p.ppat_desc with
    | Ppat_var name -> add (Value { name = name.txt; signature = None })
    | _ -> walk_on.pat it p
  and type_declaration _ (d : Parsetree.type_declaration) =
    add (Type { name = d.ptype_name.txt; shape = shape d })
  and module_binding it (m : Parsetree.module_binding) =
    add_module m.pmb_name.txt;
    walk_on.module_binding it m
  and module_declaration it (m : Parsetree.module_declaration) =
    add_module m.pmd_name.txt;
    walk_on.module_declaration it m
  and expr _ _ =
    ()
    (* nothing local *)
  in
  walk
    {
      walk_on with
      value_description;
      pat;
      type_declaration;
      module_binding;
      module_declaration;
      expr;
    };
  List.rev !items

let read path = In_channel.with_open_bin path In_channel.input_all

let parse path =
  let text = read path in
  let from = Lexing.from_string text in
  let items =
    try
      if Filename.check_suffix path ".mli" then
        let tree = Parse.interface from in
        Ok (items_by (fun it -> it.signature it tree))
      else
        let tree = Parse.implementation from in
        Ok (items_by (fun it -> it.structure it tree))
    with (Syntaxerr.Error _ | Lexer.Error _) as e -> Error (Printexc.to_string e)
  in
  let lines = List.length (String.split_on_char '\n' text) in
  { mean_line = float (String.length text) /. float lines; items }

let values found =
  let is_value = function Value _ -> true | Type _ | Module _ -> false in
  match found.items with Ok l -> List.length (List.filter is_value l) | Error _ -> 0

let failures found = Bool.to_int (Result.is_error found.items)
