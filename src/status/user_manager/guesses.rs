//! Makes those wait who give wrong names or passwords.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// So many mistakes cost nothing.
const FREE: u32 = 3;

/// The waits double from the first to the last.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LAST_WAIT: Duration = Duration::from_secs(60);

/// Mistakes are forgotten after this.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// As many addresses are remembered; of more, those that were quiet longest are forgotten.
const MOST: usize = 10_000;

/// The mistakes made lately, by address.
#[derive(Default)]
pub struct Guesses {
    wrong: Mutex<HashMap<IpAddr, Mistakes>>,
}

struct Mistakes {
    count: u32,
    last: Instant,
}

impl Mistakes {
    /// When it is looked at again what they say.
    fn until(&self) -> Instant {
        let times = self.count.saturating_sub(FREE);
        let wait = if times == 0 {
            Duration::ZERO
        } else {
            FIRST_WAIT.saturating_mul(1 << (times - 1).min(10)).min(LAST_WAIT)
        };
        self.last + wait
    }
}

impl Guesses {
    /// Takes note of an attempt at `now`; whether they are let in, or how long they have to wait until what they say
    /// counts, be it right or wrong.
    pub fn attempt(&self, from: IpAddr, now: Instant, is_right: bool) -> Result<bool, Duration> {
        let from = neighbourhood(from);
        let mut wrong = self.wrong();
        if let Some(mistakes) = wrong.get(&from) {
            let wait = mistakes.until().saturating_duration_since(now);
            if !wait.is_zero() {
                return Err(wait);
            }
        }
        if is_right {
            wrong.remove(&from);
            return Ok(true);
        }
        forget(&mut wrong, now);
        let mistakes = wrong.entry(from).or_insert(Mistakes { count: 0, last: now });
        *mistakes = Mistakes { count: mistakes.count.saturating_add(1), last: now };
        Ok(false)
    }

    /// A panic never happens while it is held.
    fn wrong(&self) -> MutexGuard<'_, HashMap<IpAddr, Mistakes>> {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes room for one more.
fn forget(wrong: &mut HashMap<IpAddr, Mistakes>, now: Instant) {
    if wrong.len() < MOST {
        return;
    }
    wrong.retain(|_, mistakes| now.saturating_duration_since(mistakes.last) < REMEMBERED);
    let quietest = wrong.iter().min_by_key(|(_, mistakes)| mistakes.last).map(|(from, _)| *from);
    if let Some(quietest) = quietest.filter(|_| wrong.len() >= MOST) {
        wrong.remove(&quietest);
    }
}

/// Whoever has one address of version 6 has all that begin like it.
fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from(u128::from(address) >> 64 << 64)),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mistake_past_the_first_costs_more_and_a_right_one_forgives_all() {
        let (guesses, from, begun) = (Guesses::default(), IpAddr::from([127, 0, 0, 1]), Instant::now());
        let at = |seconds: u64| begun + Duration::from_secs(seconds);
        for _ in 0..=FREE {
            assert_eq!(guesses.attempt(from, at(0), false), Ok(false));
        }
        assert_eq!(guesses.attempt(from, at(0), true), Err(Duration::from_secs(1)));
        assert_eq!(guesses.attempt(from, at(1), false), Ok(false));
        assert_eq!(guesses.attempt(from, at(2), false), Err(Duration::from_secs(1)));
        assert_eq!(guesses.attempt(IpAddr::from([127, 0, 0, 2]), at(2), true), Ok(true));
        assert_eq!(guesses.attempt(from, at(3), true), Ok(true));
        assert_eq!(guesses.attempt(from, at(3), false), Ok(false));
        assert_eq!(guesses.attempt(from, at(3), true), Ok(true));
    }

    #[test]
    fn no_wait_is_longer_than_the_last_and_no_crowd_is_remembered_whole() {
        let (guesses, from, mut now) = (Guesses::default(), IpAddr::from([127, 0, 0, 1]), Instant::now());
        for _ in 0..100 {
            assert_eq!(guesses.attempt(from, now, false), Ok(false));
            now += LAST_WAIT;
        }
        for number in 0..2 * MOST as u32 {
            assert_eq!(guesses.attempt(IpAddr::from((number << 8).to_be_bytes()), now, false), Ok(false));
        }
        assert_eq!(guesses.wrong().len(), MOST);
        let near =
            ["2001:db8::1", "2001:db8::ffff", "2001:db8:0:1::1"].map(|address| neighbourhood(address.parse().unwrap()));
        assert!(near[0] == near[1] && near[1] != near[2]);
        assert_eq!(neighbourhood("::ffff:127.0.0.1".parse().unwrap()), from);
    }
}
