//! A bitmap over the words of a copy: which of them are pointers (noted while copying, so that
//! a relocated copy costs half of a memcpy), or where blocks begin.

/// One bit per word.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bitmap {
    bits: Vec<u64>,
}

impl Bitmap {
    /// All clear. Grows as bits are set.
    pub fn new() -> Bitmap {
        Bitmap::default()
    }

    /// All clear, with room for `words` words.
    pub fn with_words(words: usize) -> Bitmap {
        Bitmap {
            bits: vec![0; words.div_ceil(64)],
        }
    }

    /// Sets the bit of a word. As [`crate::Space::pointer`] calls it.
    #[inline(always)]
    pub fn set(&mut self, word: usize) {
        let at = word / 64;
        if at >= self.bits.len() {
            self.grow(at);
        }
        self.bits[at] |= 1 << (word % 64);
    }

    #[cold]
    fn grow(&mut self, at: usize) {
        let len = (at + 1).max(self.bits.len() * 2);
        self.bits.resize(len, 0);
    }

    /// Whether the bit of a word is set.
    pub fn get(&self, word: usize) -> bool {
        self.bits
            .get(word / 64)
            .is_some_and(|bits| bits >> (word % 64) & 1 == 1)
    }

    /// Clears the bit of a word; whether it was set.
    pub(crate) fn take(&mut self, word: usize) -> bool {
        let set = self.get(word);
        if set {
            self.bits[word / 64] &= !(1 << (word % 64));
        }
        set
    }

    /// The first word whose bit is set.
    pub(crate) fn first(&self) -> Option<usize> {
        ones(&self.bits).next()
    }

    /// The words of the bitmap, of 64 bits each, lowest first; at least those that hold the
    /// first `words` bits of it.
    pub fn words(&mut self, words: usize) -> &[u64] {
        let len = words.div_ceil(64);
        if self.bits.len() < len {
            self.bits.resize(len, 0);
        }
        &self.bits[..len]
    }
}

/// The numbers of the bits set in `bits`, ascending.
pub fn ones(bits: &[u64]) -> impl Iterator<Item = usize> + '_ {
    bits.iter().enumerate().flat_map(|(number, &bits)| {
        let mut bits = bits;
        std::iter::from_fn(move || {
            let bit = (bits != 0).then(|| bits.trailing_zeros() as usize)?;
            bits &= bits - 1;
            Some(number * 64 + bit)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_back_what_was_set() {
        let mut bitmap = Bitmap::new();
        let set = [0, 1, 63, 64, 200, 100_000];
        set.iter().for_each(|&word| bitmap.set(word));
        assert!(bitmap.get(63) && !bitmap.get(62) && !bitmap.get(1 << 40));
        assert_eq!(ones(bitmap.words(100_001)).collect::<Vec<_>>(), set);
        assert_eq!(bitmap.words(65).len(), 2);
        assert_eq!(
            (bitmap.first(), Bitmap::with_words(9).first()),
            (Some(0), None)
        );
        assert!(bitmap.take(63) && !bitmap.take(63) && !bitmap.take(1 << 40));
        assert!(bitmap.get(64) && !bitmap.get(63));
        assert_eq!(Bitmap::with_words(10).words(1000).len(), 16);
    }
}
