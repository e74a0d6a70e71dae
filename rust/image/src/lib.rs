//! A file that holds graphs of OCaml values under keys, and the in-process arena of marked values.
