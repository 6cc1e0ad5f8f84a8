//! Lines of the protocol out of bytes, whatever these are.

use tokio::io::{AsyncRead, AsyncReadExt};

/// The longest line anybody may send: 8191 bytes of tags and 512 of message. What is longer is cut, so that a line
/// without end costs no memory.
const LONGEST: usize = 8191 + 512;
const PIECE: usize = 8192;

/// Lines that were read and not taken yet.
#[derive(Default)]
pub struct Lines {
    buffer: Vec<u8>,
    /// Before this there is no line end in the buffer.
    searched: usize,
    /// The rest of a line that was too long is skipped.
    skipping: bool,
}

impl Lines {
    /// The next line without its end; `None` when the far side closed. Bytes that are no UTF-8 are replaced.
    ///
    /// May be dropped while it waits, and be called again.
    pub async fn next(&mut self, reader: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Option<String>> {
        loop {
            if let Some(line) = self.take() {
                return Ok(Some(line));
            }
            self.buffer.reserve(PIECE);
            if reader.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }

    fn take(&mut self) -> Option<String> {
        while let Some(end) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.buffer.drain(..=self.searched + end).collect();
            self.searched = 0;
            if !std::mem::take(&mut self.skipping) {
                return Some(text(&line));
            }
        }
        self.searched = self.buffer.len();
        if self.skipping {
            self.buffer.clear();
            self.searched = 0;
        }
        if self.buffer.len() <= LONGEST {
            return None;
        }
        let line = std::mem::take(&mut self.buffer);
        self.searched = 0;
        self.skipping = true;
        Some(text(&line[..LONGEST]))
    }
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line).trim_end_matches(['\r', '\n']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(mut bytes: &[u8]) -> Vec<String> {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        while let Some(line) = lines.next(&mut bytes).await.unwrap() {
            found.push(line);
        }
        found
    }

    #[tokio::test]
    async fn both_line_ends_count_and_bad_bytes_are_replaced() {
        assert_eq!(lines(b"one\r\ntwo\n\xff\xfe caf\xc3\xa9\r\nrest").await, ["one", "two", "\u{fffd}\u{fffd} café"]);
    }

    #[tokio::test]
    async fn a_line_without_end_is_cut_and_the_next_one_is_read() {
        let mut bytes = vec![b'x'; 1_000_000];
        bytes.extend(b"\nPING :a\n");
        let found = lines(&bytes).await;
        assert_eq!(found[0].len(), LONGEST);
        assert_eq!(found[1..], ["PING :a"]);
    }
}
