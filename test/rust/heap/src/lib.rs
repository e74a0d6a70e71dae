//! Tests of the shared heap that need more than the standard library: see `tests/`.
