//! The lines about builds that nobody asked for just now: what has begun, what has ended, what somebody waited for.

use super::config::Config;
use super::words::{clean, eta, including, result, revisions, text};
use crate::model::{Build, Results, Time};
use crate::render::asdict::Urls;

/// To those who want to know of each start.
pub fn started(build: &Build, config: &Config) -> String {
    let builder = clean(&build.builder);
    match config.use_revisions {
        true => format!("build containing revision(s) [{}] on {builder} started", revisions(build)),
        false => format!("build #{} of {builder} started{}", build.number, including(build)),
    }
}

/// To those who want to know of its end.
pub fn finished(build: &Build, config: &Config, buildbot_url: &str) -> String {
    let builder = clean(&build.builder);
    let build_words = match config.use_revisions {
        true => format!("build containing revision(s) [{}] on {builder}", revisions(build)),
        false => format!("build #{} of {builder}", build.number),
    };
    let mut line = format!("{build_words} is complete: {} [{}]", result(build.results), text(build, config.use_colors));
    if let Some(address) = address(build, buildbot_url) {
        line.push_str(&format!("  Build details are at {address}"));
    }
    let blame = build.blamelist();
    if config.show_blame_list && build.results != Some(Results::Success) && !blame.is_empty() {
        line.push_str(&format!("  blamelist: {}", clean(&blame.join(", "))));
    }
    line
}

/// To whoever watched it, or had it built; two lines.
pub fn hey(build: &Build, config: &Config, buildbot_url: &str) -> String {
    let builder = clean(&build.builder);
    let build_words = match config.use_revisions {
        true => format!("build {builder} containing revision(s) [{}]", revisions(build)),
        false => format!("build {builder} #{}", build.number),
    };
    let line =
        format!("Hey! {build_words} is complete: {} [{}]", result(build.results), text(build, config.use_colors));
    match address(build, buildbot_url) {
        Some(address) => format!("{line}\nBuild details are at {address}"),
        None => line,
    }
}

/// To whoever had it built, when it begins; two lines.
pub fn forced(build: &Build, config: &Config, now: Time) -> String {
    let line = match (config.use_revisions, eta(build, now)) {
        (_, Some(eta)) => format!("build forced [ETA {eta}]"),
        (true, None) => format!("build containing revision(s) [{}] forced", revisions(build)),
        (false, None) => format!("build #{} forced", build.number),
    };
    format!("{line}\nI'll give a shout when the build finishes")
}

fn address(build: &Build, buildbot_url: &str) -> Option<String> {
    (!buildbot_url.is_empty()).then(|| Urls::new(buildbot_url).build(&build.reference()))
}
