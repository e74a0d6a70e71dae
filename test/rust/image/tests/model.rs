//! Random changes, by one writer or several in turn, against a map: what is read is what was set,
//! and space that nobody names is used again.

use hh_image::{inspect, Durability, Error, Storage, Writer};
use image_tests::model::{imagine, make, perform, read, Change, Model, Value};
use image_tests::Recorder;
use proptest::prelude::*;

fn change() -> impl Strategy<Value = Change> {
    let block = (1u64..3000, any::<u64>()).prop_map(|(words, fill)| Value::Block { words, fill });
    let link = block.clone().prop_map(|block| Value::Link(Box::new(block)));
    let value =
        prop_oneof![4 => block, 2 => link, 1 => any::<u64>().prop_map(|v| Value::Immediate(v | 1))];
    let key = prop_oneof![0u64..8, 0u64..400];
    prop_oneof![
        4 => (key.clone(), value).prop_map(|(key, value)| match value {
            Value::Immediate(_) => Change::Set(key & !1, value),
            _ => Change::Set(key, value),
        }),
        1 => key.clone().prop_map(Change::Remove),
        2 => (key.clone(), key, any::<bool>())
            .prop_map(|(key, to, plain)| Change::Link(key, to, plain)),
        1 => Just(Change::Compact),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn an_image_is_a_map(changes in prop::collection::vec((change(), any::<bool>()), 1..120)) {
        let file = Recorder::default();
        make(&file, Durability::Memory);
        let mut model = Model::new();
        let mut writer = Writer::open(&file, Durability::Memory).unwrap();
        for (change, new_writer) in &changes {
            if *new_writer {
                writer = Writer::open(&file, Durability::Memory).unwrap();
            }
            perform(&file, &mut writer, change).unwrap();
            imagine(&mut model, change);
        }
        prop_assert_eq!(read(&file).unwrap(), Some(model));
    }

    #[test]
    fn flipped_bits_are_an_error_or_do_not_matter(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let file = Recorder::default();
        make(&file, Durability::Memory);
        let mut writer = Writer::open(&file, Durability::Memory).unwrap();
        let mut models = vec![Model::new()];
        for number in 0..60 {
            let change = Change::Set(number, Value::Block { words: 40, fill: number });
            perform(&file, &mut writer, &change).unwrap();
            let mut model = models[models.len() - 1].clone();
            imagine(&mut model, &change);
            models.push(model);
        }
        let mut bytes = file.bytes();
        for (index, bit) in flips {
            let at = index.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        // Never a panic. What is read without an error is a state that was published.
        if let Ok(Some(model)) = read(&Recorder::of(bytes)) {
            prop_assert!(models.contains(&model));
        }
    }
}

#[test]
fn replacing_values_does_not_make_the_file_grow() {
    let file = Recorder::default();
    make(&file, Durability::Memory);
    let mut lengths = Vec::new();
    for round in 0..200 {
        let mut writer = Writer::open(&file, Durability::Memory).unwrap();
        for key in 0..4 {
            let change = Change::Set(
                key,
                Value::Block {
                    words: 2000 + round * 7 % 100,
                    fill: round,
                },
            );
            perform(&file, &mut writer, &change).unwrap();
        }
        lengths.push(file.length().unwrap());
    }
    // Four values of 16 KB; each replacement needs room for a fifth, and for the one before.
    assert!(
        lengths.iter().all(|length| *length <= 192 << 10),
        "{lengths:?}"
    );
}

#[test]
fn what_a_reader_holds_is_not_written_until_it_lets_go() {
    let file = Recorder::default();
    make(&file, Durability::Memory);
    let mut writer = Writer::open(&file, Durability::Memory).unwrap();
    let set = |writer: &mut Writer<'_>, fill| {
        perform(
            &file,
            writer,
            &Change::Set(0, Value::Block { words: 600, fill }),
        )
        .unwrap();
    };
    set(&mut writer, 1);
    let state = inspect::state(&file).unwrap().unwrap();
    let entry = inspect::find(&file, &state, &image_tests::model::key(0))
        .unwrap()
        .unwrap();
    // The recorder panics at a write into what is held.
    file.held
        .borrow_mut()
        .insert(entry.offset, entry.offset + entry.length);
    (0..20).for_each(|fill| set(&mut writer, fill));
    assert!(inspect::contents(&file, &entry).is_ok());
    let held = file.length().unwrap();
    file.held.borrow_mut().clear();
    (0..20).for_each(|fill| set(&mut writer, fill));
    assert_eq!(file.length().unwrap(), held);
    assert!(
        inspect::contents(&file, &entry).is_err(),
        "the place is used again"
    );
}

#[test]
fn a_full_disk_and_a_full_file_leave_what_is_there() {
    let file = Recorder::default();
    make(&file, Durability::Memory);
    let mut writer = Writer::open(&file, Durability::Memory).unwrap();
    perform(
        &file,
        &mut writer,
        &Change::Set(
            0,
            Value::Block {
                words: 600,
                fill: 1,
            },
        ),
    )
    .unwrap();
    let (before, length) = (read(&file).unwrap(), file.length().unwrap());
    file.limit.set(length + 8192);
    let big = Change::Set(
        0,
        Value::Block {
            words: 6000,
            fill: 2,
        },
    );
    assert!(matches!(
        perform(&file, &mut writer, &big),
        Err(Error::System(_))
    ));
    assert_eq!(
        (read(&file).unwrap(), file.length().unwrap()),
        (before.clone(), length)
    );
    file.limit.set(0);
    let huge = Change::Set(
        0,
        Value::Block {
            words: 1 << 22,
            fill: 2,
        },
    );
    let mut writer = Writer::open(&file, Durability::Memory).unwrap();
    let error = perform(&file, &mut writer, &huge).unwrap_err().to_string();
    assert!(error.contains("maximum length"), "{error}");
    assert_eq!(
        (read(&file).unwrap(), file.length().unwrap()),
        (before, length)
    );
}

#[test]
fn every_flipped_bit_in_the_key_table_is_seen() {
    let file = Recorder::default();
    make(&file, Durability::Memory);
    let mut writer = Writer::open(&file, Durability::Memory).unwrap();
    for number in 0..60 {
        let change = Change::Set(
            number,
            Value::Block {
                words: 40,
                fill: number,
            },
        );
        perform(&file, &mut writer, &change).unwrap();
    }
    let state = inspect::state(&file).unwrap().unwrap();
    assert!(state.root.height > 1);
    let whole = file.bytes();
    for at in 0..4096 {
        let mut bytes = whole.clone();
        bytes[state.root.offset as usize + at] ^= 1 << (at % 8);
        let error = inspect::entries(&Recorder::of(bytes), &state).unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "byte {at}");
    }
}
