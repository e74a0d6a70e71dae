//! The copier over heaps built by hand: each kind of block, sharing, cycles, and spaces that
//! end at every possible word. What is refused is in `refuse`.

mod support;

use hh_graph::header::{self, tag};
use hh_graph::{copy, Buffer, Copied, CopyError, Policy, Space, Tables};
use support::*;

fn copies(heap: &Heap, root: usize, world: World) -> (Room, Copied) {
    let before = heap.image();
    let mut room = Room::new((1 << 16) + heap.used());
    let made = copied(root, &world, &mut room, &mut Tables::new());
    check(root, made, &world, &room);
    assert_eq!(heap.image(), before, "the source was written");
    (room, made)
}

#[test]
fn integers_are_their_own_copy() {
    let heap = Heap::new(16);
    let (_room, made) = copies(&heap, int(42), World::default());
    assert_eq!(
        made,
        Copied {
            root: int(42),
            bytes: 0,
            blocks: 0
        }
    );
}

#[test]
fn sharing_and_cycles_are_kept() {
    let mut heap = Heap::new(64);
    let shared = heap.block(0, &[int(1), int(2)]);
    let root = heap.block(3, &[shared, shared, int(5), int(0)]);
    heap.set(root, 3, root);
    let (room, made) = copies(&heap, root, World::default());
    assert_eq!(made.root, room.start() + 8);
    assert_eq!((made.blocks, made.bytes), (2, 64));
    assert_eq!(field(made.root, 0), field(made.root, 1));
    assert_eq!(field(made.root, 3), made.root);
}

#[test]
fn words_that_are_no_values_are_copied_as_they_are() {
    let mut heap = Heap::new(256);
    let like_pointers = [0x1000, 0x2000, 8, 0];
    let all = [
        heap.string(b"hello, longer than a word"),
        heap.block(tag::DOUBLE, &[0x4000]),
        heap.block(tag::DOUBLE_ARRAY, &[0x1000; 20]),
        heap.block(tag::STRING, &like_pointers),
        heap.block(tag::CUSTOM, &[VERBATIM, 0x1000, 0x10]),
        heap.block(tag::CUSTOM, &[INT64, 0x1000]),
    ];
    let root = heap.block(0, &all);
    copies(&heap, root, World::default());
}

#[test]
fn closures_keep_their_code_and_infix_pointers_lead_into_the_copy() {
    let mut heap = Heap::new(64);
    let inside = heap.string(b"env");
    let (closure, infix) = heap.closures(inside, int(3));
    let root = heap.block(0, &[infix, inside, closure, infix]);
    let (_room, made) = copies(&heap, root, World::default());
    assert_eq!(field(made.root, 0), field(made.root, 2) + 24);
    let (_other, alone) = copies(&heap, infix, World::default());
    assert_eq!(header::tag(header_of(alone.root)), tag::INFIX);
}

#[test]
fn blocks_of_no_fields_side_by_side_are_told_apart() {
    let mut heap = Heap::new(64);
    // Value pointers 8 bytes apart, and the last one is where a real block's header stands.
    let atoms = [
        heap.outside(0, &[]),
        heap.outside(1, &[]),
        heap.outside(0, &[]),
    ];
    let block = heap.block(0, &[int(7)]);
    let root = heap.block(0, &[atoms[0], atoms[1], atoms[2], block, atoms[0]]);
    let (_room, made) = copies(&heap, root, World::default());
    assert_eq!(made.blocks, 4);
    assert_eq!(field(made.root, 0), field(made.root, 2));
    let kept = World {
        keep_outside: true,
        ..World::default()
    };
    let (_room, made) = copies(&heap, root, kept);
    assert_eq!(field(made.root, 1), atoms[1]);
    assert_eq!(made.blocks, 2);
    assert_eq!(copies(&heap, atoms[0], World::default()).1.bytes, 8);
}

#[test]
fn what_is_outside_is_kept_or_copied() {
    let mut heap = Heap::new(64);
    let hidden = heap.block(tag::CONT, &[int(1)]); // never looked at
    let outside = heap.outside(0, &[hidden]);
    let root = heap.block(0, &[outside, int(1)]);
    let kept = World {
        keep_outside: true,
        ..World::default()
    };
    let (_room, made) = copies(&heap, root, kept);
    assert_eq!((field(made.root, 0), made.blocks), (outside, 1));
    assert_eq!(
        copies(&heap, outside, kept).1,
        Copied {
            root: outside,
            bytes: 0,
            blocks: 0
        }
    );
    let spared = World {
        kept: (hidden, hidden + 8),
        ..World::default()
    };
    let (_room, made) = copies(&heap, root, spared);
    assert_eq!((field(field(made.root, 0), 0), made.blocks), (hidden, 2));
    assert_eq!(copies(&heap, hidden, spared).1.bytes, 0);
}

#[test]
fn pointers_are_made_for_the_target() {
    let mut heap = Heap::new(64);
    let leaf = heap.block(0, &[int(1)]);
    let root = heap.block(0, &[leaf, leaf]);
    let mut room = Room::new(100);
    room.delta = 0x1000_0000;
    let made = copied(root, &World::default(), &mut room, &mut Tables::new());
    check(root, made, &World::default(), &room);
    assert_eq!(made.root, room.start() + 0x1000_0000 + 8);
}

#[test]
fn bigarrays_take_their_data_along_and_own_nothing() {
    let mut heap = Heap::new(64);
    let mut data: Vec<u8> = (0..21).collect();
    let flags = 0x100 | 0x200 | 0x800 | 3; // Fortran layout, managed, part of another; uint8
    let address = data.as_mut_ptr() as usize;
    let array = heap.block(tag::CUSTOM, &[BIGARRAY, address, 2, flags, 0xF00, 3, 7]);
    let root = heap.block(0, &[array, array]);
    let (room, made) = copies_bigarray(&heap, root);
    let copy = field(made.root, 0);
    assert_eq!(copy, field(made.root, 1));
    assert_eq!(
        (field(copy, 2), field(copy, 3), field(copy, 4)),
        (2, 0x103, 0)
    );
    // SAFETY: the copy's data block has three words.
    let moved = unsafe { std::slice::from_raw_parts(field(copy, 1) as *const u8, 24) };
    assert_eq!(&moved[..21], &data[..]);
    assert_eq!(&moved[21..], &[0; 3]);
    assert_eq!(header_of(field(copy, 1)), header::outside(3, tag::ABSTRACT));
    assert_eq!(made.bytes, (3 + 8 + 4) * 8);
    assert!(room.pointers.contains(&((copy - room.start()) / 8 + 1)));
    let empty = heap.block(tag::CUSTOM, &[BIGARRAY, 0, 1, 3, 0, 0]);
    assert_eq!(copies_bigarray(&heap, empty).1.bytes, 64);
}

fn copies_bigarray(heap: &Heap, root: usize) -> (Room, Copied) {
    let before = heap.image();
    let mut room = Room::new(1000);
    let made = copied(root, &World::default(), &mut room, &mut Tables::new());
    assert_eq!(heap.image(), before);
    (room, made)
}

#[test]
fn lists_of_any_length_need_no_stack() {
    let mut heap = Heap::new(3_000_010);
    let mut list = int(0);
    for n in 0..1_000_000 {
        list = heap.block(0, &[int(n), list]);
    }
    let small_stack = std::thread::Builder::new().stack_size(64 << 10);
    let made = std::thread::scope(|scope| {
        let copier = || {
            let mut room = Room::new(3_000_000);
            let made = copied(list, &World::default(), &mut room, &mut Tables::new());
            let mut at = made.root;
            let mut sum = 0;
            while at != int(0) {
                sum += field(at, 0) >> 1;
                at = field(at, 1);
            }
            assert_eq!(sum, 999_999 * 1_000_000 / 2);
            made
        };
        small_stack
            .spawn_scoped(scope, copier)
            .unwrap()
            .join()
            .unwrap()
    });
    assert_eq!((made.blocks, made.bytes), (1_000_000, 24_000_000));
}

/// A graph of some 700 blocks, beyond what the small table takes, with most kinds of blocks.
fn mixed(heap: &mut Heap) -> usize {
    let mut all = vec![heap.outside(2, &[])];
    for n in 0..150 {
        let last = all[all.len() - 1];
        let some = all[all.len() / 2];
        all.push(heap.block(0, &[last, some, int(n)]));
        all.push(heap.string(&vec![b'x'; n as usize]));
        all.push(heap.block(tag::CUSTOM, &[INT64, n as usize]));
        let (closure, infix) = heap.closures(last, all[all.len() - 2]);
        all.extend([closure, infix]);
    }
    heap.block(0, &all)
}

#[test]
fn a_space_that_ends_at_any_word_is_never_overrun() {
    let mut heap = Heap::new(1 << 14);
    let root = mixed(&mut heap);
    let world = World::default();
    let mut tables = Tables::new();
    let mut room = Room::new(1 << 14);
    let whole = copied(root, &world, &mut room, &mut tables);
    check(root, whole, &world, &room);
    let words = whole.bytes / 8;
    for limit in 0..words {
        // The tables are the same throughout: a failure leaves nothing behind in them.
        let mut room = Room::new(limit);
        let answer = try_copy(root, &world, &Policy::IN_PROCESS, &mut room, &mut tables);
        assert!(
            matches!(answer, Err(CopyError::Full)),
            "{limit}: {answer:?}"
        );
        if limit % 97 == 0 {
            let mut room = Room::new(words);
            let made = copied(root, &world, &mut room, &mut tables);
            assert_eq!((made.bytes, made.blocks), (whole.bytes, whole.blocks));
            check(root, made, &world, &room);
        }
    }
}

#[test]
fn around_the_size_where_the_tables_change() {
    let mut tables = Tables::new();
    for blocks in 505..520 {
        let mut heap = Heap::new(1 << 12);
        let all: Vec<usize> = (1..blocks).map(|n| heap.block(1, &[int(n)])).collect();
        let twice: Vec<usize> = all.iter().chain(all.iter().rev()).copied().collect();
        let root = heap.block(0, &twice);
        let mut room = Room::new(1 << 12);
        let made = copied(root, &World::default(), &mut room, &mut tables);
        assert_eq!(made.blocks, blocks as usize);
        check(root, made, &World::default(), &room);
    }
}

/// Leaves that are copied where the scan stands are passed over; what follows them isn't.
#[test]
fn values_behind_leaves_are_scanned() {
    let mut heap = Heap::new(1 << 14);
    let mut all: Vec<usize> = (0..600).map(|n| heap.block(tag::DOUBLE, &[n])).collect();
    for n in 0..300 {
        let one = heap.block(0, &[int(n)]);
        all.push(heap.block(1, &[one, int(n), one]));
        all.push(heap.string(b"leaf"));
        all.push(heap.string(&[b'x'; 100]));
    }
    let root = heap.block(0, &all);
    copies(&heap, root, World::default());
    all.reverse();
    let root = heap.block(0, &all);
    copies(&heap, root, World::default());
}

#[test]
fn nothing_is_written_of_a_long_block_that_does_not_fit() {
    let mut heap = Heap::new(1 << 18);
    let root = heap.block(tag::STRING, &vec![7; 200_000]);
    let mut words = vec![GUARD; 150_000];
    let start = words.as_mut_ptr() as usize;
    // SAFETY: the words are this function's; the heap is borrowed, and nobody writes to it.
    let answer = unsafe {
        let mut space = Buffer::new(start, start, words.len() * 8);
        let tables = &mut Tables::new();
        copy(
            root,
            &mut space,
            &World::default(),
            &Policy::IN_PROCESS,
            tables,
        )
    };
    assert!(matches!(answer, Err(CopyError::Full)));
    assert!(words.iter().all(|&word| word == GUARD));
}

/// Where nothing but one pointer is left to scan, it doesn't pass the queue: a bug there would
/// lose it, or what stands beside it.
#[test]
fn chains_of_every_shape() {
    let long = 1 << 16;
    let mut heap = Heap::new(1 << 20);
    let cells: [fn(&mut Heap, usize, usize) -> usize; 5] = [
        |heap, n, next| heap.block(0, &[int(n as isize), next]),
        |heap, n, next| heap.block(0, &[next, int(n as isize)]),
        |heap, _, next| {
            let text = heap.string(b"a leaf");
            heap.block(0, &[text, next])
        },
        |heap, n, next| heap.block(0, &[next, int(n as isize), next]),
        |heap, _, next| heap.block(0, &[next]),
    ];
    let mut next = int(0);
    let mut last = 0;
    for n in 0..6_000 {
        next = cells[n / 100 % 5](&mut heap, n, next);
        if n == 0 {
            last = next;
        }
        if n % 2_000 == 1_500 {
            let mut fields = vec![int(n as isize); long];
            fields[long - 1] = next;
            next = heap.block(0, &fields);
        }
    }
    copies(&heap, next, World::default());
    // The end leads back to the start.
    heap.set(last, 1, next);
    copies(&heap, next, World::default());
}
