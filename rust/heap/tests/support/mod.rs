//! A heap to store in.

use hh_heap::counter::Early;
use hh_heap::{Config, Heap};

/// A heap of 1 MiB.
pub(crate) fn heap() -> Heap {
    let config = Config {
        heap_size: 1 << 20,
        table_pow: 8,
        workers: 1,
        log_level: 0,
    };
    Heap::create(&config, &Early::new()).unwrap().0
}
