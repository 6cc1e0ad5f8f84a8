//! Forms as `curl -F` sends them: `multipart/form-data`, whole and in memory.

use super::Refused;
use bytes::Bytes;
use futures::{FutureExt, stream};
use std::convert::Infallible;

/// The parts in their order: name and content; those without a name are left out.
pub(super) fn parts(body: Bytes, content_type: &str) -> Result<Vec<(String, Bytes)>, Refused> {
    let boundary = multer::parse_boundary(content_type)
        .map_err(|cause| Refused::Malformed(format!("the form has no usable boundary: {cause}")))?;
    let mut form = multer::Multipart::new(stream::once(async { Ok::<_, Infallible>(body) }), boundary);
    let read = async {
        let mut parts = Vec::new();
        while let Some(part) = form.next_field().await? {
            let name = part.name().map(str::to_owned);
            let content = part.bytes().await?;
            parts.extend(name.map(|name| (name, content)));
        }
        Ok::<_, multer::Error>(parts)
    };
    // All of it is there, so there is nothing to wait for.
    match read.now_or_never() {
        Some(Ok(parts)) => Ok(parts),
        Some(Err(cause)) => Err(Refused::Malformed(format!("the form is cut off or broken: {cause}"))),
        None => Err(Refused::Malformed("the form is cut off".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(boundary: &str, body: &str) -> Result<Vec<(String, String)>, Refused> {
        let parts = parts(Bytes::from(body.to_owned()), &format!("multipart/form-data; charset=utf-8; {boundary}"))?;
        Ok(parts.into_iter().map(|(name, value)| (name, String::from_utf8(value.to_vec()).unwrap())).collect())
    }

    #[test]
    fn curls_forms_are_read() {
        let body = "--xyz\r\nContent-Disposition: form-data; name=\"poller\"\r\n\r\nhttps://example.org/a\r\n--xyz\r\n\
                    content-disposition: form-data; name=\"f\"; filename=\"a;b\"\r\nContent-Type: text/plain\r\n\r\n\
                    two\r\nlines\r\n\r\n--xyz--\r\nafter";
        let expected = [("poller", "https://example.org/a"), ("f", "two\r\nlines\r\n")];
        assert_eq!(read("boundary=\"xyz\"", body).unwrap(), expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
    }

    #[test]
    fn broken_forms_are_refused() {
        assert!(read("", "--x--").is_err());
        for body in
            ["", "--x", "--x\r\n", "--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1", "--xy\r\n\r\n1\r\n--x--"]
        {
            assert!(read("boundary=x", body).is_err(), "{body:?}");
        }
        assert_eq!(read("boundary=x", "--x\r\nContent-Type: text/plain\r\n\r\nnameless\r\n--x--\r\n").unwrap(), []);
    }
}
