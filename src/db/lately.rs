//! What each builder did lately, kept in memory: after an event of one builder only that one is read anew.
//!
//! What is kept of a builder goes by the newest event that may have changed it. A read sees everything at one moment, and
//! uses what is kept only if that event was the newest such one at this very moment: it so finds what it would have
//! read. Whoever reads what is not kept, or not far enough back, keeps it for the next, within [`MOST`] bytes; what
//! nobody asks for goes first. What changes without an event, by the janitor, ends all that is kept.
//!
//! Only queries of this room use it, on connections that read; their callers cannot tell. How far a log that still grows
//! reaches is no event: a build that is kept has it as it was when it was read.

mod kept;
mod of_builder;

pub(super) use of_builder::{Key, OfBuilder, events};

use super::engine::Conn;
use super::events::Prepared;
use super::{DbError, Newest, builders, builds, events as event_log};
use crate::model::{Build, Builder, Seq};
use kept::Kept;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// About how many bytes are kept at most.
const MOST: usize = 10 << 20;

/// What a transaction is known for once it is committed.
#[derive(Default)]
pub(super) struct Effects {
    pub events: Vec<Arc<Prepared>>,
    /// It changed something that no event tells of and is kept here.
    pub untold: bool,
}

/// What is kept, and what is known of its age.
pub(super) struct Lately {
    newest: Newest,
    kept: Mutex<Kept>,
}

impl Lately {
    /// `last` is the newest event there is.
    pub fn since(last: Seq) -> Lately {
        Lately { newest: Newest::since(last), kept: Mutex::new(Kept::new(MOST)) }
    }

    pub fn newest(&self) -> &Newest {
        &self.newest
    }

    /// To be called after each commit, before anybody is told of it.
    pub fn committed(&self, effects: Effects) {
        if effects.untold {
            self.kept().forget();
        }
        self.newest.note(&effects.events);
    }

    /// For a transaction that has not begun to read.
    pub fn view(self: &Arc<Self>) -> View {
        View { edition: self.kept().edition(), lately: Arc::clone(self), moment: None }
    }

    /// A panic never happens while it is locked.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a transaction that reads may use.
pub(super) struct View {
    lately: Arc<Lately>,
    /// What was forgotten before it began it does not bring back.
    edition: u64,
    /// The newest event it sees, if it was asked for; none if not all it sees has been noted.
    moment: Option<Option<Seq>>,
}

/// One moment, all events before which have been noted.
#[derive(Clone)]
struct Moment {
    lately: Arc<Lately>,
    edition: u64,
    seq: Seq,
}

impl Moment {
    /// The one this connection reads at. `None` for one that writes, and for the instant between a commit and its note.
    fn of(conn: &mut Conn) -> Result<Option<Moment>, DbError> {
        let Some(known) = conn.view.as_ref().map(|view| view.moment) else {
            return Ok(None);
        };
        let last = match known {
            Some(seq) => seq,
            None => Some(event_log::last(conn)?),
        };
        Ok(conn.view.as_mut().and_then(|view| {
            let noted = view.lately.newest.of(None);
            view.moment = Some(last.filter(|last| *last <= noted));
            Some(Moment { lately: Arc::clone(&view.lately), edition: view.edition, seq: view.moment?? })
        }))
    }

    /// What is known of these builders at this moment.
    fn find(&self, names: &[String]) -> Vec<Found> {
        let newest = self.lately.newest.of_each(names);
        let mut kept = self.lately.kept();
        let find = |(name, newest): (&String, Seq)| {
            let kept = kept.find(name, self.edition);
            // What was the newest at this moment is not known once there is a newer one.
            let version = Some(newest).filter(|newest| *newest <= self.seq);
            match kept {
                Some(of) if of.version() == version => Found { version, of: Some(of), before: None },
                before => Found { version, of: None, before },
            }
        };
        names.iter().zip(newest).map(find).collect()
    }

    fn keep<'a>(&self, some: impl Iterator<Item = &'a Arc<OfBuilder>>) {
        let mut kept = self.lately.kept();
        some.for_each(|of| kept.keep(of, self.edition));
    }
}

/// What is known of a builder.
#[derive(Clone, Default)]
struct Found {
    version: Option<Seq>,
    of: Option<Arc<OfBuilder>>,
    /// As it was at another moment.
    before: Option<Arc<OfBuilder>>,
}

impl Found {
    /// Gives what was read of it, and is so still, to what is read of it now.
    fn hand_on(&self, to: &OfBuilder, moment: &Moment) {
        match (&self.of, &self.before, self.version) {
            (Some(same), ..) => to.take_all(same),
            (None, Some(before), Some(version)) => {
                // Of what is newer than this moment nothing is taken.
                let since = before.version().filter(|before| *before < version);
                let changed = since.and_then(|since| moment.lately.newest.builds_after(before.name(), since));
                if let Some(changed) = changed {
                    to.take_builds(before, &changed);
                }
            }
            _ => {}
        }
    }
}

/// How many builds of each are looked at first when so many builders are wanted.
pub(super) fn first_depth(builders: usize) -> usize {
    (400 / builders.max(1)).clamp(2, 32)
}

/// What these builders did: each one's newest builds, `depth` by start and as many by finish, and those that run. Names of
/// no builder are left out.
pub(super) fn of(conn: &mut Conn, names: &[String], depth: usize) -> Result<Vec<Arc<OfBuilder>>, DbError> {
    let moment = Moment::of(conn)?;
    let mut found = match &moment {
        Some(moment) => moment.find(names),
        None => vec![Found::default(); names.len()],
    };
    let reaches = |found: &Found| found.of.as_ref().is_some_and(|of| of.reaches(depth));
    let short: Vec<usize> = (0..names.len()).filter(|index| !reaches(&found[*index])).collect();
    if !short.is_empty() {
        let unknown = short.iter().filter(|index| found[**index].before.is_none());
        let unknown: Vec<String> = unknown.map(|index| names[*index].clone()).collect();
        let ids: HashMap<String, i64> = match &*unknown {
            [] => HashMap::new(),
            unknown => builders::ids(conn, unknown)?.into_iter().collect(),
        };
        let mut running = builds::running_keys(conn)?;
        for index in &short {
            let (name, found) = (&names[*index], &mut found[*index]);
            let known = found.before.as_ref().map(|before| before.id());
            if let Some(id) = known.or_else(|| ids.get(name).copied()) {
                let running = running.remove(&id).unwrap_or_default();
                // As many as were wanted of it before will be wanted again.
                let depth = found.before.as_ref().map_or(depth, |before| before.depth().max(depth));
                let read = OfBuilder::read(conn, id, name, depth, running)?.at(found.version);
                if let Some(moment) = &moment {
                    found.hand_on(&read, moment);
                }
                found.of = Some(Arc::new(read));
            }
        }
        if let Some(moment) = &moment {
            moment.keep(short.iter().filter_map(|index| found[*index].of.as_ref()));
        }
    }
    Ok(found.into_iter().filter_map(|found| found.of).collect())
}

/// Builds by their rows, with steps and logs, in the order asked for.
pub(super) fn builds(conn: &mut Conn, wanted: &[(Arc<OfBuilder>, i64)]) -> Result<Vec<Arc<Build>>, DbError> {
    let mut found: Vec<Option<Arc<Build>>> = wanted.iter().map(|(of, id)| of.build(*id)).collect();
    let missing: Vec<usize> = (0..wanted.len()).filter(|index| found[*index].is_none()).collect();
    if !missing.is_empty() {
        let ids: Vec<i64> = missing.iter().map(|index| wanted[*index].1).collect();
        let mut read = builds::by_ids(conn, &ids, true)?;
        for &index in &missing {
            let (of, id) = &wanted[index];
            found[index] = read.remove(id).map(Arc::new);
            if let Some(build) = &found[index] {
                of.add_build(*id, build);
            }
        }
        if let Some(moment) = Moment::of(conn)? {
            moment.keep(missing.iter().map(|index| &wanted[*index].0));
        }
    }
    Ok(found.into_iter().flatten().collect())
}

/// Builders of the configuration in force, in natural order. Of those there were, only what has had events since is read.
pub(super) fn builders(conn: &mut Conn) -> Result<Vec<Arc<Builder>>, DbError> {
    let Some(moment) = Moment::of(conn)? else {
        return Ok(builders::all(conn)?.into_iter().map(Arc::new).collect());
    };
    let known = moment.lately.kept().builders();
    let all = match known {
        Some((seq, all)) => {
            let changed = moment.lately.newest.after(seq.min(moment.seq));
            builders::with_changes(conn, all, &changed)?
        }
        None => builders::all(conn)?.into_iter().map(Arc::new).collect(),
    };
    moment.lately.kept().keep_builders(moment.seq, &all);
    Ok(all)
}
