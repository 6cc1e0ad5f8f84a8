//! Text as it may stand in a page.

/// Adds `text` to `out` with everything escaped that means something in HTML, in text and in attributes alike.
///
/// A NUL, which no page may contain, becomes U+FFFD.
pub fn escape_into(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\0' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
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
    }
}
