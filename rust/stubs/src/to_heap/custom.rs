//! Custom blocks of a large graph, and bigarrays, which own their data.

use super::large::{new_block, Large};
use super::{caml_alloc_shr_noexc, copy_fields, Stop};
use crate::netsys_mem::array;
use crate::ops_page::Builtin;
use hh_graph::custom::{data_behind, MOST_BIGARRAY_WORDS};
use hh_graph::header::{self, tag, WORD};
use hh_graph::load;

impl Large {
    /// As [`Large::allocate`], for a custom block whose fields begin at `fields`.
    ///
    /// # Safety
    /// - As for that.
    #[inline(never)]
    pub(super) unsafe fn allocate_custom(
        &mut self,
        fields: usize,
        header: usize,
    ) -> Result<(usize, usize), Stop> {
        let wosize = header::wosize(header);
        if wosize == 0 {
            return Err(Stop::Elsewhere);
        }
        // SAFETY: by contract: the graph's block and the new one have as many fields.
        unsafe {
            let own = self.allow.custom(load(fields), wosize);
            let own = own.ok_or(Stop::Elsewhere)?;
            if own == Builtin::Bigarray.own() {
                return self.allocate_bigarray(fields, wosize);
            }
            let new = new_block(header)?;
            let to = new as *mut usize;
            to.write(own);
            if wosize > 1 {
                copy_fields(fields + WORD, to.add(1), wosize - 1);
            }
            Ok((new, 0))
        }
    }

    /// As [`Large::allocate`], for a bigarray.
    ///
    /// # Safety
    /// - As for that.
    unsafe fn allocate_bigarray(
        &mut self,
        fields: usize,
        wosize: usize,
    ) -> Result<(usize, usize), Stop> {
        let mut words = [0; MOST_BIGARRAY_WORDS];
        let copied = words.get_mut(..wosize).ok_or(Stop::Elsewhere)?;
        // SAFETY: by contract, as many fields; what is behind them is looked at if it is before the
        // limit.
        unsafe {
            for (number, word) in copied.iter_mut().enumerate() {
                *word = load(fields + number * WORD);
            }
            let end = fields + wosize * WORD;
            let left = self.limit - (end - self.first) / WORD;
            if left == 0 {
                return Err(Stop::Elsewhere);
            }
            let (bytes, more) = data_behind(copied, fields, load(end)).ok_or(Stop::Elsewhere)?;
            if more > left {
                return Err(Stop::Elsewhere);
            }
            self.behind.try_reserve(1).map_err(|_| Stop::NoMemory)?;
            // Copied first: a bigarray that owns nothing yet must not be left behind.
            let data = array::data_copied((end + WORD) as *const u8, bytes);
            let data = data.ok_or(Stop::NoMemory)?;
            let new = caml_alloc_shr_noexc(wosize, tag::CUSTOM);
            if new == 0 {
                libc::free(data);
                return Err(Stop::NoMemory);
            }
            copied[0] = Builtin::Bigarray.own();
            std::ptr::copy_nonoverlapping(copied.as_ptr(), new as *mut usize, wosize);
            array::own_data(new, data);
            self.behind.push((self.blocks.len(), more));
            self.data_bytes += bytes;
            Ok((new as usize, more))
        }
    }
}
