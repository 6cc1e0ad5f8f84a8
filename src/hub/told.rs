use crate::model::*;
use actix::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a subscriber is told.
#[derive(Message, Clone, Debug)]
#[rtype(result = "()")]
pub struct Told {
    pub news: News,
    /// Counts the message in the subscriber's mailbox gauge for as long as it, or a clone of it, is there.
    _counted: Option<Arc<Counted>>,
}

#[derive(Clone, Debug)]
pub enum News {
    Fact(Arc<Stored>),
    /// The subscriber lagged: events in `(after, upto]` are to be read from the database.
    ///
    /// The two are equal when only the lengths of logs were missed.
    Gap {
        after: Seq,
        upto: Seq,
    },
    /// A running log has reached this length.
    LogGrew(Arc<LogGrew>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogGrew {
    pub build: BuildRef,
    pub step: i32,
    pub log: i64,
    pub lines: i64,
    pub bytes: i64,
}

impl Told {
    pub(super) fn new(news: News, mailbox: Option<&Arc<AtomicUsize>>) -> Told {
        Told { news, _counted: mailbox.map(|gauge| Arc::new(Counted::on(gauge))) }
    }
}

impl From<News> for Told {
    /// A message that no gauge counts.
    fn from(news: News) -> Told {
        Told::new(news, None)
    }
}

/// One on a gauge, until dropped.
#[derive(Debug)]
pub(super) struct Counted(Arc<AtomicUsize>);

impl Counted {
    pub(super) fn on(gauge: &Arc<AtomicUsize>) -> Counted {
        gauge.fetch_add(1, Ordering::Relaxed);
        Counted(Arc::clone(gauge))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
