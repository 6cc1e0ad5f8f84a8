//! `logMaxSize` and `logMaxTailSize`: what of a log's output is kept.

use crate::config::LogLimits;
use crate::model::{Channel, Segment};
use std::collections::VecDeque;

/// Lets the first bytes of a log through and keeps the last ones for its end. What the master says itself is not
/// counted and always let through.
pub(super) struct LogLimit {
    limits: LogLimits,
    passed: u64,
    cut: bool,
    tail: VecDeque<Segment>,
    tail_bytes: u64,
    left_out: u64,
}

impl LogLimit {
    pub fn new(limits: LogLimits) -> LogLimit {
        LogLimit { limits, passed: 0, cut: false, tail: VecDeque::new(), tail_bytes: 0, left_out: 0 }
    }

    /// What of this piece goes into the log now.
    pub fn pass(&mut self, mut segment: Segment) -> Vec<Segment> {
        let Some(most) = self.limits.max_size else { return vec![segment] };
        if segment.channel == Channel::Header {
            return vec![segment];
        }
        if self.cut {
            self.keep(segment);
            return Vec::new();
        }
        let room = usize::try_from(most.saturating_sub(self.passed)).unwrap_or(usize::MAX);
        if segment.bytes.len() <= room {
            self.passed += segment.bytes.len() as u64;
            return vec![segment];
        }
        self.cut = true;
        let rest = Segment { channel: segment.channel, bytes: segment.bytes.split_off(room) };
        self.keep(rest);
        let note = format!("\nThe output is longer than {most} bytes (logMaxSize); the rest is left out.\n");
        vec![segment, header(note)]
    }

    /// What goes into the log at its end.
    pub fn finish(&mut self) -> Vec<Segment> {
        if self.tail.is_empty() {
            return Vec::new();
        }
        let note = format!("\n{} bytes left out; the last {} bytes follow.\n", self.left_out, self.tail_bytes);
        std::iter::once(header(note)).chain(self.tail.drain(..)).collect()
    }

    fn keep(&mut self, segment: Segment) {
        let most = self.limits.max_tail_size.unwrap_or(0);
        self.tail_bytes += segment.bytes.len() as u64;
        match self.tail.back_mut() {
            Some(last) if last.channel == segment.channel && last.bytes.len() < 4096 => {
                last.bytes.extend_from_slice(&segment.bytes);
            }
            _ => self.tail.push_back(segment),
        }
        while self.tail_bytes > most {
            let over = self.tail_bytes - most;
            let Some(first) = self.tail.front_mut() else { break };
            let cut = over.min(first.bytes.len() as u64);
            self.tail_bytes -= cut;
            self.left_out += cut;
            if cut == first.bytes.len() as u64 {
                self.tail.pop_front();
            } else {
                first.bytes.drain(..usize::try_from(cut).unwrap_or(0));
            }
        }
    }
}

fn header(text: String) -> Segment {
    Segment { channel: Channel::Header, bytes: text.into_bytes() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(text: &str) -> Segment {
        Segment { channel: Channel::Stdout, bytes: text.as_bytes().to_vec() }
    }

    fn text(segments: &[Segment]) -> String {
        segments.iter().map(|segment| String::from_utf8_lossy(&segment.bytes)).collect()
    }

    #[test]
    fn without_a_limit_all_passes() {
        let mut limit = LogLimit::new(LogLimits::default());
        assert_eq!(limit.pass(out("abc")), [out("abc")]);
        assert!(limit.finish().is_empty());
    }

    #[test]
    fn the_first_and_the_last_bytes_are_kept() {
        let mut limit = LogLimit::new(LogLimits { max_size: Some(5), max_tail_size: Some(4) });
        let mut all = Vec::new();
        for piece in ["abc", "defgh", "ijk", "lmnop"] {
            all.extend(limit.pass(out(piece)));
        }
        all.extend(limit.finish());
        let text = text(&all);
        assert!(text.starts_with("abcde\nThe output is longer than 5 bytes"), "{text}");
        assert!(text.ends_with("\n7 bytes left out; the last 4 bytes follow.\nmnop"), "{text}");
    }

    #[test]
    fn without_a_tail_nothing_more_follows() {
        let mut limit = LogLimit::new(LogLimits { max_size: Some(2), max_tail_size: None });
        assert!(text(&limit.pass(out("abc"))).starts_with("ab\nThe output is longer"));
        assert!(limit.pass(out("def")).is_empty());
        let said = header("said\n".into());
        assert_eq!(limit.pass(said.clone()), [said]);
        assert!(limit.finish().is_empty());
    }
}
