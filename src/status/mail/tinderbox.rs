//! TinderboxMailNotifier: letters for a Tinderbox server, which draws its waterfall from them.
//!
//! ```python
//! c['status'].append(status.TinderboxMailNotifier(fromaddr="buildbot@example.org", tree="Widget",
//!                                                 extraRecipients=["tinderbox@example.org"]))
//! ```
//!
//! A letter when a build begins and one with its logs when it has ended, in the format of `reference/mail.md` §9; 0.8.14
//! could send neither. Every end is told, exceptions and retries too. The options of the relay are MailNotifier's.
//!
//! Not here: letters people like to read; those are MailNotifier's.

mod logs;

pub use logs::{Compression, Logs};

use super::carrier::{Carrier, Connection};
use super::letter::{Mail, Sender};
use super::notifier::{Project, pace};
use super::relay::{Rates, Relay};
use super::{address, config, headers};
use crate::config::{Kind, Options, Problems, RenderContext, Renderable, Section};
use crate::db::outbox::Delivery;
use crate::db::{Conn, Db, DbError, builders, builds};
use crate::model::*;
use crate::render::words;
use crate::status::outbox::{self, Outcome, Pace, Target};
use crate::status::{Setup, StartError};
use std::path::Path;

/// For the configuration's catalog.
pub const KIND: Kind = Kind {
    name: "status.TinderboxMailNotifier",
    positional: &["fromaddr", "tree", "extraRecipients", "tags", "builders", "relayhost", "subject"],
    check: |section, problems| {
        Config::read(section, problems);
    },
};

/// The logs of one letter, bytes of text before they are compressed.
const LOGS: usize = 16 << 20;

/// The options (`reference/mail.md` §9).
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub name: Option<String>,
    pub fromaddr: String,
    pub tree: String,
    pub extra_recipients: Vec<String>,
    pub tags: Option<Vec<String>>,
    pub builders: Option<Vec<String>>,
    /// `%(builder)s`, `%(result)s`.
    pub subject: String,
    pub binary_url: String,
    pub compression: Compression,
    pub errorparser: String,
    /// The builder's name where it is `None`.
    pub column_name: Option<Renderable>,
    /// The date of a build is that of its last change, not of its start.
    pub use_change_time: bool,
    pub relay: Relay,
}

impl Config {
    /// Reads the options; `None` where one that is required is missing.
    pub fn read(section: &Section, problems: &mut Problems) -> Option<Config> {
        let mut options = section.read(problems);
        let fromaddr = config::fromaddr(&mut options);
        let tree = options.required_text("tree");
        let extra_recipients = config::recipients(&mut options);
        if extra_recipients.is_empty() {
            options.problem("extraRecipients", "is required: the address of the Tinderbox");
        }
        let (builders, tags) = config::builders_or_tags(&mut options);
        let subject = options.text("subject").unwrap_or_else(|| "buildbot %(result)s in %(builder)s".to_owned());
        config::check_subject(&mut options, &subject, &["result", "builder"]);
        let config = Config {
            name: options.text("name").filter(|name| !name.is_empty()),
            fromaddr: fromaddr.clone().unwrap_or_default(),
            tree: tree.clone().unwrap_or_default(),
            extra_recipients,
            tags,
            builders,
            subject,
            binary_url: one_line(&mut options, "binaryURL"),
            compression: match options.word("logCompression", &["", "gzip", "bzip2"]) {
                Some("gzip") => Compression::Gzip,
                Some("bzip2") => Compression::Bzip2,
                _ => Compression::None,
            },
            errorparser: Some(one_line(&mut options, "errorparser"))
                .filter(|name| !name.is_empty())
                .unwrap_or("unix".into()),
            column_name: options.renderable_text("columnName"),
            use_change_time: options.flag("useChangeTime", false),
            relay: config::relay(&mut options),
        };
        options.finish();
        (fromaddr.is_some() && tree.is_some()).then_some(config)
    }
}

fn one_line(options: &mut Options<'_, '_>, name: &'static str) -> String {
    let text = options.text(name).unwrap_or_default();
    if text.contains(['\n', '\r']) {
        options.problem(name, "must be one line");
    }
    text
}

/// The name the target of a section has.
pub fn name(section: &Section) -> Option<String> {
    Config::read(section, &mut Problems::default()).map(|config| name_of(&config))
}

fn name_of(config: &Config) -> String {
    format!("TinderboxMailNotifier:{}", config.name.as_deref().unwrap_or(&config.tree))
}

/// Starts the target of a section.
pub fn start(setup: &Setup, section: &Section) -> Result<outbox::Running, StartError> {
    let project = Project::of(&setup.config.borrow());
    let target = make(section, project, &setup.db, &setup.basedir, &setup.rates)?;
    Ok(outbox::start(&setup.group, &setup.hub, &setup.db, &setup.clock, target))
}

/// The target of a section.
pub fn make(
    section: &Section,
    project: Project,
    db: &Db,
    basedir: &Path,
    rates: &Rates,
) -> Result<TinderboxMailNotifier, StartError> {
    let mut problems = Problems::default();
    let config = Config::read(section, &mut problems).ok_or(StartError::Options(problems))?;
    let name = name_of(&config);
    let carrier = Carrier {
        rate: rates.of(&config.relay),
        relay: config.relay.clone(),
        basedir: basedir.to_owned(),
        attachment_limit: LOGS,
        templates: None,
        db: db.clone(),
        target: name.clone(),
        connection: Connection::default(),
    };
    Ok(TinderboxMailNotifier { name, config, project, carrier })
}

/// The target. See the module.
pub struct TinderboxMailNotifier {
    name: String,
    config: Config,
    project: Project,
    carrier: Carrier,
}

/// What a letter needs beyond its event.
pub struct Facts {
    started: Option<Time>,
    tags: Vec<String>,
    /// With steps and logs.
    build: Option<Build>,
}

/// What happened to a build.
#[derive(Clone, Copy, PartialEq)]
enum Moment {
    Start,
    End,
}

impl Target for TinderboxMailNotifier {
    const KIND: &'static str = "TinderboxMailNotifier";
    type Facts = Facts;

    fn name(&self) -> &str {
        &self.name
    }

    fn pace(&self) -> Pace {
        pace(false)
    }

    fn wanted(&self, event: &Event) -> bool {
        matches!(event, Event::BuildStarted { .. } | Event::BuildFinished { .. })
    }

    fn gather(&self, conn: &mut Conn, fact: &Stored) -> Result<Facts, DbError> {
        let (Event::BuildStarted { build } | Event::BuildFinished { build }) = &fact.event else {
            return Ok(Facts { started: None, tags: Vec::new(), build: None });
        };
        Ok(Facts {
            started: outbox::started(conn, &self.name)?,
            tags: builders::find(conn, &build.builder)?.map(|builder| builder.tags).unwrap_or_default(),
            build: builds::find(conn, &build.builder, build.number)?,
        })
    }

    fn compose(&self, fact: &Stored, facts: Facts) -> Vec<outbox::Letter> {
        let (moment, told) = match &fact.event {
            Event::BuildStarted { build } => (Moment::Start, build),
            Event::BuildFinished { build } => (Moment::End, build),
            _ => return Vec::new(),
        };
        let takes = |wanted: &Option<Vec<String>>, name: &String| wanted.as_ref().is_none_or(|all| all.contains(name));
        let tagged = self.config.tags.is_none() || facts.tags.iter().any(|tag| takes(&self.config.tags, tag));
        if !takes(&self.config.builders, &told.builder) || !tagged {
            return Vec::new();
        }
        let build = facts.build.filter(|_| moment == Moment::End).unwrap_or_else(|| told.clone());
        let sender = Sender::of(&self.name, facts.started, &self.config.fromaddr);
        let mail = self.mail(&build, moment, &sender, fact.at);
        let to: Vec<String> = self.config.extra_recipients.iter().filter_map(|to| bare(to)).collect();
        mail.deliveries(&to, &self.config.relay.destination(), None)
    }

    async fn deliver(&self, _destination: &str, batch: &[Delivery]) -> Vec<Outcome> {
        self.carrier.carry(batch).await
    }
}

fn bare(written: &str) -> Option<String> {
    address::recipient(written).map(|mailbox| mailbox.email.to_string())
}

impl TinderboxMailNotifier {
    fn mail(&self, build: &Build, moment: Moment, sender: &Sender, at: Time) -> Mail {
        let start = sender.id_of_start(&build.builder, build.number);
        let (status, result) = match moment {
            Moment::Start => ("building", "building"),
            Moment::End => (status(build.results), words::word(build.results)),
        };
        let subject = self.config.subject.replace("%(builder)s", &build.builder).replace("%(result)s", result);
        Mail {
            from: self.config.fromaddr.clone(),
            to: self.config.extra_recipients.clone(),
            subject: subject.replace("%%", "%"),
            date: at,
            message_id: match moment {
                Moment::Start => start.clone(),
                Moment::End => sender.id_of_build(&build.builder, build.number),
            },
            in_reply_to: (moment == Moment::End).then(|| start.clone()),
            thread: Some(start),
            headers: headers::usual(&self.project),
            text: Some(self.lines(build, moment, status)),
            logs: (moment == Moment::End).then(|| Logs::of(build, self.config.compression)),
            ..Mail::default()
        }
    }

    /// The lines a Tinderbox reads.
    fn lines(&self, build: &Build, moment: Moment, status: &str) -> String {
        let change = build.changes().map(|change| change.when).last();
        let date = change.filter(|_| self.config.use_change_time).unwrap_or(build.started).whole_seconds();
        let (tree, column, parser) = (&self.config.tree, self.column(build), &self.config.errorparser);
        let mut lines = format!(
            "tinderbox: tree: {tree}\ntinderbox: builddate: {date}\ntinderbox: status: {status}\ntinderbox: build: {column}\n\
             tinderbox: errorparser: {parser}\n"
        );
        if moment == Moment::End {
            let (compression, encoding) = self.config.compression.words();
            lines.push_str(&format!(
                "tinderbox: binaryurl: {}\ntinderbox: logcompression: {compression}\ntinderbox: logencoding: {encoding}\n",
                self.config.binary_url
            ));
        }
        lines.push_str("tinderbox: END\n");
        lines
    }

    fn column(&self, build: &Build) -> String {
        let Some(name) = &self.config.column_name else { return build.builder.clone() };
        let context = RenderContext {
            properties: &build.properties,
            source_stamps: &build.source_stamps,
            secrets: &self.project.secrets,
            build: Some(build),
        };
        match name.render_text(&context) {
            Ok(name) => name.replace(['\n', '\r'], " "),
            Err(error) => {
                tracing::error!("{}: columnName: {error}; the builder's name is used", self.name);
                build.builder.clone()
            }
        }
    }
}

fn status(results: Option<Results>) -> &'static str {
    match results {
        Some(Results::Success) => "success",
        Some(Results::Warnings) => "testfailed",
        Some(Results::Exception | Results::Retry | Results::Cancelled) => "exception",
        Some(Results::Failure | Results::Skipped) | None => "busted",
    }
}
