//! The logs of a build as a Tinderbox reads them, packed if that is wanted.

use super::super::attachments;
use super::super::mime::Content;
use crate::db::{Conn, DbError};
use crate::model::{Build, Step};
use crate::render::words;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::io::Write;

/// Columns of compressed logs.
const COLUMNS: usize = 76;

/// How logs are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    None,
    Gzip,
    Bzip2,
}

impl Compression {
    /// The words of `logcompression` and `logencoding`.
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Compression::None => ("", ""),
            Compression::Gzip => ("gzip", "base64"),
            Compression::Bzip2 => ("bzip2", "base64"),
        }
    }

    fn pack(self, text: String) -> String {
        let packed = match self {
            Compression::None => return text,
            Compression::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish())
            }
            Compression::Bzip2 => {
                let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
                encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish())
            }
        };
        let packed = packed.expect("writing to memory does not fail");
        let encoded = STANDARD.encode(packed);
        let lines = encoded.as_bytes().chunks(COLUMNS).map(String::from_utf8_lossy);
        lines.map(|line| format!("{line}\n")).collect()
    }
}

/// What a build printed, to be read when its letter is sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Logs {
    compression: Compression,
    /// The text of each step that has some, with the logs of it.
    steps: Vec<(String, Vec<i64>)>,
}

impl Logs {
    /// Those of the steps that have some text.
    pub fn of(build: &Build, compression: Compression) -> Logs {
        let with_text = build.steps.iter().filter(|step| !words::line(&step.text).trim().is_empty());
        let logs = |step: &Step| step.logs.iter().map(|log| log.id).collect();
        Logs { compression, steps: with_text.map(|step| (words::line(&step.text), logs(step))).collect() }
    }

    /// The rest of the letter's text; of logs beyond `limit` bytes only the end.
    pub fn read(&self, conn: &mut Conn, limit: usize) -> Result<String, DbError> {
        let mut text = String::new();
        for (step, logs) in &self.steps {
            text.push_str(&format!("======== BuildStep started ========\n{step}\n=== Output ===\n"));
            for log in logs {
                let left = limit.saturating_sub(text.len());
                match attachments::with_headers(conn, *log, left)? {
                    Content::Text(printed) => text.push_str(&defused(&printed)),
                    Content::Binary(bytes) => text.push_str(&defused(&String::from_utf8_lossy(&bytes))),
                }
            }
            text.push_str("=== Output ended ===\n======== BuildStep ended ========\n");
        }
        Ok(format!("\n{}", self.compression.pack(text)))
    }
}

/// Only at the start of a line the word means something to a Tinderbox.
fn defused(text: &str) -> String {
    let line = |line: &str| match line.starts_with("TinderboxPrint") {
        true => line.to_owned(),
        false => line.replace("TinderboxPrint", "Tinderbox Print"),
    };
    text.split_inclusive('\n').map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn the_word_counts_only_at_the_start_of_a_line() {
        let text = "TinderboxPrint: a\nsee TinderboxPrint: b\n";
        assert_eq!(defused(text), "TinderboxPrint: a\nsee Tinderbox Print: b\n");
    }

    #[test]
    fn logs_are_packed_in_lines_of_76() {
        let text = (0..1000).map(|line| format!("line {line}\n")).collect::<String>();
        for compression in [Compression::Gzip, Compression::Bzip2] {
            let packed = compression.pack(text.clone());
            assert!(packed.lines().all(|line| line.len() <= COLUMNS));
            let bytes = STANDARD.decode(packed.replace('\n', "")).unwrap();
            let mut unpacked = String::new();
            match compression {
                Compression::Gzip => flate2::read::GzDecoder::new(&*bytes).read_to_string(&mut unpacked),
                _ => bzip2::read::BzDecoder::new(&*bytes).read_to_string(&mut unpacked),
            }
            .unwrap();
            assert_eq!(unpacked, text);
        }
    }
}
