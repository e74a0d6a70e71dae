//! Graphs that move after they were copied: pointers that lead elsewhere than to the start of a block.

use super::*;

#[test]
fn a_closure_moved_to_the_small_heap_keeps_its_infix_pointers_right() {
    let arena = Arena::new();
    let info = |start: usize| 1usize << 56 | start << 1 | 1;
    let infix = 3 << 10 | tag::INFIX as usize;
    let mut words = vec![
        6 << 10 | tag::CLOSURE as usize,
        0x1000,
        info(5),
        infix,
        0x1000,
        info(2),
        1, // closure
        2 << 10,
        0,
        0, // root: infix, closure
    ];
    words[0] = 6 << 10 | tag::CLOSURE as usize;
    let closure = words.as_ptr() as usize + 8;
    words[8] = closure + 24;
    words[9] = closure;
    let placed = place(&arena, words.as_ptr() as usize + 8 * 8);
    assert_eq!(load(placed.root), load(placed.root + 8) + 24);
    assert_eq!(load(load(placed.root) - 8), infix);
    assert_eq!(load(load(placed.root + 8)), 0x1000);
}

#[test]
fn a_block_of_no_fields_at_the_end_moves_along() {
    struct CopyAll;
    impl Source for CopyAll {
        fn outside(&self, _block: usize, _header: usize) -> Outside {
            Outside::Copy
        }
        fn custom(&self, _operations: usize) -> Custom {
            Custom::Refuse
        }
    }
    let arena = Arena::new();
    let words = [header::outside(0, 3), 1 << 10, 0];
    let atom = words.as_ptr() as usize + 8;
    let holder = [1 << 10, atom];
    let root = holder.as_ptr() as usize + 8;
    // SAFETY: the words live on.
    let placed = unsafe { arena.place(root, &CopyAll, &Policy::IN_PROCESS) }.unwrap();
    assert_eq!(placed.extent.bytes, 24);
    assert_eq!(load(placed.root), placed.extent.base + 24);
    assert_eq!(load(load(placed.root) - 8), header::outside(0, 3));
}

/// A kept block of no fields at the end of a large graph that fills its pages has the address
/// at which the next copy begins: it was taken for a block of that copy, and moved along.
#[test]
fn a_kept_block_of_no_fields_before_the_copy_stays_where_it_is() {
    let arena = Arena::new();
    // Header, 509 fields, the header of the other: 511 words; the 512th is the atom's.
    let mut words = vec![510 << 10];
    words.extend([1; 509]);
    let atom = [3usize];
    words.push(atom.as_ptr() as usize + 8);
    let large = place(&arena, words.as_ptr() as usize + 8);
    assert_eq!(large.extent.bytes, 4096);
    let atom = load(large.root + 8 * 509);
    assert_eq!(atom, large.extent.base + 4096);
    let holder = [1 << 10, atom];
    let small = place(&arena, holder.as_ptr() as usize + 8);
    assert_eq!(load(small.root), atom);
}
