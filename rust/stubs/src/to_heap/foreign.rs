//! A value in a buffer as the copier is to see it: another process may write to it, anything, and while
//! it is copied. No pointer is followed before what it leads to was found to be there.

use super::World;
use hh_graph::header::WORD;
use hh_graph::{Custom, Outside, Policy, Source};
use hh_region::sys::{page_size, peek};
use hh_region::{registry, Kind, Range};

/// The largest block out of buffers that is taken for one, in bytes: of each page it is asked whether
/// it is there.
const MOST_ELSEWHERE: usize = 1 << 30;

pub(super) struct Foreign<'w, W> {
    pub(super) world: &'w W,
    /// The buffer that the value is in.
    pub(super) range: Range,
}

impl<W: World> Foreign<'_, W> {
    /// No code: it would be the other process's.
    pub(super) fn policy(&self) -> Policy {
        Policy {
            closures: false,
            objects: false,
            ..self.world.policy()
        }
    }
}

impl<W: World> Source for Foreign<'_, W> {
    #[inline(always)]
    fn may_read(&self, addr: usize, words: usize) -> bool {
        let Some(bytes) = words.checked_mul(WORD) else {
            return false;
        };
        let is_within = |range: Range| {
            let offset = addr.wrapping_sub(range.base);
            offset <= range.len && bytes <= range.len - offset
        };
        addr % WORD == 0 && (is_within(self.range) || is_elsewhere(addr, bytes, is_within))
    }

    /// What isn't copied is let stand as it is, and may be anything.
    fn outside(&self, _block: usize, _header: usize) -> Outside {
        Outside::Copy
    }

    fn custom(&self, operations: usize) -> Custom {
        match self.world.custom(operations) {
            Custom::Verbatim => Custom::Refuse,
            known => known,
        }
    }

    fn custom_name(&self, operations: usize) -> String {
        self.world.custom_name(operations)
    }
}

/// Whether bytes are in another buffer, or at least there.
#[cold]
fn is_elsewhere(addr: usize, bytes: usize, is_within: impl Fn(Range) -> bool) -> bool {
    if bytes == 0 {
        return true;
    }
    match registry::find(addr) {
        Some(range) if range.kind == Kind::Buffer => is_within(range),
        _ if bytes > MOST_ELSEWHERE => false,
        _ => {
            let first = addr / page_size() * page_size();
            let mut pages = (first..addr.saturating_add(bytes)).step_by(page_size());
            pages.all(|page| peek(page.max(addr), &mut [0]).is_ok())
        }
    }
}
