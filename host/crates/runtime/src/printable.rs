//! Text of guests in logs and on terminals.

use std::borrow::Cow;

/// The text on one line, with nothing in it that a terminal or a reader of logs takes for more than
/// text: control characters, other ends of lines and marks of direction are shown by their escapes.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_more_than_text) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        match is_more_than_text(letter) {
            true => shown.extend(letter.escape_default()),
            false => shown.push(letter),
        }
    }
    Cow::Owned(shown)
}

fn is_more_than_text(letter: char) -> bool {
    const LINE_ENDS: std::ops::RangeInclusive<char> = '\u{2028}'..='\u{2029}';
    const DIRECTIONS: [std::ops::RangeInclusive<char>; 3] = [
        '\u{200e}'..='\u{200f}',
        '\u{202a}'..='\u{202e}',
        '\u{2066}'..='\u{2069}',
    ];
    (letter.is_control() && letter != '\t')
        || LINE_ENDS.contains(&letter)
        || DIRECTIONS.iter().any(|range| range.contains(&letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_can_neither_begin_a_line_nor_drive_the_terminal() {
        let forged = "ok\n2026-01-01 ERROR forged\u{1b}[2J\u{202e}";
        let shown = printable(forged);
        assert_eq!(shown, r"ok\n2026-01-01 ERROR forged\u{1b}[2J\u{202e}");
        assert_eq!(printable("plain\ttext, \u{e9}"), "plain\ttext, \u{e9}");
    }
}
