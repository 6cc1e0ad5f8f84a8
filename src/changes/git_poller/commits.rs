//! Reading commits: whatever bytes people have put into them.

use super::super::command::CommandError;
use super::super::polling::{MOST_FILES, MOST_TEXT};
use super::git::Git;
use encoding_rs::Encoding;
use std::collections::BTreeMap;

/// How many commits are read at a time.
pub(super) const CHUNK: usize = 100;

/// A commit that is to be reported.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Listed {
    pub id: String,
    first_parent: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Commit {
    pub id: String,
    /// `Name <mail>`.
    pub author: String,
    pub comments: String,
    /// When it was committed.
    pub seconds: i64,
    /// Against its first parent: of a merge, what it brought to the branch. Sorted.
    pub files: Vec<String>,
}

/// The commits that `target` has and `exclude` have not, parents before children.
pub(super) async fn list(git: &Git, exclude: &[String], target: &str) -> Result<Vec<Listed>, CommandError> {
    let mut revisions = format!("{target}\n");
    revisions.extend(exclude.iter().map(|id| format!("^{id}\n")));
    let args = ["rev-list", "--reverse", "--topo-order", "--parents", "--ignore-missing", "--stdin"];
    let listed = git.here_with("list its commits", &args, revisions.into_bytes()).await?;
    let commit = |line: &str| {
        let mut ids = line.split(' ').map(str::to_owned);
        Some(Listed { id: ids.next()?, first_parent: ids.next() })
    };
    Ok(String::from_utf8_lossy(&listed).lines().filter_map(commit).collect())
}

/// Reads commits, in the order given.
pub(super) async fn read(
    git: &Git,
    listed: &[Listed],
    encoding: &'static Encoding,
) -> Result<Vec<Commit>, CommandError> {
    let ids: String = listed.iter().map(|commit| format!("{}\n", commit.id)).collect();
    let output_encoding = format!("--encoding={}", encoding.name());
    let args = [
        "-c",
        "log.showSignature=false",
        "log",
        "--stdin",
        "--no-walk=unsorted",
        "-z",
        "-s",
        "--no-color",
        "--no-notes",
        &output_encoding,
        "--format=tformat:%H%n%ct%n%aN <%aE>%n%B",
    ];
    let mut texts = BTreeMap::new();
    git.records("read its commits", &args, ids.into_bytes(), MOST_TEXT, |record| {
        if let Some(commit) = parse(record, encoding) {
            texts.insert(commit.id.clone(), commit);
        }
    })
    .await?;
    let mut files = read_files(git, listed).await?;
    let commit = |listed: &Listed| {
        // git has listed it, so it is there; only damage could make this an empty change.
        let commit = texts.remove(&listed.id).unwrap_or_else(|| Commit { id: listed.id.clone(), ..Commit::default() });
        Commit { files: files.remove(&listed.id).unwrap_or_default(), ..commit }
    };
    Ok(listed.iter().map(commit).collect())
}

fn parse(record: &[u8], encoding: &'static Encoding) -> Option<Commit> {
    let mut lines = record.splitn(4, |byte| *byte == b'\n');
    let id = std::str::from_utf8(lines.next()?).ok()?.to_owned();
    let seconds = std::str::from_utf8(lines.next()?).ok()?.parse().unwrap_or(0);
    let decode = |bytes| encoding.decode_without_bom_handling(bytes).0.replace('\0', "\u{fffd}");
    let author = decode(lines.next()?);
    let comments = decode(lines.next().unwrap_or_default()).trim_end().to_owned();
    Some(Commit { id, author, comments, seconds, files: Vec::new() })
}

async fn read_files(git: &Git, listed: &[Listed]) -> Result<BTreeMap<String, Vec<String>>, CommandError> {
    let pair = |commit: &Listed| match &commit.first_parent {
        Some(parent) => format!("{} {parent}\n", commit.id),
        None => format!("{}\n", commit.id),
    };
    let asked: String = listed.iter().map(pair).collect();
    let args = ["diff-tree", "--stdin", "-z", "-r", "--root", "--name-only", "--no-renames"];
    let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut surplus = 0_usize;
    // The names follow the id of their commit; ids come in the order asked for, left out where nothing differs.
    let mut next = 0;
    git.records("read its commits", &args, asked.into_bytes(), MOST_TEXT, |record| {
        let text = String::from_utf8_lossy(record);
        if let Some(ahead) = listed[next..].iter().position(|commit| commit.id == text) {
            next += ahead + 1;
            files.entry(text.into_owned()).or_default();
        } else if let Some(files) = next.checked_sub(1).and_then(|last| files.get_mut(&listed[last].id)) {
            if files.len() < MOST_FILES { files.push(text.into_owned()) } else { surplus += 1 }
        }
    })
    .await?;
    if surplus > 0 {
        tracing::warn!("commits with more than {MOST_FILES} files: leaving {surplus} files out of their changes");
    }
    files.values_mut().for_each(|names| names.sort());
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_may_hold_anything() {
        let record = b"c0ffee\n1767225600\nJos\xe9 <jose@example.org>\nna\xefve\n\nbody\n";
        let commit = parse(record, encoding_rs::WINDOWS_1252).unwrap();
        assert_eq!(commit.author, "Jos\u{e9} <jose@example.org>");
        assert_eq!((commit.comments.as_str(), commit.seconds), ("na\u{ef}ve\n\nbody", 1_767_225_600));
        assert_eq!(parse(record, encoding_rs::UTF_8).unwrap().author, "Jos\u{fffd} <jose@example.org>");
        assert_eq!(parse(b"c0ffee\n1\nA <a>\n", encoding_rs::UTF_8).unwrap().comments, "");
        assert_eq!(parse(b"c0ffee", encoding_rs::UTF_8), None);
    }
}
