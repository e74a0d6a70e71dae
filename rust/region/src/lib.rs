//! Address space: claims, shared mappings at one fixed address, and the files behind them.
//!
//! The ground floor of the house. Knows nothing of OCaml.
