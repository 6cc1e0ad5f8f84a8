//! What waits to be said, and how fast it may be.
//!
//! Servers throw out whom they find talking too much. What is short and cannot wait (PONG, registering) does not come
//! through here. Contacts take turns, so that a long answer in one channel does not hold up the others.

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::Duration;

/// So many lines wait for one contact, and
const LINES_PER_CONTACT: usize = 300;
/// so many for all together; what comes beyond is dropped, and said to be.
const LINES: usize = 3000;

/// How fast lines may be sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    pub burst: u32,
    pub per_line: Duration,
}

impl Pace {
    /// For a server that threw us out for talking too much.
    pub fn slower(self) -> Pace {
        Pace { burst: 1, per_line: (self.per_line * 2).min(Duration::from_secs(8)) }
    }

    fn quota(self) -> Quota {
        // A period of nothing is none to governor.
        let period = self.per_line.max(Duration::from_micros(1));
        let burst = NonZeroU32::new(self.burst).unwrap_or(NonZeroU32::MIN);
        Quota::with_period(period).map_or(Quota::per_second(burst), |quota| quota.allow_burst(burst))
    }
}

/// What may be done now.
#[derive(Debug, PartialEq)]
pub enum Next {
    Send(String),
    Wait(Duration),
    Nothing,
}

/// The lines that wait.
pub struct Queue<C: Clock = DefaultClock> {
    limiter: RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<C::Instant>>,
    clock: C,
    /// Ours: joins, questions. They go before what is said.
    own: VecDeque<String>,
    /// Of each contact; the first is next.
    turns: VecDeque<Waiting>,
    length: usize,
}

struct Waiting {
    contact: String,
    lines: VecDeque<String>,
    dropped: usize,
}

impl Queue {
    pub fn new(pace: Pace) -> Queue {
        Queue::with_clock(pace, DefaultClock::default())
    }
}

impl<C: Clock + Clone> Queue<C> {
    fn with_clock(pace: Pace, clock: C) -> Queue<C> {
        let limiter = RateLimiter::direct_with_clock(pace.quota(), clock.clone());
        Queue { limiter, clock, own: VecDeque::new(), turns: VecDeque::new(), length: 0 }
    }

    /// Adds a line of our own doing.
    pub fn push_own(&mut self, line: String) {
        if self.own.len() < LINES_PER_CONTACT {
            self.own.push_back(line);
        }
    }

    /// Adds a line for a contact, of which this is the one form of its name. `false` says that it is the first of
    /// those that are dropped, because too many wait already.
    pub fn push(&mut self, contact: &str, line: String) -> bool {
        let waiting = match self.turns.iter().position(|waiting| waiting.contact == contact) {
            Some(place) => &mut self.turns[place],
            // So many contacts are nobody's need; they are spared their memory.
            None if self.turns.len() >= LINES => return true,
            None => {
                let waiting = Waiting { contact: contact.to_owned(), lines: VecDeque::new(), dropped: 0 };
                self.turns.push_back(waiting);
                let last = self.turns.len() - 1;
                &mut self.turns[last]
            }
        };
        if waiting.lines.len() >= LINES_PER_CONTACT || self.length >= LINES {
            waiting.dropped += 1;
            return waiting.dropped != 1;
        }
        waiting.lines.push_back(line);
        self.length += 1;
        true
    }

    /// What to do now. `dropped` makes the line that tells a contact how many others it missed.
    pub fn next(&mut self, dropped: impl FnOnce(&str, usize) -> String) -> Next {
        if self.is_empty() {
            return Next::Nothing;
        }
        if let Err(early) = self.limiter.check() {
            return Next::Wait(early.wait_time_from(self.clock.now()));
        }
        if let Some(line) = self.own.pop_front() {
            return Next::Send(line);
        }
        let Some(mut waiting) = self.turns.pop_front() else { return Next::Nothing };
        let line = match waiting.lines.pop_front() {
            Some(line) => {
                self.length -= 1;
                line
            }
            None => dropped(&waiting.contact, std::mem::take(&mut waiting.dropped)),
        };
        if !waiting.lines.is_empty() || waiting.dropped > 0 {
            self.turns.push_back(waiting);
        }
        Next::Send(line)
    }

    pub fn is_empty(&self) -> bool {
        self.own.is_empty() && self.turns.is_empty()
    }

    /// Forgets what waits for a contact.
    pub fn forget(&mut self, contact: &str) {
        self.turns.retain(|waiting| waiting.contact != contact);
        self.length = self.turns.iter().map(|waiting| waiting.lines.len()).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use governor::clock::FakeRelativeClock;

    const PACE: Pace = Pace { burst: 4, per_line: Duration::from_secs(2) };

    fn queue() -> (Queue<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        (Queue::with_clock(PACE, clock.clone()), clock)
    }

    fn sent(queue: &mut Queue<FakeRelativeClock>) -> Vec<String> {
        let mut sent = Vec::new();
        while let Next::Send(line) = queue.next(|contact, count| format!("{contact}: {count} dropped")) {
            sent.push(line);
        }
        sent
    }

    #[test]
    fn a_burst_goes_at_once_and_the_rest_at_its_pace() {
        let (mut queue, clock) = queue();
        (0..10).for_each(|n| assert!(queue.push("#c", n.to_string())));
        assert_eq!(sent(&mut queue), ["0", "1", "2", "3"]);
        assert_eq!(queue.next(|_, _| String::new()), Next::Wait(Duration::from_secs(2)));
        clock.advance(Duration::from_secs(4));
        assert_eq!(sent(&mut queue), ["4", "5"]);
        clock.advance(Duration::from_secs(60));
        assert_eq!(sent(&mut queue), ["6", "7", "8", "9"]);
        assert_eq!(queue.next(|_, _| String::new()), Next::Nothing);
    }

    #[test]
    fn contacts_take_turns_and_our_own_lines_go_first() {
        let (mut queue, clock) = queue();
        (0..5).for_each(|n| assert!(queue.push("#a", format!("a{n}"))));
        assert!(queue.push("#b", "b0".to_owned()));
        queue.push_own("JOIN #d".to_owned());
        assert_eq!(sent(&mut queue), ["JOIN #d", "a0", "b0", "a1"]);
        clock.advance(Duration::from_secs(60));
        assert!(queue.push("#c", "c0".to_owned()));
        assert_eq!(sent(&mut queue), ["a2", "c0", "a3", "a4"]);
    }

    #[test]
    fn what_is_too_much_is_dropped_and_said_to_be() {
        let (mut queue, clock) = queue();
        let taken = (0..LINES_PER_CONTACT).all(|n| queue.push("#a", n.to_string()));
        assert!(taken);
        assert!(!queue.push("#a", "one".to_owned()), "the first to be dropped is told of");
        assert!(queue.push("#a", "two".to_owned()), "the others are not");
        let mut last = String::new();
        while !queue.is_empty() {
            clock.advance(Duration::from_secs(8));
            last = sent(&mut queue).pop().unwrap_or(last);
        }
        assert_eq!(last, "#a: 2 dropped");
    }

    #[test]
    fn a_server_that_found_us_too_loud_hears_less() {
        assert_eq!(PACE.slower(), Pace { burst: 1, per_line: Duration::from_secs(4) });
        assert_eq!(PACE.slower().slower().slower().per_line, Duration::from_secs(8));
    }
}
