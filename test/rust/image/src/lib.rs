//! A file that remembers how it was written, so that a crash can be tried after every step.

use hh_image::{Error, Result, Storage, Window};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

/// One step of a writer.
#[derive(Debug, Clone)]
pub enum Step {
    /// These bytes at this offset.
    Write(u64, Vec<u8>),
    /// The file is so long now.
    Length(u64),
    /// What was written before is on the medium.
    Sync,
}

/// A file in memory, and the steps that led to it.
#[derive(Debug, Default)]
pub struct Recorder {
    bytes: RefCell<Vec<u8>>,
    steps: RefCell<Vec<Step>>,
    /// No longer than this; 0: no limit.
    pub limit: Cell<u64>,
    /// What readers hold: offset to end.
    pub held: RefCell<BTreeMap<u64, u64>>,
}

impl Recorder {
    /// A file that holds `bytes`.
    pub fn of(bytes: Vec<u8>) -> Recorder {
        Recorder {
            bytes: RefCell::new(bytes),
            ..Recorder::default()
        }
    }

    /// What it holds.
    pub fn bytes(&self) -> Vec<u8> {
        self.bytes.borrow().clone()
    }

    /// The steps since it was made.
    pub fn steps(&self) -> Vec<Step> {
        self.steps.borrow().clone()
    }
}

/// Does `step` to `bytes`.
pub fn apply(bytes: &mut Vec<u8>, step: &Step) {
    match step {
        Step::Write(offset, written) => {
            let offset = *offset as usize;
            if bytes.len() < offset + written.len() {
                bytes.resize(offset + written.len(), 0);
            }
            bytes[offset..offset + written.len()].copy_from_slice(written);
        }
        Step::Length(length) => bytes.resize(*length as usize, 0),
        Step::Sync => (),
    }
}

fn no_space() -> Error {
    Error::System(hh_region::Error::new(28, "reserve", "the test's limit"))
}

impl Storage for Recorder {
    fn path(&self) -> &str {
        "recorder"
    }

    fn length(&self) -> Result<u64> {
        Ok(self.bytes.borrow().len() as u64)
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<()> {
        let all = self.bytes.borrow();
        let from = offset as usize;
        match all.get(from..from + bytes.len()) {
            Some(part) => bytes.copy_from_slice(part),
            None => return Err(Error::Failed(format!("read at {offset} behind the end"))),
        }
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let end = offset + bytes.len() as u64;
        assert!(end <= self.length()?, "a write behind what was reserved");
        let free_of_readers = self
            .held
            .borrow()
            .iter()
            .all(|(from, to)| *to <= offset || *from >= end);
        assert!(
            free_of_readers || offset < 8192,
            "a write into what a reader holds"
        );
        let step = Step::Write(offset, bytes.to_vec());
        apply(&mut self.bytes.borrow_mut(), &step);
        self.steps.borrow_mut().push(step);
        Ok(())
    }

    fn reserve(&self, length: u64) -> Result<()> {
        if length <= self.length()? {
            return Ok(());
        }
        if self.limit.get() != 0 && length > self.limit.get() {
            return Err(no_space());
        }
        self.truncate(length)
    }

    fn truncate(&self, length: u64) -> Result<()> {
        let step = Step::Length(length);
        apply(&mut self.bytes.borrow_mut(), &step);
        self.steps.borrow_mut().push(step);
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        self.steps.borrow_mut().push(Step::Sync);
        Ok(())
    }

    fn window(&self, offset: u64, maximum: u64) -> Result<Box<dyn Window + '_>> {
        let memory = vec![0xAAAA_AAAA_AAAA_AAAA; (maximum.min(WINDOW_BYTES) / 8) as usize];
        Ok(Box::new(Memory {
            recorder: self,
            offset,
            memory: RefCell::new(memory),
            ensured: 0,
        }))
    }

    fn pinned(&self, offset: u64, length: u64) -> Result<Option<(u64, u64)>> {
        let held = self.held.borrow();
        let found = held
            .iter()
            .filter(|(from, to)| **to > offset && **from < offset + length);
        Ok(found.min().map(|(from, to)| (*from, *to)))
    }
}

/// The largest value that these tests build, in bytes.
const WINDOW_BYTES: u64 = 1 << 20;

struct Memory<'r> {
    recorder: &'r Recorder,
    offset: u64,
    memory: RefCell<Vec<u64>>,
    ensured: u64,
}

impl Window for Memory<'_> {
    fn base(&self) -> *mut u8 {
        self.memory.borrow_mut().as_mut_ptr().cast()
    }

    fn maximum(&self) -> u64 {
        self.memory.borrow().len() as u64 * 8
    }

    fn ensure(&mut self, bytes: u64) -> Result<()> {
        assert!(
            bytes <= self.memory.borrow().len() as u64 * 8,
            "beyond the window"
        );
        self.recorder
            .reserve(self.offset + bytes.next_multiple_of(4096))?;
        self.ensured = self.ensured.max(bytes);
        Ok(())
    }

    fn ensured(&self) -> u64 {
        self.ensured
    }

    fn finish(&mut self, bytes: u64) -> Result<()> {
        assert!(bytes <= self.ensured);
        let memory = self.memory.borrow();
        // The pages of a mapping reach the medium in any order: one step for each.
        for (page, words) in memory[..bytes as usize / 8].chunks(512).enumerate() {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            self.recorder
                .write_at(self.offset + page as u64 * 4096, &bytes)?;
        }
        Ok(())
    }
}

pub mod model;
