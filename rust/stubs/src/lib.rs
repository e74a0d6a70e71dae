//! The C-ABI stubs of hh_shared's OCaml modules: the only crate that knows the OCaml runtime.
