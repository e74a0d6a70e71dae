//! OCaml's block format as plain memory: headers, fields, and the one copier of graphs.
//!
//! Knows the *format* of OCaml values, never the runtime: no `caml_*` symbol is named here.
