//! Takes letters to their relay: reads what goes with them, keeps the connection, and tells what became of each copy.

use super::address;
use super::attachments;
use super::digest::Digests;
use super::letter::{Mail, Sender};
use super::mime;
use super::relay::Relay;
use super::smtp::{Outgoing, Session, Verdict};
use crate::db::Db;
use crate::db::outbox::Delivery;
use crate::render::Templates;
use crate::status::outbox::{self, Outcome};
use governor::DefaultDirectRateLimiter;
use lettre::Address;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// A connection nobody has used for so long is closed.
const IDLE: Duration = Duration::from_secs(30);

/// One way to one relay.
pub struct Carrier {
    pub relay: Relay,
    pub rate: Arc<DefaultDirectRateLimiter>,
    pub basedir: PathBuf,
    pub attachment_limit: usize,
    /// What digests are made from; `None` for a target that makes none.
    pub templates: Option<Arc<Templates>>,
    pub db: Db,
    /// Whose letters they are, but for when it was started.
    pub target: String,
    pub connection: Connection,
}

/// The connection, while there is one; shared with who closes it when nobody uses it.
pub type Connection = Arc<Mutex<Held>>;

#[derive(Default)]
pub struct Held {
    session: Option<Session>,
    /// How often it was given back.
    used: u64,
}

/// One letter with all its copies in a batch.
struct Job {
    /// Their places in the batch.
    places: Vec<usize>,
    to: Vec<Address>,
    mail: Mail,
}

/// A letter as bytes, and the same without its attachments.
struct Written {
    full: Vec<u8>,
    bare: Option<Vec<u8>>,
}

impl Carrier {
    /// One outcome for each of the batch, in its order.
    pub async fn carry(&self, batch: &[Delivery]) -> Vec<Outcome> {
        let mut outcomes: Vec<Outcome> = vec![Outcome::Left; batch.len()];
        for job in self.jobs(batch, &mut outcomes).await {
            let verdicts = self.send(&job).await;
            let away = verdicts.iter().any(|verdict| matches!(verdict, Verdict::Away(_)));
            for (place, verdict) in job.places.iter().zip(verdicts.into_iter().map(outcome).cycle()) {
                outcomes[*place] = verdict;
            }
            if away {
                break;
            }
        }
        outcomes
    }

    /// The letters of a batch. What cannot be a letter has its outcome at once.
    async fn jobs(&self, batch: &[Delivery], outcomes: &mut [Outcome]) -> Vec<Job> {
        let mut jobs: Vec<Job> = Vec::new();
        let mut digests = Digests::default();
        for (place, delivery) in batch.iter().enumerate() {
            let read = Mail::of(delivery).and_then(|mail| {
                let to = address::recipient(&mail.recipient)?.email;
                Some((mail, to))
            });
            let Some((mail, to)) = read else {
                outcomes[place] = Outcome::ForGood { error: "what waits here is no letter to an address".to_owned() };
                continue;
            };
            if mail.digest.is_some() {
                digests.add(place, &delivery.id, mail, to);
                continue;
            }
            match jobs.iter_mut().find(|job| job.mail.message_id == mail.message_id) {
                Some(job) => {
                    job.places.push(place);
                    job.to.push(to);
                }
                None => jobs.push(Job { places: vec![place], to: vec![to], mail }),
            }
        }
        jobs.extend(self.digests(digests).await);
        jobs
    }

    async fn digests(&self, digests: Digests) -> Vec<Job> {
        let Some(templates) = self.templates.clone().filter(|_| !digests.is_empty()) else { return Vec::new() };
        let target = self.target.clone();
        let Ok(started) = self.db.read(move |conn| outbox::started(conn, &target)).await else {
            // Without that they would have other names than before: they wait for the database.
            return Vec::new();
        };
        let target = self.target.clone();
        let making = tokio::task::spawn_blocking(move || {
            digests.letters(|from: &str| Sender::of(&target, started, from), &templates)
        });
        let made = making.await.unwrap_or_default();
        made.into_iter().map(|(places, to, mail)| Job { places, to: vec![to], mail }).collect()
    }

    /// A verdict for each recipient of the letter.
    async fn send(&self, job: &Job) -> Vec<Verdict> {
        let for_all = |verdict: Verdict| vec![verdict; job.to.len()];
        let written = match self.written(&job.mail).await {
            Ok(written) => written,
            Err(verdict) => return for_all(verdict),
        };
        let Some(from) = address::sender(&job.mail.from).map(|from| from.email) else {
            return for_all(Verdict::ForGood(format!("its sender \"{}\" is no address", job.mail.from)));
        };
        self.rate.until_ready().await;
        let letter = Outgoing { from: &from, to: &job.to, full: &written.full, bare: written.bare.as_deref() };
        let mut held = self.connection.lock().await;
        if let Some(mut session) = held.session.take()
            && session.stands().await
        {
            let (verdicts, stands) = session.send(&letter).await;
            self.keep(&mut held, session, stands);
            // Many a relay takes so many letters over a connection and no more; that is no reason to leave it alone.
            if stands || !verdicts.iter().all(|verdict| matches!(verdict, Verdict::Away(_))) {
                return verdicts;
            }
        }
        match Session::open(&self.relay, &self.basedir).await {
            Ok(mut session) => {
                let (verdicts, stands) = session.send(&letter).await;
                self.keep(&mut held, session, stands);
                verdicts
            }
            Err(why) => for_all(Verdict::Away(why)),
        }
    }

    fn keep(&self, held: &mut Held, session: Session, stands: bool) {
        if stands {
            held.session = Some(session);
            held.used += 1;
            tokio::spawn(close_when_idle(Arc::clone(&self.connection), held.used));
        }
    }

    async fn written(&self, mail: &Mail) -> Result<Written, Verdict> {
        let (mut mail, limit) = (mail.clone(), self.attachment_limit);
        let (mail, attached) = if mail.attachments.is_empty() && mail.logs.is_none() {
            (mail, Vec::new())
        } else {
            let read = self.db.read(move |conn| {
                if let (Some(logs), Some(text)) = (mail.logs.take(), &mut mail.text) {
                    text.push_str(&logs.read(conn, limit)?);
                }
                let attached = attachments::read(conn, &mail, limit)?;
                Ok((mail, attached))
            });
            read.await.map_err(|error| Verdict::ForNow(format!("its logs cannot be read: {error}")))?
        };
        let writing = tokio::task::spawn_blocking(move || {
            let bare =
                if attached.is_empty() { None } else { Some(mime::bytes(&without_attachments(&mail), Vec::new())?) };
            Ok::<_, String>(Written { full: mime::bytes(&mail, attached)?, bare })
        });
        match writing.await {
            Ok(Ok(written)) => Ok(written),
            Ok(Err(why)) => Err(Verdict::ForGood(why)),
            Err(_) => Err(Verdict::ForNow("it could not be written".to_owned())),
        }
    }
}

/// The letter for a relay that finds the attachments too large, with a word about it.
fn without_attachments(mail: &Mail) -> Mail {
    let place = mail.page.as_ref().map(|page| format!("; they are at {page}")).unwrap_or_default();
    let note = format!("The attachments were more than the mail relay takes{place}.");
    let html = mail.html.as_ref().map(|html| match html.rfind("</body>") {
        Some(end) => format!("{}<p>{}</p>{}", &html[..end], crate::render::html::escape(&note), &html[end..]),
        None => format!("{html}<p>{}</p>", crate::render::html::escape(&note)),
    });
    let text = mail.text.as_ref().map(|text| format!("{text}\n{note}\n"));
    Mail { html, text, attachments: Vec::new(), ..mail.clone() }
}

fn outcome(verdict: Verdict) -> Outcome {
    match verdict {
        Verdict::Taken(answer) => Outcome::Delivered { answer: Some(answer) },
        Verdict::ForNow(error) => Outcome::ForNow { error, retry_after: None },
        Verdict::ForGood(error) => Outcome::ForGood { error },
        Verdict::NextTime => Outcome::Left,
        Verdict::Away(error) => Outcome::Away { error },
    }
}

/// Takes leave of the relay unless the connection has been used again.
async fn close_when_idle(connection: Connection, used: u64) {
    tokio::time::sleep(IDLE).await;
    let session = {
        let mut held = connection.lock().await;
        if held.used == used { held.session.take() } else { None }
    };
    if let Some(session) = session {
        session.close().await;
    }
}
