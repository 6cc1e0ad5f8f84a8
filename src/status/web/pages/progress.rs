//! How far a running build has come.

use super::bar::percent;
use crate::model::*;
use crate::render::counted::Counted;
use serde::Serialize;

/// For a thin bar and the words beside it, which the page's script moves on.
#[derive(Serialize)]
pub struct Progress {
    /// `None` where nothing is expected yet: the builder has never succeeded.
    bar: Option<Bar>,
    /// `3 min 12 s left`, `late by 20 s`, or how long it has been running.
    words: Counted,
}

#[derive(Serialize)]
struct Bar {
    percent: u8,
    late: bool,
    /// The moments it is empty and full at, in milliseconds.
    from: i64,
    to: i64,
}

/// What has not ended has something left to do, however late it is.
pub const MOST: u8 = 99;

pub fn of(build: &Build, now: Time) -> Progress {
    let bar = |end: Time| Bar {
        percent: percent(now.since(build.started), end.since(build.started)).clamp(1, MOST),
        late: end <= now,
        from: build.started.0.div_euclid(1_000),
        to: end.0.div_euclid(1_000),
    };
    Progress {
        bar: build.eta.map(bar),
        words: match build.eta {
            Some(end) => Counted::left(end, now),
            None => Counted::taken(build.started, None, now),
        },
    }
}
