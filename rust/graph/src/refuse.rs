//! What couldn't be copied, in words, and the way to it from the root. The copier only knows
//! which block it refused; the path is searched here, afterwards, so that a copy that
//! succeeds pays nothing for it.

use crate::admit::Why;
use crate::block;
use crate::header::{self, is_block, tag, WORD};
use crate::resolve::block_of;
use crate::source::{Outside, Source};
use crate::word::load;
use std::collections::HashSet;
use std::fmt;

/// A block that couldn't be copied. Prints as `closure at field 1 of field 0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What it is, e.g. `closure`, `exception Foo.Bar`, `custom block "_mutex"`.
    pub what: String,
    /// The field numbers that lead to it from the root, outermost first. Empty for the root
    /// itself.
    pub path: Vec<usize>,
    /// Whether the path was found. It isn't where another domain changed the graph.
    pub found: bool,
}

/// Runs of one field number are printed as one step, and of those at most this many.
const MOST_STEPS: usize = 12;

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if !self.found {
            return Ok(());
        }
        if self.path.is_empty() {
            return f.write_str(" at the root");
        }
        let mut between = " at ";
        for (number, (field, times)) in runs(self.path.iter().rev().copied()).enumerate() {
            if number == MOST_STEPS {
                return write!(f, " of … ({} steps in all)", self.path.len());
            }
            write!(f, "{between}field {field}")?;
            if times > 1 {
                write!(f, " ({times} times)")?;
            }
            between = " of ";
        }
        Ok(())
    }
}

/// Three and more equal neighbours as one, counted; the others one by one.
fn runs(fields: impl Iterator<Item = usize>) -> impl Iterator<Item = (usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for field in fields {
        match runs.last_mut() {
            Some((last, times)) if *last == field => *times += 1,
            _ => runs.push((field, 1)),
        }
    }
    runs.into_iter().flat_map(|(field, times)| {
        let (copies, times) = if times == 2 { (2, 1) } else { (1, times) };
        std::iter::repeat_n((field, times), copies)
    })
}

/// The refusal of `wanted`, a pointer reached from `root`.
///
/// Walks the graph as the copier did, which takes time and memory in its size.
///
/// # Safety
/// - as for [`crate::copy()`].
pub(crate) unsafe fn explain(
    root: usize,
    wanted: usize,
    why: Why,
    source: &impl Source,
) -> Refusal {
    // SAFETY: by this function's contract.
    let (what, path) = unsafe { (describe(wanted, why, source), path_to(root, wanted, source)) };
    let found = path.is_some();
    Refusal {
        what,
        path: path.unwrap_or_default(),
        found,
    }
}

/// A pointer seen, and how it was reached.
struct Step {
    value: usize,
    parent: usize,
    field: usize,
}

/// The shortest path to `wanted`.
///
/// # Safety
/// - as for [`crate::copy()`].
unsafe fn path_to(root: usize, wanted: usize, source: &impl Source) -> Option<Vec<usize>> {
    let mut seen = HashSet::from([root]);
    let mut steps = vec![Step {
        value: root,
        parent: 0,
        field: 0,
    }];
    let mut at = 0;
    while let Some(&Step { value, .. }) = steps.get(at) {
        if value == wanted {
            return Some(fields_up(&steps, at));
        }
        // SAFETY: `value` was reached from the root through blocks the copier follows.
        let Some((block, header)) = (unsafe { enter(value, source) }) else {
            at += 1;
            continue;
        };
        // SAFETY: fields of a readable block.
        let fields = block::values(header, || unsafe { load(block + WORD) });
        for field in fields {
            // SAFETY: as above.
            let value = unsafe { load(block + field * WORD) };
            if is_block(value) && !source.keep(value) && !seen.contains(&value) {
                // Without memory for the search there is no path to tell, but no abort either.
                seen.try_reserve(1).ok()?;
                steps.try_reserve(1).ok()?;
                seen.insert(value);
                steps.push(Step {
                    value,
                    parent: at,
                    field,
                });
            }
        }
        at += 1;
    }
    None
}

fn fields_up(steps: &[Step], mut at: usize) -> Vec<usize> {
    let mut path = Vec::new();
    while at != 0 {
        path.push(steps[at].field);
        at = steps[at].parent;
    }
    path.reverse();
    path
}

/// The block behind `value` and its header, if the copier would look into it.
///
/// # Safety
/// - as for [`crate::copy()`], for `value`, a pointer.
unsafe fn enter(value: usize, source: &impl Source) -> Option<(usize, usize)> {
    // SAFETY: by this function's contract.
    unsafe {
        let (block, header) = block_of(value, source)?;
        let outside = header::is_outside(header) && header::tag(header) != tag::CONT;
        let kept = outside && source.outside(block, header) == Outside::Keep;
        (!kept && header::tag(header) != tag::CONT).then_some((block, header))
    }
}

/// What a refused block is.
///
/// # Safety
/// - `value` is a pointer to a readable block, refused for that reason.
unsafe fn describe(value: usize, why: Why, source: &impl Source) -> String {
    match why {
        Why::Closure => "closure".into(),
        Why::Object => "object".into(),
        // SAFETY: a constructor's first field is its name.
        Why::Constructor => unsafe {
            format!(
                "exception or extension constructor {}",
                name(value, source).unwrap_or_default()
            )
        },
        Why::Lazy => "lazy value not forced yet".into(),
        Why::Forcing => "lazy value being forced".into(),
        Why::Continuation => "continuation".into(),
        Why::Abstract => "abstract block".into(),
        Why::Deleted => "deleted value".into(),
        Why::Bigarray => "bigarray".into(),
        Why::UnmappedBigarray => "bigarray without data".into(),
        Why::Atom => "block of no fields".into(),
        Why::Wild => "pointer to no value".into(),
        // SAFETY: a custom block's first field is its operations.
        Why::Custom => unsafe { source.custom_name(load(value)) },
    }
}

/// The name of an exception or extension constructor.
///
/// # Safety
/// - `block` is one.
unsafe fn name(block: usize, source: &impl Source) -> Option<String> {
    // SAFETY: field 0 is a string, which has at least a word.
    unsafe {
        let (string, header) = block_of(load(block), source)?;
        let words = header::wosize(header);
        let last = load(string + words.checked_sub(1)? * WORD);
        let length = block::string_length(words, last);
        let bytes = std::slice::from_raw_parts(string as *const u8, length);
        Some(String::from_utf8_lossy(bytes).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(path: &[usize]) -> String {
        Refusal {
            what: "closure".into(),
            path: path.to_vec(),
            found: true,
        }
        .to_string()
    }

    #[test]
    fn prints_the_path_from_the_inside_out() {
        assert_eq!(printed(&[]), "closure at the root");
        assert_eq!(printed(&[0, 1]), "closure at field 1 of field 0");
        assert_eq!(printed(&[2, 2]), "closure at field 2 of field 2");
        assert_eq!(
            printed(&[2, 1, 1, 1, 0]),
            "closure at field 0 of field 1 (3 times) of field 2"
        );
    }

    #[test]
    fn a_winding_path_is_cut_short() {
        let path: Vec<usize> = (0..100).map(|n| n % 2).collect();
        let text = printed(&path);
        assert!(text.ends_with(" of … (100 steps in all)"), "{text}");
    }
}
