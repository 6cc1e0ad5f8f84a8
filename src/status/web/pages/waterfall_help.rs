//! Every argument the waterfall takes as a form, filled in from the address (`reference/webstatus.md` §3.6).
//!
//! What is sent without a change shows the same waterfall again. Names that no builder bears any more stay in the form,
//! ticked, so that they can be taken off.

use super::super::fault::Fault;
use super::super::fields::Fields;
use super::super::viewer::Viewer;
use super::builders::{Filter, tags_of};
use super::waterfall::{failures_only, shows_events};
use crate::db::builders;
use crate::model::*;
use crate::render::links::Links;
use actix_web::HttpResponse;
use serde::Serialize;

/// The paces offered for reloading, in seconds.
const PACES: [i64; 3] = [60, 300, 600];

pub async fn page(viewer: Viewer) -> Result<HttpResponse, Fault> {
    let builders = viewer.read(|reader| Ok(builders::all(reader.conn)?)).await?;
    let rows = i64::from(viewer.settings().num_events);
    let view = view(builders, viewer.fields(), rows, viewer.links())?;
    viewer.page("waterfall_help", "Waterfall help", "waterfall", || view).await
}

#[derive(Serialize)]
struct HelpView {
    action: String,
    events: bool,
    failures_only: bool,
    ticks: Vec<Ticks>,
    texts: Vec<Texts>,
    paces: Vec<Pace>,
    num_events: Option<i64>,
    /// How many rows there are unless the address says.
    usual_rows: i64,
    show_time: Option<i64>,
    moments: Vec<Moment>,
    /// Cells are not merged; only carried along.
    nobubble: Option<String>,
}

/// An argument whose values are known: a box to tick for each.
#[derive(Serialize)]
struct Ticks {
    legend: &'static str,
    argument: &'static str,
    choices: Vec<Choice>,
}

#[derive(Serialize)]
struct Choice {
    value: String,
    ticked: bool,
    known: bool,
}

/// An argument that takes any text: a box to type in for each value, and an empty one more.
#[derive(Serialize)]
struct Texts {
    legend: &'static str,
    argument: &'static str,
    boxes: Vec<TextBox>,
}

#[derive(Serialize)]
struct TextBox {
    id: String,
    label: String,
    value: String,
}

/// A pace of reloading; no seconds for not at all.
#[derive(Serialize)]
struct Pace {
    seconds: Option<i64>,
    words: String,
    chosen: bool,
}

/// An end of the window of time, which nobody types in: it can be kept or dropped.
#[derive(Serialize)]
struct Moment {
    argument: &'static str,
    words: &'static str,
    seconds: i64,
    time: Time,
}

fn view(builders: Vec<Builder>, fields: &Fields, usual_rows: i64, links: &Links) -> Result<HelpView, Fault> {
    let names = builders.iter().map(|builder| builder.name.clone()).collect();
    Ok(HelpView {
        action: links.page("waterfall"),
        events: shows_events(fields),
        failures_only: failures_only(fields),
        ticks: vec![
            ticks("Builders", "builder", names, Filter::of(fields).builders),
            ticks("Tags", "tag", tags_of(&builders), fields.all(&["tag"])),
        ],
        texts: vec![
            texts("Branches", "branch", "Branch", fields),
            texts("Committers", "committer", "Committer", fields),
            texts("Projects", "project", "Project", fields),
            texts("Categories of changes, and of builders if no tag is ticked", "category", "Category", fields),
        ],
        paces: paces(fields),
        num_events: fields.integer("num_events")?,
        usual_rows,
        show_time: fields.integer("show_time")?,
        moments: [("first_time", "Nothing before"), ("last_time", "Nothing after")]
            .into_iter()
            .filter_map(|(argument, words)| moment(argument, words, fields).transpose())
            .collect::<Result<_, _>>()?,
        nobubble: fields.get("nobubble").map(str::to_owned),
    })
}

/// All that are known, then those asked for that are not.
fn ticks(legend: &'static str, argument: &'static str, known: Vec<String>, asked: Vec<String>) -> Ticks {
    let mut unknown: Vec<String> = asked.iter().filter(|name| !known.contains(name)).cloned().collect();
    unknown.sort();
    unknown.dedup();
    let known = known.into_iter().map(|value| Choice { ticked: asked.contains(&value), value, known: true });
    let unknown = unknown.into_iter().map(|value| Choice { value, ticked: true, known: false });
    Ticks { legend, argument, choices: known.chain(unknown).collect() }
}

fn texts(legend: &'static str, argument: &'static str, word: &str, fields: &Fields) -> Texts {
    let values = fields.all(&[argument]);
    let more = values.len();
    let filled = values.into_iter().enumerate().map(|(index, value)| (format!("{word} {}", index + 1), value));
    let empty = match more {
        0 => word.to_owned(),
        _ => format!("One more {}", word.to_lowercase()),
    };
    let boxes = filled.chain([(empty, String::new())]).enumerate();
    let boxes = boxes.map(|(index, (label, value))| TextBox { id: format!("{argument}-{index}"), label, value });
    Texts { legend, argument, boxes: boxes.collect() }
}

/// Not at all, the usual ones, and the one in force if it is none of them; what is no number means not at all.
fn paces(fields: &Fields) -> Vec<Pace> {
    let now: Option<i64> = fields.get("reload").and_then(|seconds| seconds.trim().parse().ok());
    let now = now.filter(|&seconds| seconds > 0);
    let own = now.filter(|seconds| !PACES.contains(seconds));
    let choices = std::iter::once(None).chain(PACES.into_iter().chain(own).map(Some));
    let words = |seconds: Option<i64>| match seconds {
        None => "not at all".to_owned(),
        Some(seconds) => format!("every {seconds} seconds"),
    };
    choices.map(|seconds| Pace { seconds, words: words(seconds), chosen: seconds == now }).collect()
}

fn moment(argument: &'static str, words: &'static str, fields: &Fields) -> Result<Option<Moment>, Fault> {
    let seconds = fields.integer(argument)?;
    Ok(seconds.map(|seconds| Moment { argument, words, seconds, time: Time::from_seconds(seconds) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(query: &str) -> Vec<String> {
        let texts = texts("Branches", "branch", "Branch", &Fields::parse(query));
        texts.boxes.into_iter().map(|text| format!("{}: {}", text.label, text.value)).collect()
    }

    #[test]
    fn there_is_always_one_empty_box_more() {
        assert_eq!(labels(""), ["Branch: "]);
        assert_eq!(labels("branch=&branch=a&branch=b"), ["Branch 1: a", "Branch 2: b", "One more branch: "]);
    }

    #[test]
    fn the_pace_in_force_is_offered() {
        let chosen = |query: &str| {
            let paces = paces(&Fields::parse(query)).into_iter();
            paces.map(|pace| (pace.seconds.unwrap_or(0), pace.chosen)).collect::<Vec<_>>()
        };
        assert_eq!(chosen("reload=soon"), [(0, true), (60, false), (300, false), (600, false)]);
        assert_eq!(chosen("reload=60"), [(0, false), (60, true), (300, false), (600, false)]);
        assert_eq!(chosen("reload=90"), [(0, false), (60, false), (300, false), (600, false), (90, true)]);
    }

    #[test]
    fn names_that_are_gone_can_be_taken_off() {
        let asked = vec!["gone".to_owned(), "b".to_owned(), "gone".to_owned()];
        let ticks = ticks("Builders", "builder", vec!["a".to_owned(), "b".to_owned()], asked);
        let choices = ticks.choices.iter().map(|choice| (choice.value.as_str(), choice.ticked, choice.known));
        assert_eq!(choices.collect::<Vec<_>>(), [("a", false, true), ("b", true, true), ("gone", true, false)]);
    }
}
