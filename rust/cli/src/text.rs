//! Words, numbers and bytes for people. What comes from a file is escaped, so that it can't speak
//! to the terminal.

use hh_image::Key;

/// The most bytes of a name or a description that are shown.
const MOST_SHOWN: usize = 200;

/// `bytes` with what is no letter of a language or printable sign written as OCaml does.
pub(crate) fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            if letter.is_control() || is_direction(letter) {
                let mut buffer = [0; 4];
                let bytes = letter.encode_utf8(&mut buffer).as_bytes();
                bytes.iter().for_each(|byte| text += &escape(*byte));
            } else {
                text.push(letter);
            }
        }
        chunk
            .invalid()
            .iter()
            .for_each(|byte| text += &escape(*byte));
    }
    text
}

/// Letters that have no width, or turn the direction of what follows: what is seen is not what is.
fn is_direction(letter: char) -> bool {
    matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn escape(byte: u8) -> String {
    match byte {
        b'\n' => "\\n".into(),
        b'\t' => "\\t".into(),
        b'\r' => "\\r".into(),
        _ => format!("\\{byte:03}"),
    }
}

/// `bytes` as an OCaml string literal, of which at most `most` bytes are shown.
pub(crate) fn quoted(bytes: &[u8], most: usize) -> String {
    let shown = &bytes[..bytes.len().min(most)];
    let text: Vec<String> = shown
        .split_inclusive(|byte| matches!(byte, b'"' | b'\\'))
        .map(|part| match part.split_last() {
            Some((last @ (b'"' | b'\\'), rest)) => escaped(rest) + "\\" + &escaped(&[*last]),
            _ => escaped(part),
        })
        .collect();
    let text = text.concat();
    match shown.len() == bytes.len() {
        true => format!("\"{text}\""),
        false => format!("\"{text}\"… (* {} bytes *)", bytes.len()),
    }
}

/// A key as its user writes it.
pub(crate) fn key_text(key: &Key) -> String {
    match key {
        Key::Int(number) => number.to_string(),
        Key::Name(name) => quoted(name, MOST_SHOWN),
    }
}

/// A description as it is shown.
pub(crate) fn label(bytes: &[u8]) -> String {
    quoted(bytes, MOST_SHOWN)
}

/// So many bytes, in the unit that suits them.
pub(crate) fn bytes_text(bytes: u64) -> String {
    let units = ["KB", "MB", "GB", "TB", "PB"];
    let mut size = bytes as f64;
    let mut unit = "bytes";
    for next in units {
        if size < 1000.0 {
            break;
        }
        (size, unit) = (size / 1024.0, next);
    }
    match unit {
        "bytes" => format!("{bytes} bytes"),
        _ if size < 10.0 => format!("{size:.1} {unit}"),
        _ => format!("{size:.0} {unit}"),
    }
}

/// `count` of what `one` is called.
pub(crate) fn counted(count: u64, one: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {one}s"),
    }
}

/// The OCaml of a number like 503.
pub(crate) fn ocaml_text(version: u64) -> String {
    match version {
        0 => "none yet".into(),
        _ => format!("{}.{}", version / 100, version % 100),
    }
}

/// Seconds since 1970 as a date in UTC: the days of the civil calendar by Howard Hinnant's
/// `civil_from_days`, <https://howardhinnant.github.io/date_algorithms.html>.
pub(crate) fn date_text(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    if days > 3_000_000 {
        return format!("{seconds} s after 1970");
    }
    let from_march_0000 = days + 719_468;
    let (era, day) = (from_march_0000 / 146_097, from_march_0000 % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, (month + 2) % 12 + 1);
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_says_cannot_speak_to_the_terminal() {
        assert_eq!(escaped(b"a\x1b[31m\n\xff\0"), "a\\027[31m\\n\\255\\000");
        assert_eq!(
            escaped("é\u{9b}\u{202e}".as_bytes()),
            "é\\194\\155\\226\\128\\174"
        );
        assert_eq!(quoted(b"say \"a\\b\"", 99), r#""say \"a\\b\"""#);
        assert_eq!(quoted(b"abcdef", 3), "\"abc\"… (* 6 bytes *)");
    }

    #[test]
    fn sizes_and_dates_read_well() {
        let sizes = [999, 1000, 4096, 1 << 20, 3 << 30, u64::MAX].map(bytes_text);
        assert_eq!(sizes[..3], ["999 bytes", "1.0 KB", "4.0 KB"]);
        assert_eq!(sizes[3..], ["1.0 MB", "3.0 GB", "16384 PB"]);
        assert_eq!(date_text(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(date_text(951_827_696), "2000-02-29 12:34:56 UTC");
        assert_eq!(date_text(1_735_689_599), "2024-12-31 23:59:59 UTC");
        assert_eq!(date_text(u64::MAX), format!("{} s after 1970", u64::MAX));
    }
}
