//! Reading changesets: whatever bytes people have put into them.

use super::super::command::CommandError;
use super::super::polling::{MOST_FILES, MOST_TEXT};
use super::hg::Hg;
use std::collections::BTreeMap;

/// How many changesets are read at a time.
pub(super) const CHUNK: usize = 100;

/// How many bytes of one changeset are read.
const MOST_RECORD: usize = 4 * 1024 * 1024;

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Changeset {
    pub id: String,
    pub parents: Vec<String>,
    /// When it was committed.
    pub seconds: i64,
    /// `Name <mail>`.
    pub author: String,
    pub comments: String,
    /// Sorted.
    pub files: Vec<String>,
}

/// Names of files hold no line breaks; of the rest people may put anything into, so it comes in hexadecimal.
const TEMPLATE: &str =
    "{node}\\n{p1node} {p2node}\\n{date|hgdate}\\n{author|hex}\\n{desc|hex}\\n{files % \"{file}\\n\"}\\0";

/// What stands for no parent.
const NULL: &str = "0000000000000000000000000000000000000000";

/// Reads changesets, in the order given.
pub(super) async fn read(hg: &Hg, ids: &[String]) -> Result<Vec<Changeset>, CommandError> {
    let mut found = BTreeMap::new();
    let revset = ids.join("+");
    let args = ["log", "--rev", &revset, "--template", TEMPLATE];
    hg.records("read its changesets", &args, MOST_RECORD, |record| {
        if let Some(changeset) = parse(record) {
            found.insert(changeset.id.clone(), changeset);
        }
    })
    .await?;
    // hg has listed it, so it is there; only damage could make this an empty change.
    let changeset =
        |id: &String| found.remove(id).unwrap_or_else(|| Changeset { id: id.clone(), ..Changeset::default() });
    Ok(ids.iter().map(changeset).collect())
}

fn parse(record: &[u8]) -> Option<Changeset> {
    let text = String::from_utf8_lossy(record);
    let mut lines = text.split('\n');
    let id = lines.next()?.to_owned();
    let parents = lines.next()?.split(' ').filter(|parent| *parent != NULL).map(str::to_owned).collect();
    let seconds = lines.next()?.split(' ').next()?.parse().unwrap_or(0);
    let author = plain(lines.next()?);
    let comments = plain(lines.next()?).trim_end().to_owned();
    let mut files: Vec<String> = lines.filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if files.len() > MOST_FILES {
        tracing::warn!("changeset {id} has more than {MOST_FILES} files: leaving the rest out of its change");
        files.truncate(MOST_FILES);
    }
    files.sort();
    Some(Changeset { id, parents, seconds, author, comments, files })
}

/// The text behind hexadecimal digits.
fn plain(digits: &str) -> String {
    let byte = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let bytes: Vec<u8> = digits.as_bytes().chunks(2).take(MOST_TEXT).map_while(byte).collect();
    String::from_utf8_lossy(&bytes).replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_may_hold_anything() {
        let record = format!("c0ffee\nbeef {NULL}\n1767225600 -3600\n4a6f73c3a9\n6e610a00e962200a\nb c\na\n");
        let expected = Changeset {
            id: "c0ffee".into(),
            parents: vec!["beef".into()],
            seconds: 1_767_225_600,
            author: "Jos\u{e9}".into(),
            comments: "na\n\u{fffd}\u{fffd}b".into(),
            files: vec!["a".into(), "b c".into()],
        };
        assert_eq!(parse(record.as_bytes()), Some(expected));
        assert_eq!(parse(b"c0ffee"), None);
        let many: String = (0..10_050).map(|n| format!("{n}\n")).collect();
        assert_eq!(parse(format!("a\n{NULL} {NULL}\n1 0\n\n\n{many}").as_bytes()).unwrap().files.len(), 10_000);
    }
}
