//! The report for programs. All numbers are bytes or counts, but for what says otherwise; what is
//! not known is left out.

use super::report::{Content, KeyReport, Report};
use super::tags::Tags;
use crate::json::Json;
use hh_image::inspect::Fault;
use hh_image::Key;
use std::io::{Result, Write};

pub(crate) fn write(report: &Report, fault: Option<&Fault>, out: &mut dyn Write) -> Result<()> {
    let mut json = Json::new(out);
    json.open(None, '{')?;
    json.bytes("file", report.path.as_bytes())?;
    json.number("size", report.length)?;
    if let Some(bits) = report.permissions {
        json.bytes("mode", format!("{:o}", bits & 0o7777).as_bytes())?;
    }
    json.bool("held", report.is_held)?;
    json.bool("new", report.content.is_none())?;
    if let Some(content) = &report.content {
        write_content(&mut json, content)?;
    }
    if let Some(fault) = fault {
        json.open(Some("fault"), '{')?;
        json.number("offset", fault.offset)?;
        json.bytes("reason", fault.reason.as_bytes())?;
        json.close('}')?;
    }
    json.close('}')
}

fn write_content(json: &mut Json<'_>, content: &Content) -> Result<()> {
    let state = &content.state;
    json.number("maximum", state.identity.maximum)?;
    json.bytes("address", format!("{:#x}", state.identity.base).as_bytes())?;
    json.number("ocaml", state.ocaml)?;
    json.number("changes", state.generation)?;
    json.number("values_size", content.block_bytes)?;
    json.number("values_blocks", content.blocks)?;
    json.number("last_time", content.time)?;
    if let Some(space) = &content.space {
        json.open(Some("space"), '{')?;
        json.number("key_table", space.table)?;
        json.number("extents", space.values)?;
        json.number("kept", space.kept)?;
        json.number("free", space.free)?;
        json.number("free_pieces", space.free_pieces)?;
        json.close('}')?;
    }
    if let Some(tags) = &content.tags {
        write_tags(json, tags)?;
    }
    json.number("keys_count", content.numbers + content.names)?;
    json.open(Some("keys"), '[')?;
    for key in &content.keys {
        write_key(json, key)?;
    }
    json.close(']')
}

fn write_tags(json: &mut Json<'_>, tags: &Tags) -> Result<()> {
    json.open(Some("tags"), '{')?;
    for (name, count) in tags.iter() {
        json.number(&name, count)?;
    }
    json.close('}')
}

fn write_key(json: &mut Json<'_>, report: &KeyReport) -> Result<()> {
    let entry = &report.entry;
    json.open(None, '{')?;
    match &report.key {
        Some(Key::Int(number)) => json.number("number", *number)?,
        Some(Key::Name(name)) => json.bytes("name", name)?,
        None => (),
    }
    json.number("offset", entry.offset)?;
    json.number("extent", entry.length)?;
    json.number("size", entry.body_bytes)?;
    json.number("blocks", entry.blocks)?;
    json.number("time", entry.time)?;
    json.number("ocaml", entry.ocaml)?;
    json.number("refers_to", entry.kept)?;
    if entry.is_immediate() {
        json.bytes("int", (entry.root as i64 >> 1).to_string().as_bytes())?;
    }
    if !report.description.is_empty() {
        json.bytes("description", &report.description)?;
    }
    if let Some(tags) = &report.tags {
        write_tags(json, tags)?;
    }
    json.close('}')
}
