//! Characters that are refused because they cannot be seen, or have no meaning that is agreed on.

use std::ops::RangeInclusive;

/// The highest code point that is allowed.
pub(super) const MAX_CODE_POINT: u32 = 0x1F4FF;

/// The categories control, format, private use and surrogates. Rust's texts hold no surrogates.
pub(super) const FORBIDDEN: [&str; 4] = ["Cc", "Cf", "Co", "Cs"];

/// Category Cf, as of Unicode 16.
const FORMAT: [RangeInclusive<u32>; 21] = [
    0x00AD..=0x00AD,
    0x0600..=0x0605,
    0x061C..=0x061C,
    0x06DD..=0x06DD,
    0x070F..=0x070F,
    0x0890..=0x0891,
    0x08E2..=0x08E2,
    0x180E..=0x180E,
    0x200B..=0x200F,
    0x202A..=0x202E,
    0x2060..=0x2064,
    0x2066..=0x206F,
    0xFEFF..=0xFEFF,
    0xFFF9..=0xFFFB,
    0x110BD..=0x110BD,
    0x110CD..=0x110CD,
    0x13430..=0x1343F,
    0x1BCA0..=0x1BCA3,
    0x1D173..=0x1D17A,
    0xE0001..=0xE0001,
    0xE0020..=0xE007F,
];

/// The private-use characters: category Co.
const PRIVATE: [RangeInclusive<u32>; 3] =
    [0xE000..=0xF8FF, 0xF0000..=0xFFFFD, 0x10_0000..=0x10_FFFD];

/// The reason why a character is refused; none if it is allowed.
pub(super) fn fault(c: char) -> Option<&'static str> {
    let code = u32::from(c);
    let among = |ranges: &[RangeInclusive<u32>]| ranges.iter().any(|range| range.contains(&code));
    if c.is_control() {
        Some("a control character (Cc)")
    } else if among(&FORMAT) {
        Some("a format character (Cf)")
    } else if among(&PRIVATE) {
        Some("a character for private use (Co)")
    } else if code > MAX_CODE_POINT {
        Some("a character over U+1F4FF")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn categories_and_code_points() {
        for (c, expected) in [
            ('a', None),
            ('é', None),
            ('漢', None),
            ('\u{1F4FF}', None),
            ('\u{1F500}', Some("over")),
            ('\0', Some("Cc")),
            ('\n', Some("Cc")),
            ('\u{85}', Some("Cc")),
            ('\u{AD}', Some("Cf")),
            ('\u{200B}', Some("Cf")),
            ('\u{202E}', Some("Cf")),
            ('\u{FEFF}', Some("Cf")),
            ('\u{E0041}', Some("Cf")),
            ('\u{E000}', Some("Co")),
            ('\u{10FFFD}', Some("Co")),
            ('\u{10FFFF}', Some("over")),
        ] {
            let found = fault(c);
            assert_eq!(found.is_some(), expected.is_some(), "{c:?}");
            assert!(found.unwrap_or_default().contains(expected.unwrap_or_default()), "{c:?}");
        }
    }
}
