//! A letter as it waits in the outbox.

use super::{address, tinderbox};
use crate::db::outbox::Delivery;
use crate::model::{Build, Results, Time};
use crate::status::outbox;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A letter for one of its recipients: what it says is the same for all of them, and so is its name.
///
/// Attachments are named only; their text is read when the letter is sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Mail {
    /// Whom this copy goes to, a bare address.
    pub recipient: String,
    /// As the configuration has it.
    pub from: String,
    pub to: Vec<String>,
    pub cc: Vec<String>,
    pub subject: String,
    pub date: Time,
    /// Without its brackets; as are the others.
    pub message_id: String,
    /// The letter it goes on from.
    pub in_reply_to: Option<String>,
    /// The letter its thread begins with.
    pub thread: Option<String>,
    /// Further headers, one line each.
    pub headers: Vec<(String, String)>,
    pub text: Option<String>,
    /// Logs that follow the text, for a Tinderbox.
    pub logs: Option<tinderbox::Logs>,
    pub html: Option<String>,
    pub attachments: Vec<Attachment>,
    /// The page that has what may be missing here.
    pub page: Option<String>,
    /// It goes into a digest instead of going by itself.
    pub digest: Option<Line>,
}

/// Something that goes with a letter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Attachment {
    Log { file: String, log: i64 },
    Patch { file: String, body: String },
}

/// What a digest says of a build.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// When the window it belongs to ends.
    pub window: Time,
    pub builder: String,
    pub number: Option<i64>,
    pub results: Option<Results>,
    pub text: String,
    pub blamelist: String,
    pub url: Option<String>,
    /// The title of the installation, for the subject.
    pub title: String,
}

impl Mail {
    /// The deliveries of the outbox: one for each of these recipients. A letter that several events might make has a name.
    pub fn deliveries(self, recipients: &[String], destination: &str, name: Option<String>) -> Vec<outbox::Letter> {
        let due = self.digest.as_ref().map(|line| line.window);
        let thread = self.thread.clone().unwrap_or_else(|| self.message_id.clone());
        let copy = |recipient: &String| Mail { recipient: recipient.clone(), ..self.clone() };
        let letter = |(n, recipient): (usize, &String)| outbox::Letter {
            lane: due.is_none().then(|| format!("{thread} {recipient}")),
            due,
            name: name.as_ref().map(|name| format!("{name}/{}", n + 1)),
            about: Some(format!("{}, to {recipient}", self.subject)),
            ..outbox::Letter::new(destination, copy(recipient).payload())
        };
        recipients.iter().enumerate().map(letter).collect()
    }

    fn payload(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("text, numbers and lists always have a JSON form")
    }

    /// What waits in a delivery; `None` where another version wrote something else.
    pub fn of(delivery: &Delivery) -> Option<Mail> {
        serde_json::from_value(delivery.payload.clone()).ok()
    }
}

/// Whose letters they are: names of letters of two installations, or of two targets, are never the same.
#[derive(Clone, Debug)]
pub struct Sender {
    pub target: String,
    /// When the target was first started.
    pub started: Option<Time>,
    /// What stands behind the `@` of its address.
    pub domain: String,
}

impl Sender {
    /// Of a target that was first started then and writes from this address.
    pub fn of(target: &str, started: Option<Time>, from: &str) -> Sender {
        let domain = address::sender(from).map(|from| from.email.domain().to_owned());
        Sender { target: target.to_owned(), started, domain: domain.unwrap_or_else(|| "localhost".to_owned()) }
    }

    /// The Message-ID of the letter about a build.
    pub fn id_of_build(&self, builder: &str, number: i64) -> String {
        self.id(&format!("build {builder}"), &number.to_string())
    }

    /// The Message-ID of the letter that says that a build begins.
    pub fn id_of_start(&self, builder: &str, number: i64) -> String {
        self.id(&format!("start {builder}"), &number.to_string())
    }

    pub fn id_of_buildset(&self, id: i64) -> String {
        self.id("buildset", &id.to_string())
    }

    /// Of the digest that begins with this delivery.
    pub fn id_of_digest(&self, first: &str) -> String {
        self.id(&format!("digest {first}"), "digest")
    }

    fn id(&self, what: &str, number: &str) -> String {
        let started = self.started.unwrap_or_default();
        let whole = format!("{}\0{}\0{what}\0{number}", self.target, started.0);
        let hash: String = Sha256::digest(whole).iter().take(10).map(|byte| format!("{byte:02x}")).collect();
        format!("signalbox.{hash}.{number}@{}", self.domain)
    }
}

/// The address of a build's page; `None` where the installation has no address.
pub fn build_page(buildbot_url: &str, build: &Build) -> Option<String> {
    (!buildbot_url.is_empty()).then(|| crate::render::asdict::Urls::new(buildbot_url).build(&build.reference()))
}
