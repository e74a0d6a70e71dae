//! The picture as SVG: rows of cells, a rectangle for each run of one colour, and what the colours
//! mean. A viewer shows what a run is when it is pointed at.

use super::grid::{Grid, Owner};
use super::Picture;
use crate::text::{bytes_text, counted, escaped};
use std::io::{Result, Write};

/// The width of all cells of a row, and the space around the picture.
const WIDTH: usize = 896;
const MARGIN: usize = 16;
/// Where the first row begins, below the title.
const TOP: usize = 52;
/// A line of the legend.
const LINE: usize = 18;
/// The most letters of a key's name.
const MOST_LETTERS: usize = 60;

/// Colours that can be told from each other, and from the greys of what is no key.
const COLOURS: [&str; super::COLOURED] = [
    "#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#bcbd22",
    "#17becf", "#aec7e8", "#ffbb78", "#98df8a",
];

fn colour(owner: Owner) -> &'static str {
    match owner {
        Owner::Free => "#ffffff",
        Owner::Before => "#e8e8e8",
        Owner::Header => "#000000",
        Owner::Table => "#555555",
        Owner::Key(rank) => COLOURS[rank % COLOURS.len()],
        Owner::Other => "#a8b8c8",
        Owner::Kept => "#c8b090",
    }
}

/// Width and height of a cell.
fn size(grid: &Grid) -> (usize, usize) {
    let width = WIDTH / grid.columns;
    (width, width.clamp(10, 20))
}

pub(super) fn write(picture: &Picture, out: &mut dyn Write) -> Result<()> {
    let rows = picture.grid.owners.len().div_ceil(picture.grid.columns);
    let legend = legend(picture);
    let width = 2 * MARGIN + WIDTH;
    let below = TOP + rows * size(&picture.grid).1 + MARGIN;
    let height = below + legend.len() * LINE + MARGIN;
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">"
    )?;
    writeln!(
        out,
        "<rect width=\"100%\" height=\"100%\" fill=\"#f8f8f8\"/>"
    )?;
    let name = xml(&escaped(picture.path.as_bytes()));
    let (length, cell) = (bytes_text(picture.length), bytes_text(picture.grid.cell));
    text(out, 24, 16, &name)?;
    text(
        out,
        42,
        12,
        &format!("{length}; each cell is {cell}, rows from left to right"),
    )?;
    for row in 0..rows {
        write_row(picture, row, out)?;
    }
    for (number, (owner, label)) in legend.iter().enumerate() {
        let y = below + number * LINE;
        writeln!(
            out,
            "<rect x=\"{MARGIN}\" y=\"{y}\" width=\"12\" height=\"12\" fill=\"{}\" \
             stroke=\"#888888\" stroke-width=\"0.5\"/>",
            colour(*owner)
        )?;
        let (x, y) = (MARGIN + 20, y + 10);
        writeln!(out, "<text x=\"{x}\" y=\"{y}\">{}</text>", xml(label))?;
    }
    writeln!(out, "</svg>")
}

fn text(out: &mut dyn Write, y: usize, size: usize, text: &str) -> Result<()> {
    writeln!(
        out,
        "<text x=\"{MARGIN}\" y=\"{y}\" font-size=\"{size}\">{text}</text>"
    )
}

fn write_row(picture: &Picture, row: usize, out: &mut dyn Write) -> Result<()> {
    let (grid, (width, height)) = (&picture.grid, size(&picture.grid));
    let end = grid.owners.len().min((row + 1) * grid.columns);
    let mut at = row * grid.columns;
    while at < end {
        let owner = grid.owners[at];
        let run = grid.owners[at..end]
            .iter()
            .take_while(|other| **other == owner)
            .count();
        let (x, y) = (MARGIN + at % grid.columns * width, TOP + row * height);
        let offset = at as u64 * grid.cell;
        let title = format!("{}, from offset {offset}", xml(&title(picture, owner)));
        writeln!(
            out,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" fill=\"{}\"><title>{title}</title></rect>",
            run * width,
            height - 1,
            colour(owner)
        )?;
        at += run;
    }
    Ok(())
}

fn title(picture: &Picture, owner: Owner) -> String {
    match owner {
        Owner::Free => "free".into(),
        Owner::Before => "free after the next change: the state before".into(),
        Owner::Header => "superblocks".into(),
        Owner::Table => "key table".into(),
        Owner::Key(rank) => format!("key {}", short(&picture.keys[rank].0)),
        Owner::Other => "another key".into(),
        Owner::Kept => "values that lost their keys, but others refer to them".into(),
    }
}

/// What each colour means, and how many bytes that is.
fn legend(picture: &Picture) -> Vec<(Owner, String)> {
    let mut lines = Vec::new();
    let size = |owner: Owner| picture.bytes.get(&owner).copied().unwrap_or(0);
    for (rank, (_, bytes)) in picture.keys.iter().enumerate() {
        let owner = Owner::Key(rank);
        lines.push((
            owner,
            format!("{}: {}", title(picture, owner), bytes_text(*bytes)),
        ));
    }
    if picture.others > 0 {
        let bytes = bytes_text(size(Owner::Other));
        lines.push((
            Owner::Other,
            format!("{}: {bytes}", counted(picture.others, "other key")),
        ));
    }
    for owner in [Owner::Kept, Owner::Table, Owner::Header, Owner::Free] {
        if size(owner) > 0 {
            let bytes = bytes_text(size(owner));
            lines.push((owner, format!("{}: {bytes}", title(picture, owner))));
        }
    }
    if picture.grid.owners.contains(&Owner::Before) {
        lines.push((Owner::Before, title(picture, Owner::Before)));
    }
    lines
}

fn short(name: &str) -> String {
    match name.char_indices().nth(MOST_LETTERS) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.into(),
    }
}

/// `text`, which has no control characters, as XML has it.
fn xml(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe += "&amp;",
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '"' => safe += "&quot;",
            // No characters of XML.
            '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            letter => safe.push(letter),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::grid::Grid;

    #[test]
    fn runs_have_one_rectangle_and_names_are_no_markup() {
        let mut grid = Grid::new(5 * 4096);
        grid.owners[2..4].fill(Owner::Key(0));
        let picture = Picture {
            path: "<a&b>".into(),
            length: 5 * 4096,
            grid,
            keys: vec![("\"</title>\u{ffff}\"".into(), 8192)],
            others: 0,
            bytes: [(Owner::Free, 12288)].into(),
        };
        let mut out = Vec::new();
        write(&picture, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("&lt;a&amp;b&gt;") && text.contains("20 KB; each cell is 4.0 KB"));
        assert!(text.contains("key &quot;&lt;/title&gt;\u{fffd}&quot;: 8.0 KB"));
        assert_eq!(text.matches("height=\"19\"").count(), 3);
        assert!(text.contains("x=\"128\" y=\"52\" width=\"112\""));
        assert_eq!(short(&"é".repeat(61)).chars().count(), 61);
    }
}
