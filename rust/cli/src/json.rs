//! JSON, as much of it as the reports need: written in order, with nothing kept in memory.

use std::io::{self, Write};

/// Writes one JSON value, member by member.
pub(crate) struct Json<'o> {
    out: &'o mut dyn Write,
    /// Whether the next member comes behind another one, for each open object or array.
    open: Vec<bool>,
}

impl<'o> Json<'o> {
    pub(crate) fn new(out: &'o mut dyn Write) -> Json<'o> {
        Json {
            out,
            open: Vec::new(),
        }
    }

    /// What stands before a member or an element: a comma, a line of its own, its name.
    fn before(&mut self, name: Option<&str>) -> io::Result<()> {
        let depth = self.open.len();
        if let Some(follows) = self.open.last_mut() {
            if std::mem::replace(follows, true) {
                self.out.write_all(b",")?;
            }
            write!(self.out, "\n{:1$}", "", 2 * depth)?;
        }
        match name {
            Some(name) => write!(self.out, "{}: ", string(name.as_bytes())),
            None => Ok(()),
        }
    }

    /// Opens an object or an array, by its bracket.
    pub(crate) fn open(&mut self, name: Option<&str>, bracket: char) -> io::Result<()> {
        self.before(name)?;
        self.open.push(false);
        write!(self.out, "{bracket}")
    }

    /// Closes what was opened last.
    pub(crate) fn close(&mut self, bracket: char) -> io::Result<()> {
        if self.open.pop() == Some(true) {
            write!(self.out, "\n{:1$}", "", 2 * self.open.len())?;
        }
        write!(self.out, "{bracket}")?;
        match self.open.is_empty() {
            true => self.out.write_all(b"\n"),
            false => Ok(()),
        }
    }

    pub(crate) fn number(&mut self, name: &str, number: u64) -> io::Result<()> {
        self.before(Some(name))?;
        write!(self.out, "{number}")
    }

    pub(crate) fn bool(&mut self, name: &str, bool: bool) -> io::Result<()> {
        self.before(Some(name))?;
        write!(self.out, "{bool}")
    }

    /// A string of any bytes: those that are no UTF-8 become U+FFFD, and `name_hex` has them all.
    pub(crate) fn bytes(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.before(Some(name))?;
        self.out.write_all(string(bytes).as_bytes())?;
        if std::str::from_utf8(bytes).is_err() {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            self.before(Some(&format!("{name}_hex")))?;
            write!(self.out, "\"{hex}\"")?;
        }
        Ok(())
    }
}

fn string(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for letter in String::from_utf8_lossy(bytes).chars() {
        match letter {
            '"' => text += "\\\"",
            '\\' => text += "\\\\",
            '\0'..='\x1f' | '\x7f'..='\u{9f}' => text += &format!("\\u{:04x}", letter as u32),
            letter => text.push(letter),
        }
    }
    text + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_json() {
        let mut out = Vec::new();
        let mut json = Json::new(&mut out);
        json.open(None, '{').unwrap();
        json.number("n", 3).unwrap();
        json.open(Some("list"), '[').unwrap();
        json.open(None, '{').unwrap();
        json.bytes("name", b"a\"\\\n\x9b\xff").unwrap();
        json.close('}').unwrap();
        json.close(']').unwrap();
        json.open(Some("none"), '[').unwrap();
        json.close(']').unwrap();
        json.bool("good", true).unwrap();
        json.close('}').unwrap();
        let wanted = concat!(
            "{\n  \"n\": 3,\n  \"list\": [\n    {\n",
            "      \"name\": \"a\\\"\\\\\\u000a\u{fffd}\u{fffd}\",\n",
            "      \"name_hex\": \"61225c0a9bff\"\n    }\n  ],\n",
            "  \"none\": [],\n  \"good\": true\n}\n"
        );
        assert_eq!(String::from_utf8(out).unwrap(), wanted);
    }
}
