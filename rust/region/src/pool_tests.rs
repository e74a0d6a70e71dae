use super::*;
use crate::registry;
use std::collections::HashSet;

const LEN: usize = 8192;

fn standing(chunks: usize, blocks: usize, free: usize) -> Standing {
    Standing {
        chunks,
        blocks,
        free,
    }
}

#[test]
fn blocks_are_apart_and_whole() {
    let pool = Pool::new(LEN);
    let blocks: Vec<_> = (0..100).map(|_| pool.take().unwrap()).collect();
    let addresses: HashSet<_> = blocks.iter().map(|block| block.address() / LEN).collect();
    assert_eq!(addresses.len(), 100, "no two blocks overlap");
    for block in &blocks {
        assert_eq!(block.address() % crate::sys::page_size(), 0);
        // SAFETY: a block is mapped for its whole length, and this test's own.
        unsafe { (block.address() as *mut u8).write_bytes(1, block.block_len()) };
    }
    // 4 + 8 + 16 + 32 + 64: five system calls for a hundred blocks.
    assert_eq!(pool.standing(), standing(5, 124, 24));
}

#[test]
fn what_is_given_back_is_taken_again() {
    let pool = Pool::new(LEN);
    let first = pool.take().unwrap();
    let address = first.address();
    first.give_back();
    first.give_back();
    assert_eq!(pool.standing(), standing(1, 4, 4));
    let second = pool.take().unwrap();
    assert_eq!(second.address(), address);
    drop(first);
    assert_eq!(
        pool.standing(),
        standing(1, 4, 3),
        "a late drop returns nothing twice"
    );
    drop(second);
    assert_eq!(pool.standing(), standing(1, 4, 4));
}

#[test]
fn unused_chunks_go_but_for_one() {
    let pool = Pool::new(LEN);
    let blocks: Vec<_> = (0..60).map(|_| pool.take().unwrap()).collect();
    assert_eq!(pool.standing(), standing(4, 60, 0));
    drop(blocks);
    assert_eq!(pool.standing().chunks, 1);
    pool.reclaim();
    assert_eq!(pool.standing(), standing(0, 0, 0));
}

#[test]
fn memory_of_a_block_given_back_stays_until_it_is_dropped() {
    let pool = Pool::new(LEN);
    let block = pool.take().unwrap();
    block.give_back();
    pool.reclaim();
    assert_eq!(pool.standing().chunks, 0);
    assert!(registry::find(block.address()).is_some(), "still mapped");
    // SAFETY: the block holds its chunk alive.
    unsafe { (block.address() as *mut u8).write(1) };
    drop(pool);
    // SAFETY: as above.
    assert_eq!(unsafe { (block.address() as *const u8).read() }, 1);
}

#[test]
fn many_threads_take_and_return() {
    let pool = Pool::new(LEN);
    std::thread::scope(|scope| {
        for thread in 0..4u8 {
            let pool = &pool;
            scope.spawn(move || {
                for round in 0..500 {
                    let blocks: Vec<_> = (0..round % 7).map(|_| pool.take().unwrap()).collect();
                    for block in &blocks {
                        // SAFETY: the block is this thread's until it is dropped.
                        unsafe { (block.address() as *mut u8).write(thread) };
                    }
                    std::thread::yield_now();
                    for block in &blocks {
                        // SAFETY: as above.
                        assert_eq!(unsafe { (block.address() as *const u8).read() }, thread);
                    }
                }
            });
        }
    });
    let standing = pool.standing();
    assert_eq!(standing.blocks, standing.free);
    assert!(standing.chunks <= 1);
}
