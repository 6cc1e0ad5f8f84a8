//! The relay letters go to: how it is reached, and how often.

use crate::config::Secret;
use governor::{DefaultDirectRateLimiter, Quota};
use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Where letters are handed over.
#[derive(Debug, Clone, PartialEq)]
pub struct Relay {
    pub host: String,
    pub port: u16,
    pub security: Security,
    /// User and password.
    pub login: Option<(Secret, Secret)>,
    /// Certificates of authorities to trust besides the system's; below the master's folder where relative.
    pub ca_file: Option<PathBuf>,
    pub letters_per_minute: u32,
    /// How long it may take to answer a command; for a whole letter it has ten times as long.
    pub timeout: Duration,
}

/// What protects the way to the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// STARTTLS where the relay offers it; without a login its certificate is not looked at, for then the letters would
    /// go in clear as well.
    IfOffered,
    /// STARTTLS with a certificate that is right, or nothing is sent.
    StartTls,
    /// TLS from the first byte on, with a certificate that is right.
    Implicit,
}

impl Relay {
    /// `mail.example.org:25`, as the ledger and the tree have it.
    pub fn destination(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// What is said to it does not leave this machine.
    pub fn is_here(&self) -> bool {
        self.host == "localhost" || self.host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
    }
}

/// How often each relay may be bothered: those who speak to one at the same rate share it. Cheap to clone.
#[derive(Clone, Default)]
pub struct Rates(Arc<Mutex<HashMap<RelayAndRate, Arc<DefaultDirectRateLimiter>>>>);

/// `mail.example.org:25` and letters per minute.
type RelayAndRate = (String, u32);

impl Rates {
    /// The limit of this relay.
    pub fn of(&self, relay: &Relay) -> Arc<DefaultDirectRateLimiter> {
        let rate = NonZeroU32::new(relay.letters_per_minute).unwrap_or(NonZeroU32::MIN);
        let mut rates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let limiter = || Arc::new(DefaultDirectRateLimiter::direct(Quota::per_minute(rate)));
        rates.entry((relay.destination(), rate.get())).or_insert_with(limiter).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notifiers_of_one_relay_and_rate_share_it() {
        let relay = |host: &str, letters_per_minute: u32| Relay {
            host: host.to_owned(),
            port: 25,
            security: Security::IfOffered,
            login: None,
            ca_file: None,
            letters_per_minute,
            timeout: Duration::from_secs(60),
        };
        let rates = Rates::default();
        let first = rates.of(&relay("a", 60));
        assert!(Arc::ptr_eq(&first, &rates.clone().of(&relay("a", 60))));
        assert!(!Arc::ptr_eq(&first, &rates.of(&relay("b", 60))) && !Arc::ptr_eq(&first, &rates.of(&relay("a", 61))));
        assert!(relay("127.0.0.1", 1).is_here() && relay("::1", 1).is_here() && !relay("127.1", 1).is_here());
    }
}
