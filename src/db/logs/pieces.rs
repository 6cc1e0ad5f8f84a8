//! Pieces of log text: cutting, packing, and finding line ends in them.
//!
//! A piece is compressed as a whole: first how many runs it has, then each run's length and channel (four times the
//! length plus the code), all as variable-length numbers, then the bytes.

use crate::db::DbError;
use crate::model::{Channel, Segment};
use std::cell::RefCell;
use zstd::bulk::{Compressor, Decompressor};

/// Bytes of text in a full piece: enough to compress well, little enough to read for one line.
const FULL: usize = 64 * 1024;

/// The longest a piece can be when unpacked: each byte a run of its own, and its head.
const LONGEST: usize = 2 * FULL + 16;

/// The fastest; higher levels gain little on logs and cost much.
const LEVEL: i32 = 1;

/// Log text, cut and compressed, ready to be written.
#[derive(Debug)]
pub struct Prepared {
    pub(super) pieces: Vec<Piece>,
}

#[derive(Debug)]
pub(super) struct Piece {
    /// Length of the text in it.
    pub bytes: i64,
    /// Line ends in it.
    pub lines: i64,
    pub data: Vec<u8>,
}

impl Prepared {
    /// Line ends, bytes and packed text of what fits into a single piece; what does not is left out.
    pub(in crate::db) fn into_one_piece(self) -> (i64, i64, Vec<u8>) {
        self.pieces.into_iter().next().map_or_else(Default::default, |piece| (piece.lines, piece.bytes, piece.data))
    }
}

/// Cuts and compresses text, on whichever thread the caller has for it.
pub fn prepare(segments: &[Segment]) -> Prepared {
    let mut pieces = Vec::new();
    let mut text = Text::default();
    for segment in segments {
        let mut bytes = segment.bytes.as_slice();
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(FULL - text.bytes.len()));
            text.add(segment.channel, now);
            bytes = later;
            if text.bytes.len() == FULL {
                pieces.push(text.piece());
                text = Text::default();
            }
        }
    }
    if !text.bytes.is_empty() {
        pieces.push(text.piece());
    }
    Prepared { pieces }
}

/// The text of one piece.
#[derive(Default, Debug)]
pub(super) struct Text {
    /// Length and channel; neighbours differ in channel.
    runs: Vec<(usize, Channel)>,
    bytes: Vec<u8>,
}

impl Text {
    fn add(&mut self, channel: Channel, bytes: &[u8]) {
        match self.runs.last_mut() {
            Some((length, last)) if *last == channel => *length += bytes.len(),
            _ => self.runs.push((bytes.len(), channel)),
        }
        self.bytes.extend_from_slice(bytes);
    }

    fn piece(&self) -> Piece {
        Piece { bytes: self.bytes.len() as i64, lines: line_ends(&self.bytes), data: self.packed() }
    }

    fn packed(&self) -> Vec<u8> {
        let mut plain = Vec::with_capacity(self.bytes.len() + 4 * self.runs.len() + 4);
        put(&mut plain, self.runs.len());
        for (length, channel) in &self.runs {
            put(&mut plain, length * 4 + *channel as usize);
        }
        plain.extend_from_slice(&self.bytes);
        compress(&plain)
    }

    pub fn open(data: &[u8]) -> Result<Text, DbError> {
        let broken = |what: &str| DbError::Decode { column: "log_chunks.data", what: what.to_owned() };
        let plain = decompress(data).map_err(|error| broken(&error.to_string()))?;
        let mut rest = plain.as_slice();
        let count = get(&mut rest).ok_or_else(|| broken("it has no head"))?;
        let mut runs = Vec::new();
        let mut length = 0_usize;
        for _ in 0..count {
            let run = get(&mut rest).ok_or_else(|| broken("its head is cut off"))?;
            let channel = Channel::from_code((run % 4) as u8).ok_or_else(|| broken("it names an unknown channel"))?;
            runs.push((run / 4, channel));
            length = length.saturating_add(run / 4);
        }
        if length != rest.len() {
            return Err(broken("its runs do not add up"));
        }
        Ok(Text { runs, bytes: rest.to_vec() })
    }

    pub fn runs(&self) -> impl Iterator<Item = (Channel, &[u8])> {
        let mut rest = self.bytes.as_slice();
        self.runs.iter().map(move |(length, channel)| {
            let (run, later) = rest.split_at(*length);
            rest = later;
            (*channel, run)
        })
    }

    /// This text followed by another, packed.
    pub fn joined_with(mut self, later: &Text) -> Vec<u8> {
        for (channel, bytes) in later.runs() {
            self.add(channel, bytes);
        }
        self.packed()
    }

    /// Where the `nth` line end of the piece (from 1) is behind us.
    pub fn after_line_end(&self, nth: i64) -> Option<usize> {
        nth_line_end(&self.bytes, nth)
    }
}

/// How many line ends there are.
pub(super) fn line_ends(bytes: &[u8]) -> i64 {
    // Summing small blocks in a byte each lets the compiler count many at once.
    bytes.chunks(255).map(|block| i64::from(block.iter().map(|byte| u8::from(*byte == b'\n')).sum::<u8>())).sum()
}

/// The place after the `nth` line end, from 1.
pub(super) fn nth_line_end(bytes: &[u8], nth: i64) -> Option<usize> {
    let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(place, _)| place + 1);
    ends.skip(usize::try_from(nth - 1).ok()?).take(1).next()
}

fn put(plain: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        plain.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    plain.push(number as u8);
}

fn get(rest: &mut &[u8]) -> Option<usize> {
    let mut number = 0_usize;
    for shift in (0..usize::BITS).step_by(7) {
        let (byte, later) = rest.split_first()?;
        *rest = later;
        number |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

thread_local! {
    /// Kept, as setting one up costs more than compressing a line of text.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

fn compress(plain: &[u8]) -> Vec<u8> {
    COMPRESSOR.with_borrow_mut(|kept| {
        let compressor =
            kept.get_or_insert_with(|| Compressor::new(LEVEL).expect("the level is one that the library has"));
        compressor.compress(plain).expect("the output buffer is as large as the library says it can become")
    })
}

fn decompress(data: &[u8]) -> std::io::Result<Vec<u8>> {
    DECOMPRESSOR.with_borrow_mut(|kept| {
        let decompressor = match kept {
            Some(decompressor) => decompressor,
            None => kept.insert(Decompressor::new()?),
        };
        decompressor.decompress(data, LONGEST)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_holds_what_was_put_in() {
        let segments = [
            Segment { channel: Channel::Header, bytes: b"make all\n".to_vec() },
            Segment { channel: Channel::Stdout, bytes: vec![b'x'; 70_000] },
            Segment { channel: Channel::Stderr, bytes: b"\xff\n\0".to_vec() },
        ];
        let prepared = prepare(&segments);
        assert_eq!(
            prepared.pieces.iter().map(|piece| (piece.bytes, piece.lines)).collect::<Vec<_>>(),
            [(65_536, 1), (4_476, 1)]
        );
        let last = Text::open(&prepared.pieces[1].data).unwrap();
        let runs: Vec<_> = last.runs().map(|(channel, bytes)| (channel, bytes.len())).collect();
        assert_eq!(runs, [(Channel::Stdout, 4_473), (Channel::Stderr, 3)]);
    }

    #[test]
    fn the_worst_mixture_of_channels_still_fits() {
        let one = |at: usize| Segment { channel: Channel::from_code((at % 2) as u8).unwrap(), bytes: vec![b'\n'] };
        let prepared = prepare(&(0..FULL).map(one).collect::<Vec<_>>());
        assert_eq!(prepared.pieces.len(), 1);
        assert_eq!(Text::open(&prepared.pieces[0].data).unwrap().runs().count(), FULL);
    }

    #[test]
    fn line_ends_are_found() {
        assert_eq!(line_ends(b"a\nb\nc"), 2);
        assert_eq!(line_ends(&[b'\n'; 1000]), 1000);
        assert_eq!(nth_line_end(b"a\nb\nc", 2), Some(4));
        assert_eq!(nth_line_end(b"a\nb\nc", 3), None);
    }

    #[test]
    fn damaged_pieces_are_errors() {
        assert!(Text::open(b"no frame").is_err());
        assert!(Text::open(&compress(&[])).is_err());
        assert!(Text::open(&compress(&[1, 0xff])).is_err());
        assert!(Text::open(&compress(&[1, 4 * 3, b'x'])).is_err());
        assert!(Text::open(&compress(&[1, 4 + 3, b'x'])).is_err());
    }
}
