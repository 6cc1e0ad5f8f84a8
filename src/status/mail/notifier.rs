//! The target: which events make letters, and what they say. How they get away is [`super::carrier`].

use super::body::{BuildView, LetterView};
use super::carrier::{Carrier, Connection};
use super::config::Config;
use super::facts::{BuildFacts, Facts, Subject};
use super::formatter::{self, Circumstances, Formatted};
use super::letter::{self, Line, Mail, Sender};
use super::mode::Mode;
use super::recipients::recipients;
use super::{attachments, headers};
use crate::config::{self, Secrets};
use crate::db::outbox::Delivery;
use crate::db::{Conn, Db, DbError};
use crate::model::*;
use crate::render::asdict::Urls;
use crate::render::{Templates, words};
use crate::status::outbox::{self, Backoff, Outcome, Pace, Target};
use crate::status::streak;
use governor::DefaultDirectRateLimiter;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How many copies of one letter are handed over at once; RFC 5321 has every relay take a hundred.
const RECIPIENTS: usize = 100;
/// As many builds make one digest at most.
const DIGEST: usize = 500;
/// A letter that could not be delivered for so long never will be.
const GIVE_UP: Duration = Duration::from_secs(5 * 24 * 3600);
/// Every step of the conversation with the relay has a limit of its own; this is for all of them together.
const TIMEOUT: Duration = Duration::from_secs(2 * 3600);

/// What letters say of the installation.
#[derive(Clone, Debug)]
pub struct Project {
    pub title: String,
    pub title_url: String,
    pub buildbot_url: String,
    pub secrets: Secrets,
}

impl Project {
    pub fn of(config: &config::Config) -> Project {
        Project {
            title: config.title.clone(),
            title_url: config.title_url.clone(),
            buildbot_url: config.buildbot_url.clone(),
            secrets: config.secrets.clone(),
        }
    }
}

/// The target. See the module above.
pub struct MailNotifier {
    name: String,
    config: Config,
    project: Project,
    /// `master.cfg:14`.
    place: String,
    templates: Arc<Templates>,
    db: Db,
    carrier: Carrier,
    /// What a function of the configuration did wrong last, until it does right.
    complaint: Mutex<Option<String>>,
}

impl Target for MailNotifier {
    const KIND: &'static str = "MailNotifier";
    type Facts = Facts;

    fn name(&self) -> &str {
        &self.name
    }

    fn pace(&self) -> Pace {
        pace(self.config.digest_window.is_some())
    }

    fn wanted(&self, event: &Event) -> bool {
        match event {
            Event::BuildFinished { build } => {
                self.config.build_set_summary || self.config.takes_builder(&build.builder)
            }
            Event::RequestCancelled { .. } => self.config.build_set_summary,
            _ => false,
        }
    }

    fn gather(&self, conn: &mut Conn, fact: &Stored) -> Result<Facts, DbError> {
        Facts::gather(conn, fact, &self.config, &self.name)
    }

    fn compose(&self, fact: &Stored, facts: Facts) -> Vec<outbox::Letter> {
        let sender = Sender::of(&self.name, facts.started, &self.config.fromaddr);
        let compose = |subject: Subject| self.letter(subject, &facts.addresses, &sender, fact.at);
        facts.subjects.into_iter().flat_map(compose).collect()
    }

    fn complaint(&self) -> Option<String> {
        self.complaint.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn deliver(&self, _destination: &str, batch: &[Delivery]) -> Vec<Outcome> {
        self.carrier.carry(batch).await
    }
}

/// First after seconds, in the end once an hour.
pub(super) fn pace(digests: bool) -> Pace {
    Pace {
        batch: if digests { DIGEST } else { RECIPIENTS },
        by_event: !digests,
        gather: Duration::ZERO,
        ordered: false,
        quota: None,
        backoff: Backoff { first: Duration::from_secs(5), cap: Duration::from_secs(3600), jitter: 0.2 },
        timeout: TIMEOUT,
        give_up: Some(GIVE_UP),
    }
}

/// A build with the one that went before it, as the modes see it.
type Chosen = (BuildFacts, Option<Build>);

impl MailNotifier {
    pub(super) fn new(
        name: String,
        config: Config,
        place: String,
        project: Project,
        db: Db,
        basedir: &Path,
        rate: Arc<DefaultDirectRateLimiter>,
    ) -> MailNotifier {
        let templates = Arc::new(Templates::new(vec![basedir.join("templates")]));
        let carrier = Carrier {
            rate,
            relay: config.relay.clone(),
            basedir: basedir.to_owned(),
            attachment_limit: config.attachment_limit,
            templates: config.digest_window.map(|_| Arc::clone(&templates)),
            db: db.clone(),
            target: name.clone(),
            connection: Connection::default(),
        };
        MailNotifier { name, config, project, place, templates, db, carrier, complaint: Mutex::default() }
    }

    /// The letter about this, for each recipient; none where nobody wants or gets it.
    fn letter(
        &self,
        subject: Subject,
        addresses: &BTreeMap<String, String>,
        sender: &Sender,
        at: Time,
    ) -> Vec<outbox::Letter> {
        let Subject { builds, buildset } = subject;
        let chosen: Vec<Chosen> = builds.into_iter().filter_map(|facts| self.chosen(facts)).collect();
        let Some((first, _)) = chosen.first() else { return Vec::new() };
        let results = buildset.as_ref().map_or(first.build.results, |set| set.results);
        let about = match &buildset {
            Some(_) => "(whole buildset)".to_owned(),
            None => first.build.builder.clone(),
        };
        let page = match &buildset {
            Some(_) => (!self.project.buildbot_url.is_empty()).then(|| self.project.buildbot_url.clone()),
            None => letter::build_page(&self.project.buildbot_url, &first.build),
        };
        let mut mail = Mail {
            from: self.config.fromaddr.clone(),
            subject: self.subject(&about, results),
            date: at,
            message_id: match &buildset {
                Some(set) => sender.id_of_buildset(set.id),
                None => sender.id_of_build(&first.build.builder, first.build.number),
            },
            page,
            ..Mail::default()
        };
        if buildset.is_none() {
            (mail.thread, mail.in_reply_to) = thread(first, sender);
        }
        mail.digest = self.config.digest_window.map(|window| Line {
            window: end_of_window(at, window),
            builder: about,
            number: buildset.is_none().then_some(first.build.number),
            results,
            text: words::line(&first.build.full_text()),
            blamelist: first.build.blamelist().join(", "),
            url: mail.page.clone(),
            title: self.project.title.clone(),
        });
        let (builds, previous): (Vec<BuildFacts>, Vec<Option<Build>>) = chosen.into_iter().unzip();
        let subject = Subject { builds, buildset };
        let recipients = recipients(&self.config, &subject, addresses);
        if recipients.all.is_empty() {
            tracing::debug!("{}: nobody gets \"{}\"", self.name, mail.subject);
            return Vec::new();
        }
        mail.headers = headers::of(&subject, &self.config, &self.project);
        mail.attachments = attachments::of(&subject.builds, &self.config, subject.buildset.is_some());
        self.say(&mut mail, &subject.builds, &previous, recipients.reasons);
        (mail.to, mail.cc) = (recipients.to, recipients.cc);
        let name = subject.buildset.as_ref().map(|set| format!("buildset {}", set.id));
        mail.deliveries(&recipients.all, &self.config.relay.destination(), name)
    }

    /// The build, if a letter about it is wanted.
    fn chosen(&self, facts: BuildFacts) -> Option<Chosen> {
        let config = &self.config;
        let (build, results) = (&facts.build, facts.build.results?);
        if !config.takes_builder(&build.builder) {
            return None;
        }
        if config.tags.as_ref().is_some_and(|tags| !tags.iter().any(|tag| facts.tags.contains(tag))) {
            return None;
        }
        let previous = self.previous(&facts);
        let takes = |modes: &[Mode]| modes.iter().any(|mode| mode.takes(results, previous.as_ref()));
        let in_row = facts.streak.as_ref().map_or(0, |streak| streak.length);
        let still = config.still_failing_after;
        let wanted = match streak::is_bad(Some(results)) {
            true => in_row + 1 >= still && (takes(&config.mode) || in_row + 1 == still && self.tells_of(results)),
            // Nobody was told of failures that were too few, so their end is no news.
            false if (1..still).contains(&in_row) => {
                let lasting: Vec<Mode> = config.mode.iter().copied().filter(|mode| *mode != Mode::Change).collect();
                takes(&lasting)
            }
            false => takes(&config.mode),
        };
        wanted.then_some((facts, previous))
    }

    /// Whether a failure that lasts is news by now, although the turn to it was told to nobody.
    fn tells_of(&self, results: Results) -> bool {
        let turns = |mode: &Mode| match mode {
            Mode::Change => true,
            Mode::Problem => results == Results::Failure,
            Mode::Failing | Mode::Passing | Mode::Warnings | Mode::Exception => false,
        };
        self.config.still_failing_after > 1 && self.config.mode.iter().any(turns)
    }

    /// The build before, as previousBuildGetter has it if there is one.
    fn previous(&self, facts: &BuildFacts) -> Option<Build> {
        let Some(function) = &self.config.previous_build_getter else { return facts.previous.clone() };
        match formatter::previous(function, &facts.build, &self.db) {
            Ok(previous) => previous,
            Err(error) => {
                self.complain(format!("previousBuildGetter: {error}; the build numbered one less was used"));
                facts.previous.clone()
            }
        }
    }

    /// Gives the letter its text: by the function of the configuration, or ours.
    fn say(&self, mail: &mut Mail, builds: &[BuildFacts], previous: &[Option<Build>], reasons: Vec<String>) {
        let mut note = None;
        if let Some(formatted) = self.formatted(builds) {
            match formatted {
                Ok(Formatted { body, html, subject }) => {
                    *(if html { &mut mail.html } else { &mut mail.text }) = Some(body);
                    mail.subject = subject.unwrap_or_else(|| mail.subject.clone());
                    return;
                }
                Err(error) => {
                    let what = format!("messageFormatter: {error}");
                    self.complain(format!("{what}; the letter of {} was sent in the usual words", mail.subject));
                    note = Some(format!(
                        "This letter has the usual words, because the function of the configuration failed: {what}"
                    ));
                }
            }
        }
        let urls = Urls::new(self.project.buildbot_url.clone());
        let view = |(facts, previous): (&BuildFacts, &Option<Build>)| {
            BuildView::of(facts, &self.config.mode, previous.as_ref(), &self.project.title, &urls)
        };
        let view = LetterView {
            subject: mail.subject.clone(),
            title: self.project.title.clone(),
            buildbot_url: Some(self.project.buildbot_url.clone()).filter(|url| !url.is_empty()),
            builds: builds.iter().zip(previous).map(view).collect(),
            reasons,
            note,
            place: self.place.clone(),
        };
        mail.text = self.filled("mail_text", &view);
        mail.html = self.filled("mail_html", &view);
        if mail.text.is_none() && mail.html.is_none() {
            mail.text = Some(view.builds.iter().map(|build| format!("{}\n\n", build.summary)).collect());
        }
    }

    fn filled(&self, template: &str, view: &LetterView) -> Option<String> {
        match self.templates.render(template, view) {
            Ok(text) => Some(text),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "{}: a letter lacks a part", self.name);
                None
            }
        }
    }

    /// What the messageFormatter makes of the builds, the last type and subject counting; `None` without one.
    fn formatted(&self, builds: &[BuildFacts]) -> Option<Result<Formatted, String>> {
        let function = self.config.message_formatter.as_ref()?;
        let around = Circumstances {
            modes: self.config.mode.iter().map(|mode| mode.word()).collect(),
            title: &self.project.title,
            title_url: &self.project.title_url,
            buildbot_url: &self.project.buildbot_url,
        };
        let mut whole = Formatted { body: String::new(), html: false, subject: None };
        for facts in builds {
            match formatter::format(function, &facts.build, &around, &self.db) {
                Ok(formatted) => {
                    let body = format!("{}{}\n\n", whole.body, formatted.body);
                    whole = Formatted { body, ..formatted };
                }
                Err(error) => return Some(Err(error)),
            }
        }
        self.content();
        Some(Ok(whole))
    }

    /// `buildbot failure in Widget Foundry on linux`
    fn subject(&self, about: &str, results: Option<Results>) -> String {
        let title = self.project.title.as_str();
        let values = [("builder", about), ("result", words::word(results)), ("title", title), ("projectName", title)];
        let subject = values.iter().fold(self.config.subject.replace("%%", "\0"), |subject, (name, value)| {
            subject.replace(&format!("%({name})s"), &value.replace('\0', ""))
        });
        subject.replace('\0', "%")
    }

    fn complain(&self, complaint: String) {
        tracing::error!("{}: {complaint}", self.name);
        *self.complaint.lock().unwrap_or_else(PoisonError::into_inner) = Some(complaint);
    }

    fn content(&self) {
        *self.complaint.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// The thread of a regression, and the letter of it that this one answers: the letter of its first build.
fn thread(facts: &BuildFacts, sender: &Sender) -> (Option<String>, Option<String>) {
    let Some(streak) = &facts.streak else { return (None, None) };
    let builder = &facts.build.builder;
    let first = sender.id_of_build(builder, streak.first.number);
    if !streak.longer {
        return (Some(first.clone()), Some(first));
    }
    // Where the row began is too far away to be known: it goes on from the newest letter.
    let newest = streak.later.first().map_or(streak.first.number, |build| build.number);
    (None, Some(sender.id_of_build(builder, newest)))
}

/// Windows begin at multiples of their length.
fn end_of_window(at: Time, window: Duration) -> Time {
    let length = i64::try_from(window.as_micros()).unwrap_or(i64::MAX).max(1);
    Time((at.0.div_euclid(length)).saturating_add(1).saturating_mul(length))
}
