//! hh_region against plain models, with random operations: see `tests/`.
