//! Who gets a letter, and why (`reference/mail.md` §5). Pure, but for a lookup of the configuration.

use super::address;
use super::config::{Config, Lookup};
use super::facts::Subject;
use crate::config::Arg;
use crate::model::Build;
use lettre::message::Mailbox;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The people of one letter.
#[derive(Debug, Default, PartialEq)]
pub struct Recipients {
    pub to: Vec<String>,
    pub cc: Vec<String>,
    /// Each once, as bare addresses.
    pub all: Vec<String>,
    /// `ann@x.org made a change in this build`
    pub reasons: Vec<String>,
}

/// Why somebody gets a letter; the first reason counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    Author,
    Owner,
    Listed,
}

impl Reason {
    fn sentence(self, address: &str) -> String {
        match self {
            Reason::Author => format!("{address} made a change in it"),
            Reason::Owner => format!("{address} is named as one of its owners"),
            Reason::Listed => format!("{address} is listed in extraRecipients"),
        }
    }
}

/// Whom a letter about these builds goes to. What was no address is left out, and logged.
pub fn recipients(config: &Config, subject: &Subject, addresses: &BTreeMap<String, String>) -> Recipients {
    let mut people = People::default();
    if config.send_to_interested_users {
        for build in subject.builds.iter().map(|facts| &facts.build) {
            people.add_interested(config, build, addresses);
        }
    }
    let interested: BTreeSet<String> = people.shown.values().cloned().collect();
    let mut listed = BTreeSet::new();
    for written in &config.extra_recipients {
        if let Some(shown) = people.add(written, Reason::Listed) {
            listed.insert(shown);
        }
    }
    let (to, cc) = if interested.is_empty() { (listed, interested) } else { (interested, listed) };
    let reasons = people.reasons.iter().map(|(bare, reason)| reason.sentence(bare)).collect();
    Recipients {
        to: to.iter().cloned().collect(),
        cc: cc.difference(&to).cloned().collect(),
        all: people.reasons.into_keys().collect(),
        reasons,
    }
}

#[derive(Default)]
struct People {
    /// By bare address, in small letters where that makes no difference.
    reasons: BTreeMap<String, Reason>,
    shown: BTreeMap<String, String>,
}

impl People {
    fn add_interested(&mut self, config: &Config, build: &Build, addresses: &BTreeMap<String, String>) {
        let authors = build.blamelist().into_iter().map(|who| (who, Reason::Author));
        for (name, reason) in authors.chain(build.owners().into_iter().map(|owner| (owner, Reason::Owner))) {
            let address = match &config.lookup {
                None => addresses.get(&name).cloned(),
                Some(lookup) => looked_up(lookup, &name),
            };
            if let Some(address) = address {
                self.add(&address, reason);
            }
        }
    }

    /// How the address is shown; `None` if it is none.
    fn add(&mut self, written: &str, reason: Reason) -> Option<String> {
        let Some(mailbox) = address::recipient(written) else {
            tracing::warn!("INVALID EMAIL: '{}': nothing is sent there", written.escape_debug());
            return None;
        };
        let (bare, shown) = (bare(&mailbox), mailbox.to_string());
        self.reasons.entry(bare.clone()).or_insert(reason);
        Some(self.shown.entry(bare).or_insert(shown).clone())
    }
}

/// By which the same person is known again: hosts have no large and small letters.
fn bare(mailbox: &Mailbox) -> String {
    let address = &mailbox.email;
    format!("{}@{}", address.user(), address.domain().to_ascii_lowercase())
}

fn looked_up(lookup: &Lookup, name: &str) -> Option<String> {
    match lookup {
        Lookup::Domain(_) if name.contains('@') => Some(name.to_owned()),
        Lookup::Domain(domain) => Some(format!("{name}@{domain}")),
        Lookup::Callback(function) => match function.call_blocking(vec![Arg::Json(name.into())]) {
            Ok(Value::String(address)) => Some(address),
            Ok(Value::Null) => None,
            Ok(other) => {
                tracing::error!("{}: lookup gave {other} for \"{name}\", not an address", function.place());
                None
            }
            Err(error) => {
                tracing::error!("lookup: {error}; nothing is sent to \"{name}\"");
                None
            }
        },
    }
}
