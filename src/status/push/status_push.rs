//! StatusPush: every event as a packet, to a function of the configuration or to a file.
//!
//! ```python
//! def Process(self):
//!     print(str(self.queue.popChunk()))
//!     self.queueNextServerPush()
//!
//! c['status'].append(status.StatusPush(serverPushCb=Process, bufferDelay=0.5, retryDelay=5))
//! c['status'].append(status.StatusPush(file="packets.jsonl", filter=False))
//! ```
//!
//! A packet is `{"id", "timestamp", "project", "started", "event", "payload"}` as 0.8 has it (`reference/push.md` §1).
//! Ids count from 1 without gaps and stand for the same packet for ever; `started` is the first start ever of this
//! target, so that (`started`, `id`) names a packet among those of all installations.
//!
//! * The function takes packets with `self.queue.popChunk(n)` and is called again `bufferDelay` seconds later.
//!   What it popped counts as delivered when it returns; when it raises, all of it is offered again after
//!   `retryDelay`, as it is when nothing was popped.
//! * `file=` appends each packet as one line of JSON, safe on the disk before it counts; an id is there once.
//!
//! | option | default | |
//! |---|---|---|
//! | `serverPushCb` | required, unless `file` is given | called with one object, as above |
//! | `file` | none | ours; below the master's folder where relative |
//! | `filter` | True | leave out what is empty in the objects of a payload |
//! | `filterZeros` | False | ours: leave out zeros as well, as 0.8 does by accident: no `results` then means success |
//! | `bufferDelay` | 1 | seconds between an event and its push, and between pushes |
//! | `retryDelay` | 5 | seconds before another try |
//! | `blackList` | none | names of events that make no packet |
//! | `fixSpelling` | False | ours: `builderRemoved` instead of 0.8's `buildedRemoved` |
//! | `queue`, `path` | – | accepted; what waits is in the database |
//!
//! Not here: sending over HTTP.

use super::packet_file::PacketFile;
use super::packets::{self, Cut, Facts, Project};
use super::push_queue::PushQueue;
use crate::config::{Arg, Callback, Kind, Problems, Section};
use crate::db::outbox::Delivery;
use crate::db::{Conn, DbError};
use crate::model::*;
use crate::render::asdict::Zeros;
use crate::status::outbox::{self, Backoff, Letter, Outcome, Pace, Target};
use crate::status::{Setup, StartError};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How many packets the function is shown, or a file given, at once.
const BATCH: usize = 500;
/// A function has limits of its own; this is for a disk that hangs.
const TIMEOUT: Duration = Duration::from_secs(120);

/// `status.StatusPush(serverPushCb, …)` in a configuration.
pub const KIND: Kind = Kind {
    name: "status.StatusPush",
    positional: &["serverPushCb", "queue", "path", "filter", "bufferDelay", "retryDelay", "blackList"],
    check: |section, problems| {
        Config::read(section, problems);
    },
};

/// The options of `status.StatusPush`; see the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `serverPushCb`, or ours, `file`.
    pub to: To,
    pub filter: bool,
    pub filter_zeros: bool,
    pub buffer_delay: Duration,
    pub retry_delay: Duration,
    pub black_list: Vec<String>,
    pub fix_spelling: bool,
}

/// Who takes the packets.
#[derive(Clone, Debug, PartialEq)]
pub enum To {
    Function(Callback),
    File(PathBuf),
}

impl To {
    fn name(&self) -> String {
        match self {
            To::Function(function) => format!("StatusPush:{}", function.name()),
            To::File(file) => format!("StatusPush:{}", file.display()),
        }
    }
}

impl Config {
    /// The defaults of 0.8, but for zeros, which stay.
    pub fn new(to: To) -> Config {
        Config {
            to,
            filter: true,
            filter_zeros: false,
            buffer_delay: Duration::from_secs(1),
            retry_delay: Duration::from_secs(5),
            black_list: Vec::new(),
            fix_spelling: false,
        }
    }

    /// Reads the options, and adds every problem with them. `None` when it is not known where to push to.
    pub fn read(section: &Section, problems: &mut Problems) -> Option<Config> {
        let mut options = section.read(problems);
        let function = options.function("serverPushCb");
        let file = options.text("file");
        let to = match (function, file) {
            (Some(function), None) => Some(To::Function(function)),
            (None, Some(file)) if !file.is_empty() => Some(To::File(PathBuf::from(file))),
            (None, Some(_)) => {
                options.problem("file", "must not be empty");
                None
            }
            (Some(_), Some(_)) => {
                options.problem("file", "give serverPushCb or file, not both");
                None
            }
            (None, None) => {
                if options.value("serverPushCb").is_none() {
                    options.problem("serverPushCb", "is required, unless file=\"packets.jsonl\" is given");
                }
                None
            }
        };
        for name in ["queue", "path"] {
            options.without_effect(name, "what waits to be pushed is kept in the database");
        }
        // A stand-in, so that the other options are read and judged where there is nowhere to push to.
        let known = to.is_some();
        let usual = Config::new(to.unwrap_or(To::File(PathBuf::new())));
        let config = Config {
            filter: options.flag("filter", usual.filter),
            filter_zeros: options.flag("filterZeros", usual.filter_zeros),
            buffer_delay: options.seconds("bufferDelay").unwrap_or(usual.buffer_delay),
            retry_delay: options.positive_seconds("retryDelay").unwrap_or(usual.retry_delay),
            black_list: options.texts("blackList").unwrap_or_default(),
            fix_spelling: options.flag("fixSpelling", usual.fix_spelling),
            ..usual
        };
        options.finish();
        known.then_some(config)
    }
}

/// The name the target of a section has.
pub fn name(section: &Section) -> Option<String> {
    Config::read(section, &mut Problems::default()).map(|config| config.to.name())
}

/// Starts the target of a section, named for what takes its packets.
pub fn start(setup: &Setup, section: &Section) -> Result<outbox::Running, StartError> {
    let mut problems = Problems::default();
    let config = Config::read(section, &mut problems).ok_or(StartError::Options(problems))?;
    let project = Project::of(&setup.config.borrow());
    let target = StatusPush::new(config.to.name(), config, project, &setup.basedir);
    Ok(outbox::start(&setup.group, &setup.hub, &setup.db, &setup.clock, target))
}

/// The target. See the module.
pub struct StatusPush {
    name: String,
    project: Project,
    cut: Cut,
    far: Far,
    buffer_delay: Duration,
    retry_delay: Duration,
}

/// The far side.
enum Far {
    Function(Callback),
    File(Arc<PacketFile>),
}

impl StatusPush {
    /// `name` tells it from other targets, over restarts. A relative `file` is below `basedir`.
    pub fn new(name: impl Into<String>, config: Config, project: Project, basedir: &Path) -> StatusPush {
        let zeros = if config.filter_zeros { Zeros::Drop } else { Zeros::Keep };
        StatusPush {
            name: name.into(),
            project,
            cut: Cut {
                filter: config.filter,
                zeros,
                black_list: config.black_list,
                right_spelling: config.fix_spelling,
            },
            far: match config.to {
                To::Function(callback) => Far::Function(callback),
                To::File(path) => Far::File(Arc::new(PacketFile::new(basedir.join(path)))),
            },
            buffer_delay: config.buffer_delay,
            retry_delay: config.retry_delay,
        }
    }

    fn letter(&self, payload: Value) -> Letter {
        let destination = match self.far {
            Far::Function(_) => "serverPushCb",
            Far::File(_) => "file",
        };
        Letter::new(destination, payload)
    }
}

impl Target for StatusPush {
    const KIND: &'static str = "StatusPush";
    type Facts = Facts;

    fn name(&self) -> &str {
        &self.name
    }

    fn pace(&self) -> Pace {
        Pace {
            batch: BATCH,
            by_event: false,
            gather: self.buffer_delay,
            ordered: true,
            quota: None,
            backoff: Backoff::constant(self.retry_delay),
            timeout: TIMEOUT,
            give_up: None,
        }
    }

    fn wanted(&self, event: &Event) -> bool {
        packets::wanted(event, &self.cut)
    }

    fn gather(&self, conn: &mut Conn, fact: &Stored) -> Result<Facts, DbError> {
        let started = outbox::started(conn, &self.name)?;
        Facts::gather(conn, fact, started)
    }

    fn compose(&self, fact: &Stored, facts: Facts) -> Vec<Letter> {
        let packets = packets::packets(fact, &facts, &self.project, &self.cut);
        packets.into_iter().map(|packet| self.letter(packet)).collect()
    }

    fn farewell(&self, conn: &mut Conn, at: Time) -> Result<Vec<Letter>, DbError> {
        let started = outbox::started(conn, &self.name)?;
        let packet = packets::shutdown(at, started, &self.project, &self.cut);
        Ok(packet.into_iter().map(|packet| self.letter(packet)).collect())
    }

    fn number(&self, packet: &mut Value, ordinal: i64) {
        packet["id"] = json!(ordinal);
    }

    async fn deliver(&self, _destination: &str, batch: &[Delivery]) -> Vec<Outcome> {
        match &self.far {
            Far::Function(callback) => call(callback, batch).await,
            Far::File(file) => append(Arc::clone(file), batch).await,
        }
    }
}

async fn call(callback: &Callback, batch: &[Delivery]) -> Vec<Outcome> {
    let queue = PushQueue::new(batch.iter().map(|delivery| delivery.payload.clone()).collect());
    match callback.call(vec![Arg::Object(queue.object())]).await {
        Ok(_) => vec![Outcome::Delivered { answer: None }; queue.popped()],
        Err(error) => Outcome::ForNow { error: error.to_string(), retry_after: None }.for_all(batch),
    }
}

async fn append(file: Arc<PacketFile>, batch: &[Delivery]) -> Vec<Outcome> {
    let path = file.path().display().to_string();
    let packets: Vec<Value> = batch.iter().map(|delivery| delivery.payload.clone()).collect();
    let appended = tokio::task::spawn_blocking(move || file.append(packets.iter())).await;
    let error = match appended {
        Ok(Ok(())) => return Outcome::Delivered { answer: None }.for_all(batch),
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    Outcome::ForNow { error: format!("cannot append to {path}: {error}"), retry_after: None }.for_all(batch)
}
