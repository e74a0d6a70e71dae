use super::*;
use crate::registry;
use crate::sys::mapping_calls;
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

// Each block taken looked at all chunks, and each one returned searched them for its own: a million
// cost 27 seconds where these steps take less than one.
#[test]
fn the_number_of_blocks_makes_no_block_slower() {
    const BLOCKS: usize = 500_000;
    let page = crate::sys::page_size();
    let pool = Pool::new(page);
    let mut blocks: Vec<_> = (0..BLOCKS).map(|_| pool.take().unwrap()).collect();
    let chunks = pool.standing().chunks;
    assert!((BLOCKS / MOST..BLOCKS / MOST + 8).contains(&chunks));
    // From the middle, so that the chunks become free in no order.
    for _ in 0..BLOCKS / 2 {
        blocks.swap_remove(blocks.len() / 2);
    }
    blocks.extend((0..BLOCKS / 2).map(|_| pool.take().unwrap()));
    let addresses: HashSet<_> = blocks.iter().map(|block| block.address() / page).collect();
    assert_eq!(addresses.len(), BLOCKS, "no two blocks overlap");
    drop(blocks);
    let left = pool.standing();
    assert_eq!((left.chunks, left.blocks), (1, left.free));
}

#[test]
fn few_blocks_cost_a_system_call() {
    let pool = Pool::new(LEN);
    let one_by_one = mapping_calls::made_by(|| {
        for _ in 0..10_000 {
            drop(pool.take().unwrap());
        }
    });
    assert_eq!(one_by_one, 1, "one mapping, which is kept");
    let sixty = || drop((0..60).map(|_| pool.take().unwrap()).collect::<Vec<_>>());
    let by_sixties = mapping_calls::made_by(|| (0..1000).for_each(|_| sixty()));
    // Three are made and three unmapped the first time, then the one that is kept is replaced by a
    // larger one, of 36, 40, … 60 blocks, until it is enough.
    assert_eq!(by_sixties, 6 + 7 * 2, "for 60,000 blocks");
    let reclaimed = mapping_calls::made_by(|| pool.reclaim());
    assert_eq!(reclaimed, 1);
}

// With the smallest, as many blocks as before would cost four mappings again.
#[test]
fn the_largest_unused_chunk_is_kept() {
    let pool = Pool::new(LEN);
    let take = || -> Vec<_> { (0..60).map(|_| pool.take().unwrap()).collect() };
    drop(take());
    assert_eq!(pool.standing(), standing(1, 32, 32));
    let again = take();
    assert_eq!(pool.standing(), standing(2, 68, 8));
    drop(again);
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
