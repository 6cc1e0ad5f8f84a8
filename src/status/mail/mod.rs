//! MailNotifier: letters about finished builds.
//!
//! ```python
//! c['status'].append(status.MailNotifier(fromaddr="buildbot@example.org",
//!                                        sendToInterestedUsers=False,
//!                                        extraRecipients=["dev@example.org"],
//!                                        mode=("failing", "exception")))
//! ```
//!
//! The target composes a letter per build (or buildset) and puts a copy for each recipient into the outbox; what the relay
//! cannot take now waits there, up to five days, and a recipient who is refused keeps it from nobody else. A relay that is
//! away is tried again after seconds at first, then after longer and longer, once an hour at last. Letters of one
//! regression have one thread, and arrive in its order. A letter has the same Message-ID however often it is sent.
//!
//! The options are those of the manual, and
//!
//! | option | default | |
//! |---|---|---|
//! | `useSmtps` | False | 4.x's: TLS from the first byte on; the port is 465 then |
//! | `caFile` | none | ours: authorities to trust besides the system's |
//! | `name` | made of whom, of what and when it writes | ours: what waits is known by it; where it is given it waits on when those change |
//! | `rateLimit` | 300 | ours: letters per minute to the relay, shared by all who say the same |
//! | `attachmentLimit` | 5242880 | ours: bytes of logs and patches with one letter; of longer logs their end |
//! | `logLines` | 40 | ours: so many last lines of the failing step's log |
//! | `stillFailingAfter` | 1 | ours: bad builds are told from the so manieth in a row on |
//! | `digestWindow` | none | ours: seconds; what happens within such a time makes one letter |
//!
//! `useTls` demands STARTTLS with a right certificate. Without it STARTTLS is used where it is offered, and only a login
//! makes its certificate count; a login is never sent in clear, but to this machine itself.
//!
//! Not here: what people set for themselves, and signatures (DKIM), which are the relay's to make.

mod address;
mod attachments;
mod body;
mod carrier;
mod config;
mod digest;
mod facts;
mod formatter;
mod headers;
mod letter;
mod mime;
mod mode;
mod notifier;
mod recipients;
mod relay;
mod smtp;
pub mod tinderbox;

pub use config::Config;
pub use mode::{Mode, intro};
pub use notifier::{MailNotifier, Project};
pub use relay::Rates;

use crate::config::{Kind, Problems, Section};
use crate::db::Db;
use crate::status::{Setup, StartError, outbox};
use sha2::{Digest, Sha256};
use std::path::Path;

/// For the configuration's catalog.
pub const KIND: Kind = Kind {
    name: "status.MailNotifier",
    positional: &[
        "fromaddr",
        "mode",
        "tags",
        "builders",
        "addLogs",
        "relayhost",
        "buildSetSummary",
        "subject",
        "lookup",
        "extraRecipients",
        "sendToInterestedUsers",
    ],
    check: |section, problems| {
        Config::read(section, problems);
    },
};

/// `Domain("example.org")`, for `lookup`.
pub const DOMAIN: Kind = Kind { name: "util.Domain", positional: &["domain"], check: check_domain };

fn check_domain(section: &Section, problems: &mut Problems) {
    let mut options = section.read(problems);
    options.required_text("domain");
    options.finish();
}

/// The name the target of a section has: its own, or one made of whom it writes to, of what, and when. Which way letters go
/// may change without it, and what waits goes that way then.
pub fn name(section: &Section) -> Option<String> {
    Config::read(section, &mut Problems::default()).map(|config| name_of(&config))
}

fn name_of(config: &Config) -> String {
    if let Some(name) = &config.name {
        return format!("MailNotifier:{name}");
    }
    let who = match (config.extra_recipients.as_slice(), config.send_to_interested_users) {
        ([], _) => "interested users".to_owned(),
        ([one], _) => one.clone(),
        ([first, rest @ ..], _) => format!("{first} and {} more", rest.len()),
    };
    let words: Vec<&str> = config.mode.iter().map(|mode| mode.word()).collect();
    let whom = (&config.fromaddr, &config.extra_recipients, config.send_to_interested_users);
    let formatter = config.message_formatter.as_ref().map(|function| function.name());
    let what = (words, &config.builders, &config.tags, config.build_set_summary, formatter);
    let hash: String = Sha256::digest(format!("{whom:?} {what:?}")).iter().take(4).map(hex).collect();
    format!("MailNotifier:{who}:{hash}")
}

fn hex(byte: &u8) -> String {
    format!("{byte:02x}")
}

/// Starts the target of a section.
pub fn start(setup: &Setup, section: &Section) -> Result<outbox::Running, StartError> {
    let project = Project::of(&setup.config.borrow());
    let target = make(section, project, &setup.db, &setup.basedir, &setup.rates)?;
    Ok(outbox::start(&setup.group, &setup.hub, &setup.db, &setup.clock, target))
}

/// The target of a section. Its templates and certificates are below `basedir`.
pub fn make(
    section: &Section,
    project: Project,
    db: &Db,
    basedir: &Path,
    rates: &Rates,
) -> Result<MailNotifier, StartError> {
    let mut problems = Problems::default();
    let config = Config::read(section, &mut problems).ok_or(StartError::Options(problems))?;
    let rate = rates.of(&config.relay);
    Ok(MailNotifier::new(name_of(&config), config, section.place.clone(), project, db.clone(), basedir, rate))
}
