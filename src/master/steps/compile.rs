//! What `Compile` does beyond a shell command: it counts warnings.
//!
//! Lines that match `warningPattern` from their start are counted (statistic `warnings`, property `warnings-count`
//! over all such steps of the build) and collected in a log `warnings (N)`.
//!
//! Not here: suppression files and extractors, which this master does not have.

use super::{Fault, Outcome, StepRun};
use crate::config::ShellStep;
use crate::model::*;
use regex::bytes::Regex;

/// What counts as a warning unless the configuration says otherwise.
const PATTERN: &str = ".*warning[: ].*";

/// Who sets `warnings-count`.
const SOURCE: &str = "WarningCountingShellCommand";

/// A line is searched up to this length.
const LINE: usize = 64 * 1024;

/// The most text that goes into the log of warnings.
const LISTED: usize = 4 * 1024 * 1024;

pub(in crate::master) struct WarningCounter {
    pattern: Regex,
    count: u64,
    listed: Vec<u8>,
    /// The lines that have not ended yet, of standard output and of standard error.
    open: [Vec<u8>; 2],
}

impl WarningCounter {
    pub fn new(shell: &ShellStep) -> Result<WarningCounter, Fault> {
        let pattern = shell.warning_pattern.as_deref().unwrap_or(PATTERN);
        let anchored = Regex::new(&format!("^(?:{pattern})"));
        let pattern = anchored.map_err(|cause| Fault::Exception(format!("warningPattern: {cause}")))?;
        Ok(WarningCounter { pattern, count: 0, listed: Vec::new(), open: Default::default() })
    }

    pub fn see(&mut self, segment: &Segment) {
        let channel = match segment.channel {
            Channel::Stdout => 0,
            Channel::Stderr => 1,
            Channel::Header => return,
        };
        let mut rest = segment.bytes.as_slice();
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            if self.open[channel].is_empty() {
                self.line(&rest[..end]);
            } else {
                self.keep_open(channel, &rest[..end]);
                let line = std::mem::take(&mut self.open[channel]);
                self.line(&line);
            }
            rest = &rest[end + 1..];
        }
        self.keep_open(channel, rest);
    }

    fn keep_open(&mut self, channel: usize, part: &[u8]) {
        let room = LINE.saturating_sub(self.open[channel].len()).min(part.len());
        self.open[channel].extend_from_slice(&part[..room]);
    }

    fn line(&mut self, line: &[u8]) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = &line[..line.len().min(LINE)];
        if self.pattern.is_match(line) {
            self.count += 1;
            if self.listed.len() + line.len() < LISTED {
                self.listed.extend_from_slice(line);
                self.listed.push(b'\n');
            }
        }
    }

    fn end(&mut self) {
        for channel in 0..self.open.len() {
            let line = std::mem::take(&mut self.open[channel]);
            if !line.is_empty() {
                self.line(&line);
            }
        }
    }
}

/// Records what was counted, and makes warnings count for the results.
pub(super) async fn conclude(
    step: &mut StepRun<'_>,
    shell: &ShellStep,
    mut counter: WarningCounter,
    results: Results,
) -> Result<Outcome, Fault> {
    counter.end();
    let count = i64::try_from(counter.count).unwrap_or(i64::MAX);
    let before = step.property("warnings-count").and_then(|value| value.as_i64()).unwrap_or(0);
    step.set_property("warnings-count", before.saturating_add(count), SOURCE);
    step.set_statistic("warnings", count);
    if count > 0 {
        let listed = String::from_utf8_lossy(&counter.listed).into_owned();
        step.add_log(&format!("warnings ({count})"), listed).await?;
    }
    if shell.max_warn_count.is_some_and(|most| count > most) {
        return Ok(results.worst(Results::Failure).into());
    }
    Ok(if count > 0 { results.worst(Results::Warnings) } else { results }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(pattern: &str, pieces: &[(Channel, &str)]) -> (u64, String) {
        let pattern = Regex::new(&format!("^(?:{pattern})")).unwrap();
        let mut counter = WarningCounter { pattern, count: 0, listed: Vec::new(), open: Default::default() };
        for (channel, text) in pieces {
            counter.see(&Segment { channel: *channel, bytes: text.as_bytes().to_vec() });
        }
        counter.end();
        (counter.count, String::from_utf8_lossy(&counter.listed).into_owned())
    }

    #[test]
    fn lines_cut_into_pieces_are_counted_once() {
        use Channel::*;
        let pieces = [
            (Stdout, "a.c:1: warn"),
            (Stderr, "b.c: warning: y"),
            (Stdout, "ing: x\nfine\nlast warning "),
            (Header, "warning: z\n"),
        ];
        let (count, listed) = counted(PATTERN, &pieces);
        assert_eq!((count, listed.as_str()), (3, "a.c:1: warning: x\nlast warning \nb.c: warning: y\n"));
    }

    #[test]
    fn the_pattern_is_matched_from_the_start_of_the_line() {
        assert_eq!(counted("Warning: ", &[(Channel::Stdout, "a Warning: b\nWarning: c\n")]).0, 1);
    }
}
