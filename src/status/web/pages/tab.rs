//! What a page's tab says, for those who have another one in front: first what is red or running.
//!
//! Live pages say it in their content as well (`data-title`), so that it changes with it.

use crate::model::*;
use crate::render::words;
use crate::status::streak;

/// `2 red, 1 building · Waterfall`, by the last build of each builder on the page and how many run there.
pub fn overview<'a>(title: &str, last: impl Iterator<Item = &'a Build>, running: usize) -> String {
    let red = last.filter(|build| streak::is_bad(build.results)).count();
    let counts = [(red, "red"), (running, "building")];
    let told: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    if told.is_empty() { title.to_owned() } else { format!("{} · {title}", told.join(", ")) }
}

/// `✗ linux failed test`, and whether it builds just now.
pub fn builder(name: &str, last: Option<&Build>, builds: bool) -> String {
    match (last, builds) {
        (Some(build), true) => format!("{}, building", outcome(name, build)),
        (Some(build), false) => outcome(name, build),
        (None, true) => format!("{} {name} building", words::sign(None)),
        (None, false) => name.to_owned(),
    }
}

/// `✗ linux #42 failed test`, `● linux #42 building`
pub fn build(build: &Build) -> String {
    outcome(&build.reference().to_string(), build)
}

fn outcome(name: &str, build: &Build) -> String {
    let text = if build.finished.is_some() { words::line(&build.full_text()) } else { "building".to_owned() };
    format!("{} {name} {text}", words::sign(build.results))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_build(builder: &str, results: Option<Results>) -> Build {
        let text = results.map(|results| results.build_text().iter().map(|word| (*word).to_owned()).collect());
        Build {
            builder: builder.to_owned(),
            number: 42,
            results,
            finished: results.map(|_| Time(1)),
            text: text.unwrap_or_default(),
            reason: String::new(),
            source_stamps: Vec::new(),
            requests: Vec::new(),
            properties: Properties::new(),
            worker: String::new(),
            started: Time(0),
            eta: None,
            steps: Vec::new(),
        }
    }

    #[test]
    fn it_says_what_is_red_and_what_runs() {
        let said = |some: &[Results], running| {
            let last: Vec<Build> = some.iter().map(|results| a_build("b", Some(*results))).collect();
            overview("Waterfall", last.iter(), running)
        };
        assert_eq!(said(&[Results::Failure, Results::Success, Results::Exception], 1), "2 red, 1 building · Waterfall");
        assert_eq!(said(&[Results::Warnings], 1), "1 building · Waterfall");
        assert_eq!(said(&[], 0), "Waterfall");
    }

    #[test]
    fn it_says_how_one_is() {
        let (failed, running) = (a_build("linux", Some(Results::Failure)), a_build("linux", None));
        assert_eq!(build(&failed), "✗ linux #42 failed");
        assert_eq!(build(&running), "● linux #42 building");
        assert_eq!(builder("linux", Some(&failed), false), "✗ linux failed");
        assert_eq!(builder("linux", Some(&failed), true), "✗ linux failed, building");
        assert_eq!(
            (builder("linux", None, true), builder("linux", None, false)),
            ("● linux building".into(), "linux".into())
        );
    }
}
