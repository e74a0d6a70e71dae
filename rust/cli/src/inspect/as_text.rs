//! The report for people.

use super::report::{Content, KeyReport, Report, Space};
use super::tags::Tags;
use crate::text::{bytes_text, counted, date_text, escaped, key_text, label, ocaml_text};
use std::io::{Result, Write};

pub(crate) fn write(report: &Report, out: &mut dyn Write) -> Result<()> {
    let mut line = |name: &str, text: String| writeln!(out, "{name:<11}{text}");
    line("file", escaped(report.path.as_bytes()))?;
    if let Some(bits) = report.permissions {
        line("mode", permissions_text(bits))?;
    }
    let held = match report.is_held {
        true => "yes, a process holds values of it",
        false => "no process holds a value of it",
    };
    let Some(content) = &report.content else {
        line("size", size(report.length))?;
        return line("state", "new: nothing was stored in it yet".into());
    };
    let Content { state, .. } = content;
    let grow = bytes_text(state.identity.maximum);
    line(
        "size",
        format!("{}, may grow to {grow}", size(report.length)),
    )?;
    line("in use", held.into())?;
    line("address", format!("{:#x}", state.identity.base))?;
    line("OCaml", ocaml_text(state.ocaml))?;
    line("changes", state.generation.to_string())?;
    if content.time > 0 {
        line("last value", date_text(content.time))?;
    }
    let (numbers, names) = (content.numbers, content.names);
    let kinds = format!("{}, {}", counted(numbers, "number"), counted(names, "name"));
    line("keys", format!("{} ({kinds})", numbers + names))?;
    let blocks = counted(content.blocks, "block");
    line(
        "values",
        format!("{} in {blocks}", bytes_text(content.block_bytes)),
    )?;
    if let Some(tags) = &content.tags {
        line("tags", tags_text(tags))?;
    }
    if let Some(space) = &content.space {
        space_text(space, report.length, &mut line)?;
    }
    keys(content, out)
}

fn size(bytes: u64) -> String {
    match bytes {
        0..=999 => bytes_text(bytes),
        _ => format!("{} ({bytes} bytes)", bytes_text(bytes)),
    }
}

fn permissions_text(bits: u32) -> String {
    let letters = b"rwxrwxrwx".iter().zip((0..9).rev());
    let text = letters.map(|(letter, bit)| match bits >> bit & 1 {
        1 => char::from(*letter),
        _ => '-',
    });
    text.collect()
}

fn tags_text(tags: &Tags) -> String {
    let all: Vec<String> = tags
        .iter()
        .map(|(name, count)| format!("{name}: {count}"))
        .collect();
    match all.is_empty() {
        true => "no blocks".into(),
        false => all.join(", "),
    }
}

fn space_text(
    space: &Space,
    length: u64,
    line: &mut impl FnMut(&str, String) -> Result<()>,
) -> Result<()> {
    line("key table", bytes_text(space.table))?;
    line("extents", bytes_text(space.values))?;
    if space.kept > 0 {
        let text = format!(
            "{} of values that lost their keys, but others refer to them",
            bytes_text(space.kept)
        );
        line("kept", text)?;
    }
    let percent = u128::from(space.free) * 100 / u128::from(length.max(1));
    let pieces = counted(space.free_pieces, "piece");
    line(
        "free",
        format!("{} in {pieces}, {percent} %", bytes_text(space.free)),
    )
}

fn keys(content: &Content, out: &mut dyn Write) -> Result<()> {
    if content.keys.is_empty() {
        return Ok(());
    }
    let text = |report: &KeyReport| report.key.as_ref().map_or("(damaged)".into(), key_text);
    let names: Vec<String> = content.keys.iter().map(text).collect();
    let width = names.iter().map(|name| name.chars().count()).max();
    let width = width.unwrap_or(0).clamp(3, 40);
    writeln!(out)?;
    writeln!(
        out,
        "{:<width$} {:>9} {:>9}  OCaml  stored",
        "key", "bytes", "blocks"
    )?;
    for (
        name,
        KeyReport {
            entry, description, ..
        },
    ) in names.iter().zip(&content.keys)
    {
        let (bytes, blocks, ocaml) = (entry.body_bytes, entry.blocks, ocaml_text(entry.ocaml));
        let date = date_text(entry.time);
        write!(
            out,
            "{name:<width$} {bytes:>9} {blocks:>9}  {ocaml:<5}  {date}"
        )?;
        if entry.is_immediate() {
            write!(out, "  int {}", entry.root as i64 >> 1)?;
        }
        if !description.is_empty() {
            write!(out, "  {}", label(description))?;
        }
        writeln!(out)?;
    }
    let listed = content.keys.len() as u64;
    match content.numbers + content.names - listed {
        0 => Ok(()),
        more => writeln!(out, "and {more} more: --keys {}", listed + more),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_written_as_ls_does() {
        assert_eq!(permissions_text(0o100644), "rw-r--r--");
        assert_eq!(permissions_text(0o751), "rwxr-x--x");
    }
}
