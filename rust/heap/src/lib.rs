//! The shared heap: layout, hash table, allocation, and what the collector needs.
