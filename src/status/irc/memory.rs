//! What a bot remembers over restarts: what each contact has set, and until when everybody was told of builds.

use super::config::Config;
use super::contact::{Contact, Kind, Settings};
use super::events::{EventName, Events};
use crate::db::builds::{Order, Selection};
use crate::db::{Conn, Db, DbError, builds, events, state};
use crate::model::{Build, Results, Seq, Time};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How many contacts can have something set.
pub const MOST_SET: usize = 1000;

/// How many builds that were missed over a restart are counted.
const MOST_MISSED: i64 = 1000;

/// Where the bot of a nick on a server keeps what it remembers. Cheap to clone.
#[derive(Clone)]
pub struct Memory {
    db: Db,
    object: String,
}

/// The key of the moment until which everybody was told; no name of a contact has a blank.
const SEEN: &str = "told until";

/// One contact as it is stored.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    name: String,
    channel: bool,
    events: Option<Vec<String>>,
    muted: bool,
}

/// Everything, as of one moment.
pub struct Recalled {
    pub contacts: Vec<(String, Kind, Settings)>,
    pub seen: Option<Time>,
    /// Builds that ended since, oldest first, each with how the one before it ended.
    pub missed: Vec<(Build, Option<Results>)>,
    /// Events up to this are accounted for.
    pub upto: Seq,
}

impl Memory {
    pub fn new(db: &Db, config: &Config) -> Memory {
        Memory { db: db.clone(), object: format!("irc/{}@{}", config.nick.to_lowercase(), config.host.to_lowercase()) }
    }

    pub async fn recall(&self) -> Result<Recalled, DbError> {
        let object = self.object.clone();
        self.db.read(move |conn| recall(conn, &object)).await
    }

    /// Stores what a contact has set, under its folded name; nothing set is nothing stored.
    ///
    /// Queued at once, in the order of the calls.
    pub fn keep(&self, key: String, contact: &Contact) -> impl Future<Output = Result<(), DbError>> + use<> {
        let object = self.object.clone();
        let stored = (contact.settings != Settings::default()).then(|| Stored {
            name: contact.name.clone(),
            channel: contact.kind == Kind::Channel,
            events: contact.settings.events.as_ref().map(Events::names),
            muted: contact.settings.muted,
        });
        self.db.write(move |conn| match &stored {
            Some(stored) => {
                let value = serde_json::to_value(stored).unwrap_or_default();
                state::put(conn, &state::Put { object: object.clone(), key: key.clone(), value })
            }
            None => state::remove(conn, &object, &key),
        })
    }

    /// Everybody has been told of what ended until then.
    pub fn saw(&self, until: Time) -> impl Future<Output = Result<(), DbError>> + use<> {
        let put = state::Put { object: self.object.clone(), key: SEEN.to_owned(), value: until.0.into() };
        self.db.write(move |conn| state::put(conn, &put))
    }
}

fn recall(conn: &mut Conn, object: &str) -> Result<Recalled, DbError> {
    let upto = events::last(conn)?;
    let seen = state::get(conn, object, SEEN)?.and_then(|seen| seen.as_i64()).map(Time);
    let mut contacts = Vec::new();
    for (key, value) in state::all(conn, object, MOST_SET as i64 + 1)? {
        if key == SEEN {
            continue;
        }
        match serde_json::from_value::<Stored>(value) {
            Ok(stored) => contacts.push(stored.contact()),
            Err(error) => {
                tracing::warn!("{object}: what is stored of \"{key}\" cannot be read: {error}; it is left out")
            }
        }
    }
    let missed = match seen {
        Some(seen) => missed(conn, seen)?,
        None => Vec::new(),
    };
    Ok(Recalled { contacts, seen, missed, upto })
}

impl Stored {
    /// Events that this version does not know are left out.
    fn contact(self) -> (String, Kind, Settings) {
        let kind = if self.channel { Kind::Channel } else { Kind::Person };
        let events =
            self.events.map(|names| names.iter().filter_map(|name| EventName::parse(name)).collect::<Events>());
        (self.name, kind, Settings { events, muted: self.muted })
    }
}

fn missed(conn: &mut Conn, seen: Time) -> Result<Vec<(Build, Option<Results>)>, DbError> {
    let selection = Selection {
        order: Order::Finished,
        finished: Some(true),
        from: Some(seen + Duration::from_micros(1)),
        limit: MOST_MISSED,
        ..Selection::default()
    };
    let mut missed = Vec::new();
    for build in builds::select(conn, &selection)?.into_iter().rev() {
        let before = before(conn, &build)?;
        missed.push((build, before));
    }
    Ok(missed)
}

/// How the build before this one ended, if it was there and has.
pub fn before(conn: &mut Conn, build: &Build) -> Result<Option<Results>, DbError> {
    if build.number < 1 {
        return Ok(None);
    }
    Ok(builds::find(conn, &build.builder, build.number - 1)?.and_then(|before| before.results))
}
