//! Packets as lines of a file: each id once, in order, safe on the disk before they count as delivered.

use serde_json::Value;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// How much of the file is read at once to find its last line.
const BLOCK: u64 = 64 * 1024;

/// A file that packets are appended to, one JSON object per line.
#[derive(Debug)]
pub(super) struct PacketFile {
    path: PathBuf,
    /// How we left it; `None` before the first write and after a failed one.
    end: Mutex<Option<End>>,
}

#[derive(Clone, Debug, PartialEq)]
struct End {
    length: u64,
    /// What tells the packet of the last line from all others: its start of time and its number.
    last: Option<(String, i64)>,
}

impl PacketFile {
    pub(super) fn new(path: PathBuf) -> PacketFile {
        PacketFile { path, end: Mutex::default() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends those that are not there yet. Blocks until the disk has them.
    ///
    /// A line that a crash left unfinished is taken out first. After an error the file is as it was, if the disk
    /// lets us.
    pub(super) fn append<'p>(&self, packets: impl Iterator<Item = &'p Value>) -> io::Result<()> {
        let mut kept = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut file, is_new) = self.open()?;
        let length = file.metadata()?.len();
        let end = match kept.take().filter(|end| end.length == length) {
            Some(end) => end,
            None => find_end(&mut file, length)?,
        };
        if end.length < length {
            file.set_len(end.length)?;
        }
        let (lines, last) = lines(packets, end.last.clone());
        let written = write(&mut file, end.length, lines.as_bytes());
        if written.is_err() {
            // Half a line would be taken out at the next try as well; this only keeps readers from seeing it.
            let _ = file.set_len(end.length);
        }
        written?;
        if is_new {
            sync_folder(&self.path)?;
        }
        *kept = Some(End { length: end.length + lines.len() as u64, last });
        Ok(())
    }

    fn open(&self) -> io::Result<(File, bool)> {
        let is_new = !self.path.exists();
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&self.path)?;
        Ok((file, is_new))
    }
}

fn write(file: &mut File, at: u64, bytes: &[u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(at))?;
    file.write_all(bytes)?;
    file.sync_data()
}

/// A file whose name is not on the disk is not on the disk.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// The lines of the packets behind `last`, and what is last then.
fn lines<'p>(
    packets: impl Iterator<Item = &'p Value>,
    mut last: Option<(String, i64)>,
) -> (String, Option<(String, i64)>) {
    let mut lines = String::new();
    for packet in packets {
        let name = name(packet);
        let is_there = match (&last, &name) {
            (Some((started, id)), Some((its_start, its_id))) => started == its_start && its_id <= id,
            _ => false,
        };
        if !is_there {
            lines.push_str(&packet.to_string());
            lines.push('\n');
            last = name.or(last);
        }
    }
    (lines, last)
}

fn name(packet: &Value) -> Option<(String, i64)> {
    Some((packet.get("started")?.as_str()?.to_owned(), packet.get("id")?.as_i64()?))
}

/// Where the last whole line ends, and which packet it is.
fn find_end(file: &mut File, length: u64) -> io::Result<End> {
    let mut tail = Vec::new();
    let mut start = length;
    loop {
        let last = tail.iter().rposition(|byte| *byte == b'\n');
        let before = last.and_then(|last| tail[..last].iter().rposition(|byte| *byte == b'\n'));
        if start == 0 || before.is_some() {
            let Some(last) = last else { return Ok(End { length: 0, last: None }) };
            let line = &tail[before.map_or(0, |before| before + 1)..last];
            let packet: Option<Value> = serde_json::from_slice(line).ok();
            return Ok(End { length: start + last as u64 + 1, last: packet.as_ref().and_then(name) });
        }
        let from = start.saturating_sub(BLOCK);
        let mut block = vec![0; usize::try_from(start - from).unwrap_or_default()];
        file.seek(SeekFrom::Start(from))?;
        file.read_exact(&mut block)?;
        block.extend_from_slice(&tail);
        tail = block;
        start = from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn packet(id: i64) -> Value {
        json!({ "id": id, "started": "s", "payload": "x".repeat(usize::try_from(id).unwrap_or(0) * 1000) })
    }

    fn ids(path: &Path) -> Vec<i64> {
        let text = std::fs::read_to_string(path).unwrap();
        let packet = |line| serde_json::from_str::<Value>(line).unwrap();
        text.lines().map(packet).map(|packet| packet["id"].as_i64().unwrap()).collect()
    }

    #[test]
    fn a_repeated_packet_is_one_line_though_the_writer_is_new() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("packets.jsonl");
        let first = PacketFile::new(path.clone());
        first.append([&packet(1), &packet(2)].into_iter()).unwrap();
        first.append([&packet(2), &packet(3)].into_iter()).unwrap();
        PacketFile::new(path.clone()).append([&packet(3), &packet(200)].into_iter()).unwrap();
        PacketFile::new(path.clone()).append([&packet(200), &packet(201)].into_iter()).unwrap();
        assert_eq!(ids(&path), [1, 2, 3, 200, 201]);
    }

    #[test]
    fn an_unfinished_line_is_taken_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("packets.jsonl");
        PacketFile::new(path.clone()).append([&packet(1)].into_iter()).unwrap();
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"id\": 2, \"star").unwrap();
        PacketFile::new(path.clone()).append([&packet(2)].into_iter()).unwrap();
        assert_eq!(ids(&path), [1, 2]);
        std::fs::write(&path, "{\"id\": 1").unwrap();
        PacketFile::new(path.clone()).append([&packet(1)].into_iter()).unwrap();
        assert_eq!(ids(&path), [1]);
    }

    #[test]
    fn a_file_of_another_installation_is_gone_on_with() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("packets.jsonl");
        std::fs::write(&path, "{\"id\":900,\"started\":\"earlier\"}\n").unwrap();
        PacketFile::new(path.clone()).append([&packet(1)].into_iter()).unwrap();
        assert_eq!(ids(&path), [900, 1]);
    }

    #[test]
    fn a_rotated_file_starts_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("packets.jsonl");
        let file = PacketFile::new(path.clone());
        file.append([&packet(1)].into_iter()).unwrap();
        std::fs::rename(&path, folder.path().join("old")).unwrap();
        file.append([&packet(2)].into_iter()).unwrap();
        assert_eq!(ids(&path), [2]);
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = PacketFile::new(folder.path().join("no/such/file"));
        assert_eq!(file.append([&packet(1)].into_iter()).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
