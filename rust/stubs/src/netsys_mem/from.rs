//! What `init_value` and `copy_value` tell the copier about the world they copy from: which custom
//! blocks there are and what they become, what is kept, what is refused.

use super::custom::{kind, name};
use crate::ops_page::Builtin;
use hh_graph::{CopyError, Custom, Outside, Policy, Pool, Source};

/// Side tables of the copier, kept between copies.
pub(super) static TABLES: Pool = Pool::new();

/// The bits of `flag_bit` in netsys_mem.ml.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flags(pub(super) usize);

impl Flags {
    pub(super) fn bigarray(self) -> bool {
        self.0 & 1 != 0
    }
    pub(super) fn custom_int(self) -> bool {
        self.0 & 2 != 0
    }
    fn copy_atom(self) -> bool {
        self.0 & 4 != 0
    }
    pub(super) fn simulate(self) -> bool {
        self.0 & 8 != 0
    }
    fn conditionally(self) -> bool {
        self.0 & 16 != 0
    }
    fn keep_atom(self) -> bool {
        self.0 & 32 != 0
    }
}

/// The addresses of the operations that the copies shall have, by the place of their kind in
/// netsys_mem.ml's request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operations([usize; 4]);

/// The kinds in that order.
const KINDS: [Builtin; 4] = [
    Builtin::Int32,
    Builtin::Int64,
    Builtin::Nativeint,
    Builtin::Bigarray,
];

impl Operations {
    /// This process's own.
    pub(super) fn own() -> Operations {
        Operations(KINDS.map(Builtin::own))
    }

    /// These, with this process's own for those that are 0.
    pub(super) fn given(given: [usize; 4]) -> Operations {
        let Operations(own) = Operations::own();
        Operations(std::array::from_fn(|at| {
            if given[at] == 0 {
                own[at]
            } else {
                given[at]
            }
        }))
    }

    fn of(&self, kind: Builtin) -> usize {
        let at = KINDS.iter().position(|&other| other == kind).unwrap_or(0);
        self.0[at]
    }
}

/// The world as `Netsys_mem`'s flags make it look.
#[derive(Debug)]
pub(super) struct From {
    flags: Flags,
    operations: Operations,
    /// The value itself, which is copied wherever it is.
    root: usize,
    /// First address and end of what is kept, if outside the heap.
    kept: Vec<(usize, usize)>,
}

impl From {
    pub(super) fn new(
        flags: Flags,
        operations: Operations,
        root: usize,
        kept: Vec<(usize, usize)>,
    ) -> From {
        let kept = if flags.conditionally() {
            kept
        } else {
            Vec::new()
        };
        From {
            flags,
            operations,
            root,
            kept,
        }
    }

    /// For `copy_value`: everything is copied, and blocks without fields are always let pass.
    pub(super) fn whole(flags: Flags, root: usize) -> From {
        const COPY_ATOM: usize = 4;
        const ABOUT_CUSTOMS: usize = 3;
        let flags = Flags(flags.0 & ABOUT_CUSTOMS | COPY_ATOM);
        From {
            flags,
            operations: Operations::own(),
            root,
            kept: Vec::new(),
        }
    }

    pub(super) fn flags(&self) -> Flags {
        self.flags
    }

    /// What is let pass: neither closures nor objects, whatever process the copy is for.
    pub(super) fn policy(&self) -> Policy {
        Policy {
            bigarrays: self.flags.bigarray(),
            atoms: self.flags.copy_atom() || self.flags.keep_atom(),
            ..Policy::BETWEEN_PROCESSES
        }
    }
}

impl Source for From {
    fn outside(&self, block: usize, header: usize) -> Outside {
        let without_fields = hh_graph::header::wosize(header) == 0;
        let kept = || {
            self.kept
                .iter()
                .any(|&(first, end)| (first..end).contains(&block))
        };
        let keep = match without_fields {
            true => self.flags.keep_atom(),
            false => block != self.root && kept(),
        };
        if keep {
            Outside::Keep
        } else {
            Outside::Copy
        }
    }

    fn custom(&self, operations: usize) -> Custom {
        match kind(operations) {
            Some(Builtin::Bigarray) => Custom::Bigarray(self.operations.of(Builtin::Bigarray)),
            Some(kind) if self.flags.custom_int() => Custom::Operations(self.operations.of(kind)),
            _ => Custom::Refuse,
        }
    }

    fn custom_name(&self, operations: usize) -> String {
        match (kind(operations), name(operations)) {
            (Some(kind), _) => format!("{kind:?}").to_lowercase(),
            (None, Some(name)) => format!("custom block {name:?}"),
            (None, None) => "custom block of another process".into(),
        }
    }
}

/// What the copier says, as the text of an exception of `function`'s.
pub(super) fn refused(function: &str, error: &CopyError) -> String {
    match error {
        CopyError::Refused(refusal) => {
            let flag = match refusal.what.as_str() {
                "int32" | "int64" | "nativeint" => " without the flag Copy_custom_int",
                "bigarray" => " without the flag Copy_bigarray",
                "block of no fields" => " without the flag Copy_atom",
                _ => "",
            };
            format!("Netsys_mem.{function}: cannot copy {refusal}{flag}")
        }
        error => format!("Netsys_mem.{function}: {error}"),
    }
}
