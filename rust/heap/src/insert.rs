//! An object comes into a list that others change and a collector marks meanwhile.
//!
//! Whoever has but looked at a list must not write what it saw there into an object: it may have
//! been taken out since, and freed by a collection that passed in between. So this looks again,
//! and the caller sees to it that no collection begins while it runs (`barrier.rs`, 2): what the
//! field holds now is kept until this is done.

use crate::object::MARK;
use crate::sync::{AtomicU64, Ordering};

/// Writes `next` to `link`, which is empty, and then `object` to `field`, if that holds `next`;
/// whether it did. `before` is called between the two.
///
/// Where it fails, `link` holds no address, as before, but perhaps a mark that somebody set
/// meanwhile. Of several that insert at one field, one succeeds. A `link` that is marked isn't
/// empty: an object that is being taken out is not inserted.
pub fn insert(
    field: &AtomicU64,
    next: u64,
    link: &AtomicU64,
    object: u64,
    before: impl FnOnce(),
) -> bool {
    // SeqCst, all: the lists built on it order their changes of several fields. Pairs with itself,
    // with `Heap::compare_modify_addr`, and with `Heap::load`.
    let order = Ordering::SeqCst;
    if field.load(order) != next || link.compare_exchange(0, next, order, order).is_err() {
        return false;
    }
    before();
    let done = field.compare_exchange(next, object, order, order).is_ok();
    if !done {
        link.fetch_and(MARK, order);
    }
    done
}
