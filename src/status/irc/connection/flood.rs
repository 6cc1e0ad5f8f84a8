//! How much is listened to: one who talks without end is not heard out.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// So many things each may say at once, and so many a second from then on.
const EACH: Rate = Rate { burst: 10.0, per_second: 2.0 };
/// All together.
const ALL: Rate = Rate { burst: 400.0, per_second: 100.0 };
/// Of questions that the connection answers by itself (CTCP), from everybody together.
const QUESTIONS: Rate = Rate { burst: 3.0, per_second: 0.2 };
/// So many people are remembered; when there are more, those who were silent for a while are forgotten first.
const PEOPLE: usize = 1000;
/// That somebody is not heard out is said at most so often.
const SAY: Duration = Duration::from_secs(60);

#[derive(Clone, Copy)]
struct Rate {
    burst: f64,
    per_second: f64,
}

/// What each has said lately.
pub struct Flood {
    people: HashMap<String, Bucket>,
    all: Bucket,
    questions: Bucket,
    said: Option<Instant>,
}

/// What becomes of something that was said.
#[derive(Debug, PartialEq)]
pub enum Ear {
    Open,
    Closed,
    /// Closed, and people should be told.
    JustClosed,
}

struct Bucket {
    rate: Rate,
    tokens: f64,
    at: Instant,
}

impl Flood {
    pub fn new(now: Instant) -> Flood {
        let (all, questions) = (Bucket::full(ALL, now), Bucket::full(QUESTIONS, now));
        Flood { people: HashMap::new(), all, questions, said: None }
    }

    /// Whether this is listened to; `nick` in its one form.
    pub fn hear(&mut self, nick: &str, now: Instant) -> Ear {
        if self.people.len() >= PEOPLE && !self.people.contains_key(nick) {
            self.people.retain(|_, bucket| !bucket.is_full(now));
            // All of them talk: whom we forget may say a little more than others.
            if self.people.len() >= PEOPLE {
                self.people.clear();
            }
        }
        let own = self.people.entry(nick.to_owned()).or_insert_with(|| Bucket::full(EACH, now));
        if own.take(now) && self.all.take(now) {
            return Ear::Open;
        }
        if self.said.is_some_and(|said| now.duration_since(said) < SAY) {
            return Ear::Closed;
        }
        self.said = Some(now);
        Ear::JustClosed
    }

    /// Whether a question is answered.
    pub fn question(&mut self, now: Instant) -> bool {
        self.questions.take(now)
    }
}

impl Bucket {
    fn full(rate: Rate, now: Instant) -> Bucket {
        Bucket { rate, tokens: rate.burst, at: now }
    }

    fn tokens(&self, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        (self.tokens + passed * self.rate.per_second).min(self.rate.burst)
    }

    fn is_full(&self, now: Instant) -> bool {
        self.tokens(now) >= self.rate.burst
    }

    fn take(&mut self, now: Instant) -> bool {
        self.tokens = self.tokens(now);
        self.at = now;
        let there = self.tokens >= 1.0;
        self.tokens -= if there { 1.0 } else { 0.0 };
        there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_messages_of_one_do_not_close_the_ear_to_others() {
        let now = Instant::now();
        let mut flood = Flood::new(now);
        let ears: Vec<Ear> = (0..10_000).map(|_| flood.hear("mallory", now)).collect();
        assert_eq!(ears.iter().filter(|ear| **ear == Ear::Open).count(), 10);
        assert_eq!(ears.iter().filter(|ear| **ear == Ear::JustClosed).count(), 1);
        assert_eq!(flood.hear("ada", now), Ear::Open);
        assert_eq!(flood.hear("mallory", now + Duration::from_secs(1)), Ear::Open);
    }

    #[test]
    fn many_people_cost_bounded_memory_and_are_heard_in_bounds() {
        let now = Instant::now();
        let mut flood = Flood::new(now);
        let open = (0..50_000).filter(|n| flood.hear(&n.to_string(), now) == Ear::Open).count();
        assert_eq!(open, 400);
        assert!(flood.people.len() <= PEOPLE);
    }

    #[test]
    fn few_questions_are_answered() {
        let now = Instant::now();
        let mut flood = Flood::new(now);
        assert_eq!((0..100).filter(|_| flood.question(now)).count(), 3);
        assert!(flood.question(now + Duration::from_secs(5)));
    }
}
