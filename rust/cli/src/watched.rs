//! A file that is only read, in pieces, by somebody who says how far it is, and that doesn't take
//! more memory than there is: a file of zeros costs its maker nothing, and may be any length.

use hh_image::{Error, Result, Storage, Window};
use hh_region::sys::available_memory;
use std::cell::{Cell, RefCell};

/// How much is read between two looks at the clock.
const PIECE_BYTES: usize = 8 << 20;

/// Is told how many bytes were read.
pub(crate) type Reading<'a> = dyn FnMut(u64) + 'a;

/// A file, watched.
pub struct Watched<'a> {
    file: &'a dyn Storage,
    /// The most that is read at once.
    most: u64,
    /// The most that is read in all; what is read is kept.
    most_in_all: u64,
    read: Cell<u64>,
    reading: RefCell<Box<Reading<'a>>>,
}

impl<'a> Watched<'a> {
    /// `file`, of which at most `most` bytes are read at once.
    pub fn new(file: &'a dyn Storage, most: u64) -> Watched<'a> {
        Watched {
            file,
            most,
            most_in_all: u64::MAX,
            read: Cell::new(0),
            reading: RefCell::new(Box::new(|_| ())),
        }
    }

    /// The same, for somebody who is told after each piece how many bytes were read.
    pub(crate) fn telling(mut self, reading: impl FnMut(u64) + 'a) -> Watched<'a> {
        self.reading = RefCell::new(Box::new(reading));
        self
    }

    /// From now on, at most as much in all as could be read at once.
    pub(crate) fn keeping(mut self) -> Watched<'a> {
        self.most_in_all = self.most;
        self
    }

    /// Begins to count anew.
    pub(crate) fn again(&self) {
        self.read.set(0);
    }

    fn no(&self) -> Error {
        Error::Failed(format!("file {}: it is only looked at", self.path()))
    }
}

/// The bytes of memory that this machine can give without swapping; half of what an address can
/// name if it doesn't say.
pub fn free_memory() -> u64 {
    available_memory().map_or(u64::MAX / 2, |available| available.memory)
}

impl Storage for Watched<'_> {
    fn path(&self) -> &str {
        self.file.path()
    }

    fn length(&self) -> Result<u64> {
        self.file.length()
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<()> {
        let asked = bytes.len() as u64;
        if asked > self.most || self.read.get().saturating_add(asked) > self.most_in_all {
            return Err(Error::Failed(format!(
                "{asked} bytes at offset {offset} are more than this machine has free memory for; \
                 end other programs, or take the file to a larger machine"
            )));
        }
        let mut at = offset;
        for piece in bytes.chunks_mut(PIECE_BYTES) {
            self.file.read_at(at, piece)?;
            at += piece.len() as u64;
            self.read.set(self.read.get() + piece.len() as u64);
            (self.reading.borrow_mut())(self.read.get());
        }
        Ok(())
    }

    fn write_at(&self, _offset: u64, _bytes: &[u8]) -> Result<()> {
        Err(self.no())
    }

    fn reserve(&self, _length: u64) -> Result<()> {
        Err(self.no())
    }

    fn truncate(&self, _length: u64) -> Result<()> {
        Err(self.no())
    }

    fn sync(&self) -> Result<()> {
        Err(self.no())
    }

    fn window(&self, _offset: u64, _maximum: u64) -> Result<Box<dyn Window + '_>> {
        Err(self.no())
    }

    fn pinned(&self, offset: u64, length: u64) -> Result<Option<(u64, u64)>> {
        self.file.pinned(offset, length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of zeros, as long as one likes: it costs its maker nothing.
    struct Zeros;

    impl Storage for Zeros {
        fn path(&self) -> &str {
            "zeros"
        }

        fn length(&self) -> Result<u64> {
            Ok(1 << 50)
        }

        fn read_at(&self, _offset: u64, bytes: &mut [u8]) -> Result<()> {
            bytes.fill(0);
            Ok(())
        }

        fn write_at(&self, _offset: u64, _bytes: &[u8]) -> Result<()> {
            panic!("written")
        }

        fn reserve(&self, _length: u64) -> Result<()> {
            panic!("reserved")
        }

        fn truncate(&self, _length: u64) -> Result<()> {
            panic!("cut")
        }

        fn sync(&self) -> Result<()> {
            panic!("synced")
        }

        fn window(&self, _offset: u64, _maximum: u64) -> Result<Box<dyn Window + '_>> {
            panic!("mapped")
        }

        fn pinned(&self, _offset: u64, _length: u64) -> Result<Option<(u64, u64)>> {
            Ok(None)
        }
    }

    #[test]
    fn what_does_not_fit_into_memory_is_not_read() {
        let file = Watched::new(&Zeros, 1000);
        assert!(file.read_at(0, &mut [1; 1000]).is_ok() && file.read_at(0, &mut [1; 1000]).is_ok());
        let refused = file.read_at(4096, &mut [1; 1001]).unwrap_err().to_string();
        let wanted = "1001 bytes at offset 4096 are more than this machine has free memory for";
        assert!(refused.starts_with(wanted), "{refused}");
        let keeping = Watched::new(&Zeros, 1000).keeping();
        assert!(keeping.read_at(0, &mut [1; 600]).is_ok());
        assert!(keeping.read_at(0, &mut [1; 600]).is_err());
        keeping.again();
        assert!(keeping.read_at(0, &mut [1; 600]).is_ok());
    }

    #[test]
    fn long_reads_are_told_of_piece_by_piece() {
        let told = RefCell::new(Vec::new());
        let file = Watched::new(&Zeros, u64::MAX).telling(|read| told.borrow_mut().push(read));
        let mut bytes = vec![1; PIECE_BYTES + 5];
        file.read_at(0, &mut bytes).unwrap();
        assert!(bytes.iter().all(|byte| *byte == 0));
        let piece = PIECE_BYTES as u64;
        assert_eq!(*told.borrow(), [piece, piece + 5]);
    }

    #[test]
    fn it_is_not_changed() {
        let file = Watched::new(&Zeros, u64::MAX);
        let changes = [
            file.write_at(0, &[1]),
            file.reserve(1),
            file.truncate(0),
            file.sync(),
        ];
        assert!(changes.iter().all(Result::is_err));
        assert!(file.window(0, 4096).is_err());
    }
}
