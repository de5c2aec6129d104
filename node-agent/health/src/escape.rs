//! Escapes in the text of `send` and `expect`, parsed once into bytes.

use std::fmt;
use std::str::Chars;

/// Bytes of an answer that a reason quotes.
const EXCERPT_BYTES: usize = 48;

/// Why a text is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EscapeError {
    /// A backslash before a character that it does not escape.
    #[error("unknown escape \\{0}; known are \\r, \\n, \\t, \\\\ and \\xHH")]
    Unknown(char),
    /// A backslash at the end.
    #[error("the text ends in a single backslash; write \\\\ for a backslash")]
    Unfinished,
    /// `\x` without two hexadecimal digits.
    #[error("\\x needs two hexadecimal digits, as in \\x1b")]
    NotHexadecimal,
}

/// Parses `\r`, `\n`, `\t`, `\\` and `\xHH`; all other text stands for its UTF-8 bytes.
///
/// # Errors
/// When a backslash does not begin one of these escapes.
pub fn parse(text: &str) -> Result<Vec<u8>, EscapeError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character == '\\' {
            bytes.push(escaped(&mut characters)?);
        } else {
            bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    Ok(bytes)
}

fn escaped(rest: &mut Chars<'_>) -> Result<u8, EscapeError> {
    match rest.next().ok_or(EscapeError::Unfinished)? {
        'r' => Ok(b'\r'),
        'n' => Ok(b'\n'),
        't' => Ok(b'\t'),
        '\\' => Ok(b'\\'),
        'x' => {
            let high = hexadecimal_digit(rest)?;
            let low = hexadecimal_digit(rest)?;
            Ok(high << 4 | low)
        }
        other => Err(EscapeError::Unknown(other)),
    }
}

fn hexadecimal_digit(rest: &mut Chars<'_>) -> Result<u8, EscapeError> {
    rest.next()
        .and_then(|character| character.to_digit(16))
        .and_then(|digit| u8::try_from(digit).ok())
        .ok_or(EscapeError::NotHexadecimal)
}

/// The beginning of some bytes, quoted for a person: at most 48 bytes, escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    quoted: String,
}

impl Excerpt {
    /// Quotes `bytes`; no bytes read "nothing".
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        if bytes.is_empty() {
            return Self {
                quoted: "nothing".into(),
            };
        }
        let shown = bytes.get(..EXCERPT_BYTES).unwrap_or(bytes);
        let rest = if shown.len() < bytes.len() { "…" } else { "" };
        let quoted = format!("\"{}{rest}\"", shown.escape_ascii());
        Self { quoted }
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.quoted)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_become_bytes() {
        for (text, bytes) in [
            (
                "GET / HTTP/1.0\\r\\n\\r\\n",
                b"GET / HTTP/1.0\r\n\r\n".as_slice(),
            ),
            ("a\\tb\\\\c", b"a\tb\\c"),
            ("\\x00\\xfF", &[0, 255]),
            ("é", "é".as_bytes()),
            ("", b""),
        ] {
            assert_eq!(parse(text).as_deref(), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn wrong_escapes_are_refused() {
        for (text, error) in [
            ("\\d", EscapeError::Unknown('d')),
            ("abc\\", EscapeError::Unfinished),
            ("\\x4", EscapeError::NotHexadecimal),
            ("\\xg0", EscapeError::NotHexadecimal),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn an_excerpt_is_short_and_printable() {
        assert_eq!(Excerpt::of(b"ok\r\n\x01").to_string(), "\"ok\\r\\n\\x01\"");
        let long = Excerpt::of(&[b'a'; 200]).to_string();
        assert_eq!(long, format!("\"{}…\"", "a".repeat(EXCERPT_BYTES)));
    }

    proptest! {
        #[test]
        fn any_bytes_survive_hexadecimal_escapes(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let text = bytes.iter().fold(String::new(), |text, byte| text + &format!("\\x{byte:02x}"));
            prop_assert_eq!(parse(&text), Ok(bytes));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC*") {
            let _ = parse(&text);
        }
    }
}
