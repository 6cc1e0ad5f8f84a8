//! Forms as `curl -F` sends them: `multipart/form-data`, whole and in memory.
//!
//! Not here: parts within parts, and transfer encodings, which no sender of forms uses.

use super::Refused;

/// The boundary a content type names.
pub(super) fn boundary(content_type: &str) -> Result<String, Refused> {
    let mut parameters = content_type.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let found = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("boundary"));
    let boundary = found.map(|(_, value)| value.trim().trim_matches('"').to_owned());
    // 70 is the most the format allows.
    let usable = boundary.filter(|boundary| (1..=70).contains(&boundary.len()));
    usable.ok_or_else(|| Refused::Malformed("the form has no usable boundary".to_owned()))
}

/// The parts in their order: name and content.
pub(super) fn parts<'b>(body: &'b [u8], boundary: &str) -> Result<Vec<(String, &'b [u8])>, Refused> {
    let first = format!("--{boundary}");
    let next = format!("\r\n--{boundary}");
    let start = match body.starts_with(first.as_bytes()) {
        true => Some(first.len()),
        // What stands before the first boundary means nothing.
        false => find(body, next.as_bytes()).map(|at| at + next.len()),
    };
    let mut rest = &body[start.ok_or_else(broken)?..];
    let mut parts = Vec::new();
    while !rest.starts_with(b"--") {
        // Blanks may follow a boundary.
        let blank = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        // The line end stays, so that a part without any headers begins with an empty line.
        let part = rest[blank..].strip_prefix(b"\r\n").map(|_| &rest[blank..]).ok_or_else(broken)?;
        let end = find(part, next.as_bytes()).ok_or_else(broken)?;
        let (head, content) = split_head(&part[..end]).ok_or_else(broken)?;
        if let Some(name) = name(&String::from_utf8_lossy(head)) {
            parts.push((name, content));
        }
        rest = &part[end + next.len()..];
    }
    Ok(parts)
}

fn broken() -> Refused {
    Refused::Malformed("the form is cut off or not divided by its boundary".to_owned())
}

fn split_head(part: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = find(part, b"\r\n\r\n")?;
    Some((&part[..at], &part[at + 4..]))
}

/// The name a part's `Content-Disposition` gives it; browsers and curl write quotes in it as `%22` or `\"`.
fn name(head: &str) -> Option<String> {
    let mut headers = head.split("\r\n").filter_map(|line| line.split_once(':'));
    let disposition = headers.find(|(name, _)| name.trim().eq_ignore_ascii_case("content-disposition"))?.1;
    let quoted = disposition.split("; ").find_map(|part| part.trim().strip_prefix("name="))?;
    let name = quoted.trim().strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(quoted.trim());
    Some(name.replace("\\\"", "\"").replace("%22", "\""))
}

fn find(within: &[u8], what: &[u8]) -> Option<usize> {
    let first = *what.first()?;
    let mut from = 0;
    while let Some(at) = within[from..].iter().position(|byte| *byte == first) {
        from += at;
        if within[from..].starts_with(what) {
            return Some(from);
        }
        from += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curls_forms_are_read() {
        let body = "--xyz\r\nContent-Disposition: form-data; name=\"poller\"\r\n\r\nhttps://example.org/a\r\n--xyz\r\n\
                    content-disposition: form-data; name=\"f\"; filename=\"a;b\"\r\nContent-Type: text/plain\r\n\r\n\
                    two\r\nlines\r\n\r\n--xyz--\r\nafter";
        let boundary = boundary("multipart/form-data; charset=utf-8; boundary=\"xyz\"").unwrap();
        let parts = parts(body.as_bytes(), &boundary).unwrap();
        assert_eq!(parts[0], ("poller".to_owned(), &b"https://example.org/a"[..]));
        assert_eq!(parts[1], ("f".to_owned(), &b"two\r\nlines\r\n"[..]));
        assert_eq!(parts.len(), 2);
    }

    #[test]
    fn broken_forms_are_refused() {
        assert!(boundary("multipart/form-data").is_err());
        assert!(boundary(&format!("multipart/form-data; boundary={}", "x".repeat(71))).is_err());
        for body in
            ["", "--x", "--x\r\n", "--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1", "--xy\r\n\r\n1\r\n--x--"]
        {
            assert!(parts(body.as_bytes(), "x").is_err(), "{body:?}");
        }
        assert_eq!(parts(b"--x--", "x").unwrap(), []);
        assert_eq!(parts(b"--x\r\n\r\nnameless\r\n--x--", "x").unwrap(), []);
    }
}
