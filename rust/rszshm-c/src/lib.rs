//! The C interface of ccan's rszshm over `hh_region`.
