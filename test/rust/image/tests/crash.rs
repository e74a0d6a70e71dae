//! A crash after every step of a writer, with what was not yet on the medium there, missing, or
//! torn: every state that was published before is still what the file holds, or the next one is.

use hh_image::{Durability, Writer};
use image_tests::model::{imagine, make, perform, read, Change, Model, Value};
use image_tests::{apply, Recorder, Step};

/// A little pseudo-randomness that is the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) % sides
    }
}

fn changes(dice: &mut Dice, count: usize) -> Vec<Change> {
    (0..count)
        .map(|number| {
            let key = dice.roll(70);
            match dice.roll(12) {
                0 => Change::Remove(key),
                2 | 3 => Change::Link(key, dice.roll(70), dice.roll(3) == 0),
                4 if number % 3 == 0 => Change::Compact,
                5 | 6 => {
                    let (words, fill) = (1 + dice.roll(900), number as u64);
                    let floats = Value::Block { words, fill };
                    Change::Set(key, Value::Link(Box::new(floats)))
                }
                1 => Change::Set(key & !1, Value::Immediate(number as u64 * 2 + 1)),
                _ => Change::Set(
                    key,
                    Value::Block {
                        words: 1 + dice.roll(1500),
                        fill: number as u64,
                    },
                ),
            }
        })
        .collect()
}

/// Writes the changes and returns the steps, with the number of steps that each state took.
fn record(changes: &[Change], durability: Durability) -> (Vec<Step>, Vec<(usize, Model)>) {
    let file = Recorder::default();
    make(&file, durability);
    let mut states = vec![(file.steps().len(), Model::new())];
    let mut writer = Writer::open(&file, durability).unwrap();
    let mut model = Model::new();
    for (number, change) in changes.iter().enumerate() {
        if number % 5 == 4 {
            // Another process's writer, which knows nothing.
            writer = Writer::open(&file, durability).unwrap();
        }
        perform(&file, &mut writer, change).unwrap();
        imagine(&mut model, change);
        states.push((file.steps().len(), model.clone()));
    }
    (file.steps(), states)
}

/// The file after a crash holds what was published last, or what was about to be.
fn check(bytes: Vec<u8>, step: usize, states: &[(usize, Model)]) {
    let published = states.iter().rposition(|(steps, _)| *steps <= step);
    let file = Recorder::of(bytes);
    let held = read(&file).unwrap_or_else(|error| panic!("after step {step}: {error}"));
    let next = states
        .get(published.map_or(0, |at| at + 1))
        .map(|(_, model)| model);
    match (&held, published) {
        (None, None) => make(&file, Durability::Memory),
        (None, Some(_)) => panic!("after step {step}: the file is new"),
        (Some(held), Some(at)) if *held == states[at].1 => (),
        (Some(held), _) => assert_eq!(Some(held), next, "after step {step}"),
    }
    // The next writer goes on, and nothing that it does harms what is there.
    let mut model = held.unwrap_or_default();
    let mut writer = Writer::open(&file, Durability::Medium).unwrap();
    for number in 0..3 {
        let change = Change::Set(
            300 + number,
            Value::Block {
                words: 700,
                fill: 99,
            },
        );
        perform(&file, &mut writer, &change).unwrap();
        imagine(&mut model, &change);
    }
    assert_eq!(
        read(&file).unwrap(),
        Some(model),
        "written on after step {step}"
    );
}

/// Killed processes: everything they wrote is there, up to a point, perhaps within a write.
#[test]
fn a_process_killed_at_any_step_leaves_a_published_state() {
    let mut dice = Dice(1);
    for durability in [Durability::Medium, Durability::Memory] {
        let (steps, states) = record(&changes(&mut dice, 40), durability);
        let mut bytes = Vec::new();
        for (number, step) in steps.iter().enumerate() {
            check(bytes.clone(), number, &states);
            if let Step::Write(offset, written) = step {
                let cut = dice.roll(written.len() as u64) as usize;
                let mut torn = bytes.clone();
                apply(&mut torn, &Step::Write(*offset, written[..cut].to_vec()));
                check(torn, number, &states);
            }
            apply(&mut bytes, step);
        }
        check(bytes, steps.len(), &states);
    }
}

/// A machine that stops: of what was written since the last sync, any part is there, in any order.
#[test]
fn a_machine_that_stops_at_any_step_leaves_a_published_state() {
    let mut dice = Dice(2);
    let (steps, states) = record(&changes(&mut dice, 40), Durability::Medium);
    let mut on_medium = Vec::new();
    let mut pending: Vec<&Step> = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        for _ in 0..4 {
            let mut bytes = on_medium.clone();
            for step in &pending {
                match step {
                    Step::Length(_) => apply(&mut bytes, step),
                    // There, missing, or some of its sectors.
                    Step::Write(offset, written) => {
                        for (sector, part) in written.chunks(512).enumerate() {
                            if dice.roll(3) > 0 {
                                let at = offset + sector as u64 * 512;
                                apply(&mut bytes, &Step::Write(at, part.to_vec()));
                            }
                        }
                    }
                    Step::Sync => (),
                }
            }
            check(bytes, number, &states);
        }
        pending.push(step);
        if matches!(step, Step::Sync) {
            pending
                .drain(..)
                .for_each(|step| apply(&mut on_medium, step));
        }
    }
}

/// Without a sync before the superblock, a machine that stops does lose data: the test above is
/// able to fail.
#[test]
#[should_panic]
fn without_syncs_a_machine_that_stops_does_harm() {
    let mut dice = Dice(3);
    let (steps, states) = record(&changes(&mut dice, 40), Durability::Memory);
    let superblocks: Vec<&Step> = steps
        .iter()
        .filter(|s| matches!(s, Step::Write(at, _) if *at < 8192))
        .collect();
    let mut bytes = vec![0; 1 << 23];
    superblocks
        .into_iter()
        .for_each(|step| apply(&mut bytes, step));
    check(bytes, steps.len(), &states);
}
