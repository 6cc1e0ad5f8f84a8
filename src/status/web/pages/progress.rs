//! How far a running build has come.

use super::bar::percent;
use crate::model::*;
use crate::render::times;
use serde::Serialize;

/// For a thin bar and the words beside it.
#[derive(Serialize)]
pub struct Progress {
    /// `None` where nothing is expected yet: the builder has never succeeded.
    percent: Option<u8>,
    /// `3 min 12 s left`, `20 s longer than usual`, or how long it has been running.
    words: String,
    late: bool,
}

pub fn of(build: &Build, now: Time) -> Progress {
    let ran = now.since(build.started);
    match build.eta {
        Some(end) if end > now => Progress {
            percent: Some(percent(ran, end.since(build.started)).min(99)),
            words: format!("{} left", times::brief(end.since(now))),
            late: false,
        },
        Some(end) => Progress {
            percent: Some(99),
            words: format!("{} longer than usual", times::brief(now.since(end))),
            late: true,
        },
        None => Progress { percent: None, words: format!("for {}", times::brief(ran)), late: false },
    }
}
