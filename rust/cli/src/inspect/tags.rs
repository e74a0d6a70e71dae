//! How many blocks there are of each tag.

use hh_graph::header::tag;
use hh_image::inspect::{Builtin, Graph};
use std::collections::BTreeMap;

/// Blocks by the name of what they are, in the order of their tags.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Tags(BTreeMap<(u8, &'static str), u64>);

impl Tags {
    /// Those of the blocks that `graph` has.
    pub(crate) fn of(graph: &Graph) -> Tags {
        let mut tags = Tags::default();
        for block in graph.blocks() {
            let name = match block.tag {
                tag::CUSTOM => match graph.custom(block.field(0).unwrap_or(0)) {
                    Some(Builtin::Int32) => "int32",
                    Some(Builtin::Int64) => "int64",
                    Some(Builtin::Nativeint) => "nativeint",
                    Some(Builtin::Bigarray) => "bigarray",
                    None => "custom",
                },
                tag::ABSTRACT => "bigarray data",
                _ => "",
            };
            *tags.0.entry((block.tag, name)).or_default() += 1;
        }
        tags
    }

    /// Adds those of `other`.
    pub(crate) fn add(&mut self, other: &Tags) {
        for (tag, count) in &other.0 {
            *self.0.entry(*tag).or_default() += count;
        }
    }

    /// Names and numbers of blocks.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (String, u64)> + '_ {
        self.0.iter().map(|((tag, name), count)| match *name {
            "" => (tag_name(*tag), *count),
            name => (name.into(), *count),
        })
    }
}

/// What blocks with this tag are called.
pub(crate) fn tag_name(tag: u8) -> String {
    match tag {
        tag::FORCING => "lazy being forced",
        tag::CONT => "continuation",
        tag::LAZY => "lazy not forced",
        tag::CLOSURE => "closure",
        tag::OBJECT => "object",
        tag::INFIX => "infix",
        tag::FORWARD => "forced lazy",
        tag::ABSTRACT => "abstract",
        tag::STRING => "string",
        tag::DOUBLE => "float",
        tag::DOUBLE_ARRAY => "float array",
        tag::CUSTOM => "custom",
        _ => return format!("tag {tag}"),
    }
    .into()
}
