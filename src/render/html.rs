//! Text as it may stand in a page.

/// Adds `text` to `out` with everything escaped that means something in HTML, in text and in attributes alike.
///
/// A NUL, which no page may contain, becomes U+FFFD.
pub fn escape_into(out: &mut String, text: &str) {
    // Mostly there is nothing to escape, so what lies between is added as a whole.
    let mut done = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escaped = match byte {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'"' => "&quot;",
            b'\'' => "&#39;",
            b'\0' => "\u{fffd}",
            _ => continue,
        };
        out.push_str(&text[done..at]);
        out.push_str(escaped);
        done = at + 1;
    }
    out.push_str(&text[done..]);
}

/// `text` escaped.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    escape_into(&mut out, text);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_out_of_an_attribute() {
        assert_eq!(escape("<a b=\"c\" d='&'>\0"), "&lt;a b=&quot;c&quot; d=&#39;&amp;&#39;&gt;\u{fffd}");
        assert_eq!((escape("grün & gut"), escape("")), ("grün &amp; gut".to_owned(), String::new()));
    }
}
