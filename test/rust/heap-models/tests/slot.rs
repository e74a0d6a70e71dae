//! A slot of the registry of spans, from one owner to the next: what a reader gets belongs together.

use heap_models::slot::{Contents, Slot};
use heap_models::sync::{AtomicU32, Ordering};
use loom::sync::Arc;
use loom::thread;

fn contents(n: usize) -> Contents {
    Contents {
        base: n,
        len: n,
        kind: n as u32,
    }
}

// The fence that keeps the next owner's stores behind the odd sequence stood where the last owner
// retired the slot: in another thread than those stores. A reader could see both owners' words.
#[test]
fn a_reader_never_gets_words_of_two_owners() {
    let mut model = loom::model::Builder::new();
    // All that there are take a minute.
    model.preemption_bound = Some(3);
    model.check(|| {
        let slot = Arc::new(Slot::unused(0));
        let first = slot.fill(contents(1));
        // As the list of free slots passes it on.
        let free = Arc::new(AtomicU32::new(0));
        let owners = {
            let (slot, free) = (slot.clone(), free.clone());
            let retires = thread::spawn({
                let (slot, free) = (slot.clone(), free.clone());
                move || {
                    assert!(slot.retire(first) && !slot.retire(first));
                    free.store(1, Ordering::Release);
                }
            });
            let takes = thread::spawn(move || {
                if free.load(Ordering::Acquire) == 1 {
                    slot.fill(contents(2));
                }
            });
            [retires, takes]
        };
        if let Some((sequence, found)) = slot.read() {
            let owner = if sequence == first { 1 } else { 2 };
            assert_eq!(found, contents(owner));
        }
        owners.into_iter().for_each(|owner| owner.join().unwrap());
    });
}
