//! The table of a waterfall as HTML. Written here because it is large: a template would take ten times as long.

use super::super::build::step_state;
use super::super::builders::Activity;
use super::columns::Shown;
use super::layout::{Content, Laid};
use crate::model::*;
use crate::render::asdict::Quoted;
use crate::render::html::escape_into;
use crate::render::links::{Links, outside};
use crate::render::times::{self, Shape};
use crate::render::{people, words};
use std::fmt::{Display, Write};
use std::sync::Arc;

/// The most builds that a change leads to.
const MOST_BUILDS: usize = 12;

/// About how many bytes a cell takes, and the heads of a column.
const CELL: usize = 220;
const HEAD: usize = 600;

/// The head of one builder's column.
pub struct Head {
    pub name: String,
    /// From the page to the builder's own.
    pub href: String,
    pub last: Option<LastBox>,
    pub activity: Activity,
}

pub struct LastBox {
    pub class: &'static str,
    pub word: &'static str,
    pub number: i64,
    pub text: String,
    pub failed_tests: i64,
}

pub fn html(heads: &[Head], laid: &Laid<Shown>, zone: &str, links: &Links, now: Time) -> String {
    let cells: usize = laid.rows.iter().map(|row| row.cells.len()).sum();
    let mut out = Html(String::with_capacity(cells * CELL + heads.len() * HEAD));
    out.raw("<table class=\"waterfall\">\n<thead>\n");
    // First, as it stays in sight.
    names(heads, zone, links, &mut out);
    last_builds(heads, &mut out);
    activities(heads, &mut out);
    out.raw("</thead>\n<tbody>\n");
    // The day is named where it is another than in the row before; today needs no name.
    let mut day = times::day(now);
    for row in &laid.rows {
        out.raw("<tr>");
        if let Some(cell) = &row.time {
            out.open("th", "Time", cell.height);
            if let Some(time) = cell.content {
                let its_day = times::day(time);
                if its_day != day {
                    out.raw("<span class=\"day\">").text(&its_day).raw("</span>");
                    day = its_day;
                }
                out.time(time, Shape::Clock);
            }
            out.raw("</th>");
        }
        for (column, cell) in &row.cells {
            // The first column is that of the changes.
            let builder = column.checked_sub(1).and_then(|column| heads.get(column)).map_or("", |head| &*head.href);
            match cell.content {
                Content::Box(shown) => a_box(shown, builder, links, cell.height, &mut out),
                Content::Blank => out.open("td", "", cell.height).raw("</td>").done(),
                Content::Unknown => out.open("td", "Unknown", cell.height).raw("?</td>").done(),
            }
        }
        out.raw("</tr>\n");
    }
    out.raw("</tbody>\n</table>\n");
    out.0
}

fn last_builds(heads: &[Head], out: &mut Html) {
    out.raw("<tr><th class=\"Project\" colspan=\"2\" scope=\"row\">last build</th>");
    for head in heads {
        match &head.last {
            Some(last) => {
                out.raw("<td class=\"LastBuild ").raw(last.class).raw("\">");
                out.raw("<a href=\"").text(&head.href).raw("/builds/").show(last.number).raw("\">");
                sign(last.class, last.word, out);
                out.text(&last.text).raw("</a>");
                if last.failed_tests > 0 {
                    out.raw("<br>Failed tests: ").show(last.failed_tests);
                }
                out.raw("</td>");
            }
            None => out.open("td", "LastBuild", 1).raw("none</td>").done(),
        }
    }
    out.raw("</tr>\n");
}

fn activities(heads: &[Head], out: &mut Html) {
    out.raw("<tr><th class=\"Project\" colspan=\"2\" scope=\"row\">current activity</th>");
    for head in heads {
        out.open("td", &head.activity.class, 1).text(head.activity.state);
        for end in &head.activity.ends {
            out.raw("<br>").raw(&end.away.element()).raw("<br>at ").time(end.at, Shape::Short);
        }
        if head.activity.pending > 0 {
            out.raw("<br>").show(head.activity.pending).raw(" pending");
        }
        for next in &head.activity.next {
            out.raw("<br>next ").raw(&next.away.element()).raw("<br>at ").time(next.at, Shape::Short);
        }
        out.raw("</td>");
    }
    out.raw("</tr>\n");
}

fn names(heads: &[Head], zone: &str, links: &Links, out: &mut Html) {
    out.raw("<tr class=\"names\"><th class=\"Time zone\" scope=\"col\">").text(zone).raw("</th>");
    out.raw("<th class=\"Change\" scope=\"col\">").link(&links.page("changes"), "changes").raw("</th>");
    for head in heads {
        out.raw("<th class=\"Builder\" scope=\"col\">").link(&head.href, &head.name).raw("</th>");
    }
    out.raw("</tr>\n");
}

/// A box; `builder` is the address of its builder's page.
fn a_box(shown: Shown, builder: &str, links: &Links, height: usize, out: &mut Html) {
    match shown {
        Shown::Change(change, builds) => {
            let hover: &str = cut(&change.comments, 500);
            out.open_with("td", "Change", height).hover(hover).raw(">");
            out.link(&links.change(change.number), people::name(&change.who));
            went_into(builds, links, out);
        }
        Shown::Event(event) => lines(&event.text, out.open("td", "Event", height)),
        Shown::Begun(build) => begun(build, builder, height, out),
        Shown::Step(build, step) => a_step(build, step, builder, height, out),
    }
    out.raw("</td>");
}

/// A sign for each build a change went into, as far as the columns have them; the page of the change has them all.
fn went_into(builds: &[Arc<Build>], links: &Links, out: &mut Html) {
    for (index, build) in builds.iter().take(MOST_BUILDS).enumerate() {
        out.raw(if index == 0 { "<br>" } else { " " });
        let word = format!("{} {}", build.reference(), words::word(build.results));
        out.raw("<a href=\"")
            .text(&links.build(&build.builder, build.number))
            .raw("\" title=\"")
            .text(&word)
            .raw("\">");
        sign(words::class(build.results), &word, out);
        out.raw("</a>");
    }
}

fn begun(build: &Build, builder: &str, height: usize, out: &mut Html) {
    let plain = build.steps.is_empty() && build.finished.is_some();
    let class = if plain { words::class(build.results) } else { "start" };
    out.open_step(class, height).hover(&build.reason).raw(">");
    if plain {
        sign(class, &format!("{} build {}", build.builder, build.number), out);
    }
    out.raw("<a href=\"")
        .text(builder)
        .raw("/builds/")
        .show(build.number)
        .raw("\">Build ")
        .show(build.number)
        .raw("</a>");
}

fn a_step(build: &Build, step: &Step, builder: &str, height: usize, out: &mut Html) {
    let (class, word) = step_state(step);
    out.open_step(class, height).raw(">");
    sign(class, word, out);
    lines(&step.text, out);
    let mut first = step.text.is_empty();
    let mut next_line = |out: &mut Html| {
        if !std::mem::take(&mut first) {
            out.raw("<br>");
        }
    };
    for log in &step.logs {
        next_line(out);
        out.raw("<a href=\"").text(builder).raw("/builds/").show(build.number).raw("/steps/").show(Quoted(&step.name));
        out.raw("/logs/").show(Quoted(&log.name)).raw("\">").text(&log.name).raw("</a>");
    }
    for (text, url) in &step.urls {
        if let Some(url) = outside(url) {
            next_line(out);
            out.raw("<span class=\"external\">[").link(url, text).raw("]</span>");
        }
    }
}

fn lines(text: &[String], out: &mut Html) {
    for (index, line) in text.iter().enumerate() {
        if index > 0 {
            out.raw("<br>");
        }
        out.text(line);
    }
}

/// So many characters of it at most.
fn cut(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).map_or(text, |(end, _)| &text[..end])
}

/// The sign beside the colour, with its word for those who hear the page.
fn sign(class: &str, word: &str, out: &mut Html) {
    out.raw("<span class=\"sign ").text(class).raw("\" role=\"img\" aria-label=\"").text(word).raw("\"></span>");
}

/// HTML being written; `text` escapes, `raw` is for what this file says itself.
struct Html(String);

impl Html {
    fn raw(&mut self, html: &str) -> &mut Html {
        self.0.push_str(html);
        self
    }

    fn text(&mut self, text: &str) -> &mut Html {
        escape_into(&mut self.0, text);
        self
    }

    fn link(&mut self, href: &str, text: &str) -> &mut Html {
        self.raw("<a href=\"").text(href).raw("\">").text(text).raw("</a>")
    }

    /// A number, or what else means nothing in HTML.
    fn show(&mut self, shown: impl Display) -> &mut Html {
        // Memory can always be written to.
        let _ = write!(self.0, "{shown}");
        self
    }

    fn time(&mut self, time: Time, shape: Shape) -> &mut Html {
        times::element_into(&mut self.0, time, shape);
        self
    }

    fn open(&mut self, tag: &str, class: &str, height: usize) -> &mut Html {
        self.open_with(tag, class, height).raw(">")
    }

    /// For further attributes.
    fn open_with(&mut self, tag: &str, class: &str, height: usize) -> &mut Html {
        self.raw("<").raw(tag);
        if !class.is_empty() {
            self.raw(" class=\"").text(class).raw("\"");
        }
        self.rowspan(height)
    }

    /// The cell of a build or a step, for further attributes.
    fn open_step(&mut self, class: &str, height: usize) -> &mut Html {
        self.raw("<td class=\"BuildStep ").raw(class).raw("\"").rowspan(height)
    }

    fn rowspan(&mut self, height: usize) -> &mut Html {
        match height {
            0 | 1 => self,
            height => self.raw(" rowspan=\"").show(height).raw("\""),
        }
    }

    fn hover(&mut self, text: &str) -> &mut Html {
        match text {
            "" => self,
            text => self.raw(" title=\"").text(text).raw("\""),
        }
    }

    fn done(&mut self) {}
}
