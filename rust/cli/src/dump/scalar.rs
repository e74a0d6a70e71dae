//! Blocks that refer to no others, each as a text.

use super::Limits;
use crate::inspect::tag_name;
use crate::text::{counted, quoted};
use hh_graph::block::string_length;
use hh_graph::custom::Bigarray;
use hh_graph::header::{tag, WORD};
use hh_image::inspect::{Block, Builtin, Graph};

/// The text of `block`, if it is one whose fields aren't to be looked into.
pub(super) fn text(graph: &Graph, block: &Block<'_>, limits: &Limits) -> Option<String> {
    let size = counted(block.wosize() as u64, "word");
    Some(match block.tag {
        tag::STRING => string(block, limits),
        tag::DOUBLE if block.wosize() == 1 => float(word(block, 0)),
        tag::DOUBLE_ARRAY => {
            let floats = (0..block.wosize()).map(|number| float(word(block, number)));
            array(floats, block.wosize(), limits)
        }
        tag::CUSTOM => custom(graph, block, limits),
        tag::OBJECT => object(graph, block),
        tag::FORWARD if block.wosize() == 1 => return None,
        tag::FORCING.. => format!("<{}, {size}>", tag_name(block.tag)),
        _ if block.wosize() == 0 && block.tag == 0 => "[||]".into(),
        _ => return None,
    })
}

fn word(block: &Block<'_>, number: usize) -> u64 {
    block.field(number).unwrap_or(0)
}

fn string(block: &Block<'_>, limits: &Limits) -> String {
    let Some(last) = block.wosize().checked_sub(1) else {
        return "<string of no words>".into();
    };
    let length = string_length(block.wosize(), word(block, last) as usize);
    quoted(
        &block.bytes[..length.min(block.bytes.len())],
        limits.width.saturating_mul(4),
    )
}

/// A float as OCaml reads it.
fn float(bits: u64) -> String {
    real(f64::from_bits(bits))
}

fn real(float: f64) -> String {
    if float.is_nan() {
        return "nan".into();
    }
    if float.is_infinite() {
        return (if float > 0.0 {
            "infinity"
        } else {
            "neg_infinity"
        })
        .into();
    }
    let text = format!("{float:?}");
    match text.strip_suffix(".0") {
        Some(whole) => format!("{whole}."),
        None => text,
    }
}

/// `count` elements, not all of which need to be shown.
fn array(elements: impl Iterator<Item = String>, count: usize, limits: &Limits) -> String {
    let mut shown: Vec<String> = elements.take(limits.width).collect();
    if let Some(more @ 1..) = count.checked_sub(limits.width) {
        shown.push(format!("… {more} more"));
    }
    format!("[|{}|]", shown.join("; "))
}

fn custom(graph: &Graph, block: &Block<'_>, limits: &Limits) -> String {
    let data = word(block, 1);
    match graph.custom(word(block, 0)) {
        Some(Builtin::Int32) => format!("{}l", data as i32),
        Some(Builtin::Int64) => format!("{}L", data as i64),
        Some(Builtin::Nativeint) => format!("{}n", data as i64),
        Some(Builtin::Bigarray) => bigarray(graph, block, limits),
        None => format!("<custom block, {}>", counted(block.wosize() as u64, "word")),
    }
}

/// An object, or the constructor of an exception: its name, then a number.
fn object(graph: &Graph, block: &Block<'_>) -> String {
    let name = graph
        .block(word(block, 0))
        .filter(|name| name.tag == tag::STRING);
    match name {
        Some(name) if block.wosize() == 2 => {
            let limits = Limits {
                depth: 0,
                width: 20,
                blocks: 0,
            };
            format!("<constructor {}>", string(&name, &limits))
        }
        _ => format!("<object {}>", word(block, 1) as i64 >> 1),
    }
}

const KINDS: [&str; 14] = [
    "float32",
    "float64",
    "int8_signed",
    "int8_unsigned",
    "int16_signed",
    "int16_unsigned",
    "int32",
    "int64",
    "int",
    "nativeint",
    "complex32",
    "complex64",
    "char",
    "float16",
];

fn bigarray(graph: &Graph, block: &Block<'_>, limits: &Limits) -> String {
    let field = |number| word(block, number) as usize;
    let Some(array_of) = Bigarray::of(block.wosize(), field) else {
        return "<bigarray of no sense>".into();
    };
    let name = KINDS
        .get(array_of.kind)
        .copied()
        .unwrap_or("of an unknown kind");
    let layout = if array_of.is_fortran {
        "fortran_layout"
    } else {
        "c_layout"
    };
    let dimensions: Vec<String> = array_of.dimensions.iter().map(usize::to_string).collect();
    let dimensions = dimensions.join("x");
    let data = graph
        .block(array_of.data as u64)
        .and_then(|data| data.bytes.get(..array_of.bytes));
    let data = match data {
        Some(data) => {
            let elements = data.chunks_exact(array_of.element_bytes);
            let count = elements.len();
            array(
                elements.map(|bytes| element(array_of.kind, bytes)),
                count,
                limits,
            )
        }
        None => "<no data>".into(),
    };
    format!("<bigarray {name} {layout} {dimensions} {data}>")
}

/// An element of a bigarray of this kind, in the order in which they lie.
fn element(kind: usize, bytes: &[u8]) -> String {
    let mut whole = [0; 2 * WORD];
    whole[..bytes.len()].copy_from_slice(bytes);
    let low = u128::from_le_bytes(whole) as u64;
    let single = |bits: u64| real(f32::from_bits(bits as u32).into());
    match kind {
        0 => single(low),
        1 => float(low),
        2 => (low as i8).to_string(),
        3 | 5 => low.to_string(),
        4 => (low as i16).to_string(),
        6 => format!("{}l", low as i32),
        7 => format!("{}L", low as i64),
        8 => (low as i64).to_string(),
        9 => format!("{}n", low as i64),
        10 => format!("({}, {})", single(low), single(low >> 32)),
        11 => {
            let high = (u128::from_le_bytes(whole) >> 64) as u64;
            format!("({}, {})", float(low), float(high))
        }
        12 => character(low as u8),
        _ => half(low as u16),
    }
}

fn character(byte: u8) -> String {
    let text = quoted(&[byte], 1);
    match byte {
        b'\'' => "'\\''".into(),
        b'"' => "'\"'".into(),
        _ => format!("'{}'", &text[1..text.len() - 1]),
    }
}

/// A float of 16 bits: 5 of exponent, 10 of fraction.
fn half(bits: u16) -> String {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    let size = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1024.0 + fraction) * 2f64.powi(exponent - 25),
    };
    real(if bits >> 15 == 1 { -size } else { size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_ocaml_reads_them() {
        let texts = [1.0, -0.5, 1e100, f64::NAN, f64::NEG_INFINITY].map(real);
        assert_eq!(texts, ["1.", "-0.5", "1e100", "nan", "neg_infinity"]);
        let halves = [0x3c00, 0xc000, 0x7bff, 1, 0x7c00, 0x7c01].map(half);
        let wanted = [
            "1.",
            "-2.",
            "65504.",
            "5.960464477539063e-8",
            "infinity",
            "nan",
        ];
        assert_eq!(halves, wanted);
    }

    #[test]
    fn elements_of_each_kind() {
        let ones = [0xff; 16];
        let bytes = [4, 8, 1, 1, 2, 2, 4, 8, 8, 8, 8, 16, 1, 2];
        let texts: Vec<String> = (0..14)
            .map(|kind| element(kind, &ones[..bytes[kind]]))
            .collect();
        let wanted = [
            "nan",
            "nan",
            "-1",
            "255",
            "-1",
            "65535",
            "-1l",
            "-1L",
            "-1",
            "-1n",
            "(nan, nan)",
            "(nan, nan)",
            "'\\255'",
            "nan",
        ];
        assert_eq!(texts, wanted);
        let letters = [b'a', b'\'', b'"', b'\\', b'\n'].map(character);
        assert_eq!(letters, ["'a'", r"'\''", "'\"'", r"'\\'", r"'\n'"]);
    }
}
