//! The table of a waterfall as HTML. Written here because it is large: a template would take ten times as long.

use super::super::builders::Activity;
use super::layout::{Box, Content, Laid};
use crate::model::Time;
use crate::render::html::escape_into;
use crate::render::links::Links;
use crate::render::times::{self, Shape};

/// The head of one builder's column.
pub struct Head {
    pub name: String,
    pub href: String,
    pub last: Option<LastBox>,
    pub activity: Activity,
}

pub struct LastBox {
    pub class: &'static str,
    pub word: &'static str,
    pub href: String,
    pub text: String,
    pub failed_tests: i64,
}

pub fn html(heads: &[Head], laid: &Laid, zone: &str, links: &Links, now: Time) -> String {
    let mut out = Html(String::with_capacity(64 * 1024));
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
                out.raw(&times::element(time, Shape::Clock));
            }
            out.raw("</th>");
        }
        for cell in row.cells.iter().flatten() {
            match &cell.content {
                Content::Box(shown) => a_box(shown, cell.height, &mut out),
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
                out.open("td", &format!("LastBuild {}", last.class), 1);
                out.raw("<a href=\"").text(&last.href).raw("\">");
                sign(last.class, last.word, out);
                out.text(&last.text).raw("</a>");
                if last.failed_tests > 0 {
                    out.raw("<br>").text(&format!("Failed tests: {}", last.failed_tests));
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
            out.raw("<br>").raw(&end.away.element()).raw("<br>at ").raw(&times::element(end.at, Shape::Short));
        }
        if head.activity.pending > 0 {
            out.raw("<br>").text(&format!("{} pending", head.activity.pending));
        }
        for next in &head.activity.next {
            out.raw("<br>next ").raw(&next.away.element()).raw("<br>at ").raw(&times::element(next.at, Shape::Short));
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

fn a_box(shown: &Box, height: usize, out: &mut Html) {
    out.raw("<td class=\"").text(&shown.class).raw("\"");
    if height > 1 {
        out.raw(&format!(" rowspan=\"{height}\""));
    }
    if !shown.hover.is_empty() {
        out.raw(" title=\"").text(&shown.hover).raw("\"");
    }
    out.raw(">");
    if let Some(state) = shown.class.strip_prefix("BuildStep ").filter(|state| *state != "start") {
        sign(state, &shown.label, out);
    }
    let mut first = true;
    let mut next_line = |out: &mut Html| {
        if !std::mem::take(&mut first) {
            out.raw("<br>");
        }
    };
    for line in &shown.lines {
        next_line(out);
        out.text(line);
    }
    for (text, href) in &shown.links {
        next_line(out);
        out.link(href, text);
    }
    for (text, href) in &shown.external {
        next_line(out);
        out.raw("<span class=\"external\">[").link(href, text).raw("]</span>");
    }
    out.raw("</td>");
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

    fn open(&mut self, tag: &str, class: &str, height: usize) -> &mut Html {
        self.raw("<").raw(tag);
        if !class.is_empty() {
            self.raw(" class=\"").text(class).raw("\"");
        }
        if height > 1 {
            self.raw(&format!(" rowspan=\"{height}\""));
        }
        self.raw(">")
    }

    fn done(&mut self) {}
}
