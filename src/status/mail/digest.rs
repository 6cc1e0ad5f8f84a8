//! One letter for all that happened within a time: made when it is sent, from what waited for the end of its window.

use super::letter::{Line, Mail, Sender};
use crate::model::{Results, Time};
use crate::render::{Templates, words};
use crate::status::streak;
use lettre::Address;
use serde::Serialize;

/// What waits in one batch, by recipient and window.
#[derive(Default)]
pub struct Digests(Vec<Waiting>);

struct Waiting {
    places: Vec<usize>,
    to: Address,
    window: Time,
    /// The id of the first delivery, by which the digest is known: the same after a crash.
    first: String,
    /// The first letter, whose sender and headers the digest has.
    like: Mail,
    lines: Vec<Line>,
}

#[derive(Serialize)]
struct DigestView {
    subject: String,
    lines: Vec<LineView>,
}

#[derive(Serialize)]
struct LineView {
    sign: &'static str,
    word: &'static str,
    builder: String,
    /// Text, for 0 is a number, too.
    number_text: Option<String>,
    text: String,
    blamelist: String,
    url: Option<String>,
}

impl Digests {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the letter at this place of the batch.
    pub fn add(&mut self, place: usize, id: &str, mut mail: Mail, to: Address) {
        let Some(line) = mail.digest.take() else { return };
        let known = self.0.iter_mut().find(|waiting| waiting.window == line.window && waiting.to == to);
        match known {
            Some(waiting) => {
                waiting.places.push(place);
                waiting.lines.push(line);
            }
            None => self.0.push(Waiting {
                places: vec![place],
                to,
                window: line.window,
                first: id.to_owned(),
                like: mail,
                lines: vec![line],
            }),
        }
    }

    /// The letters with the places they stand for. `sender` knows whose letters come from an address.
    pub fn letters(self, sender: impl Fn(&str) -> Sender, templates: &Templates) -> Vec<(Vec<usize>, Address, Mail)> {
        let letter = |waiting: Waiting| {
            let mail = waiting.letter(&sender(&waiting.like.from), templates);
            (waiting.places, waiting.to, mail)
        };
        self.0.into_iter().map(letter).collect()
    }
}

impl Waiting {
    fn letter(&self, sender: &Sender, templates: &Templates) -> Mail {
        let title = self.lines.first().map(|line| line.title.clone()).unwrap_or_default();
        let subject = format!("buildbot {} in {title}", counted(&self.lines));
        let view = DigestView { subject: subject.clone(), lines: self.lines.iter().map(LineView::of).collect() };
        let filled = |template: &str| match templates.render(template, &view) {
            Ok(text) => Some(text),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a digest lacks a part");
                None
            }
        };
        Mail {
            recipient: self.like.recipient.clone(),
            from: self.like.from.clone(),
            to: vec![self.like.recipient.clone()],
            message_id: sender.id_of_digest(&format!("{} {}", self.first, self.like.recipient)),
            date: self.window,
            headers: self.like.headers.clone(),
            text: filled("mail_digest_text"),
            html: filled("mail_digest_html"),
            subject,
            ..Mail::default()
        }
    }
}

/// `digest: 12 builds, 3 of them bad`
fn counted(lines: &[Line]) -> String {
    let bad = lines.iter().filter(|line| streak::is_bad(line.results.or(Some(Results::Success)))).count();
    let builds = words::count(lines.len(), "build");
    if bad == 0 { format!("digest: {builds}, all good") } else { format!("digest: {builds}, {bad} of them bad") }
}

impl LineView {
    fn of(line: &Line) -> LineView {
        LineView {
            sign: words::sign(line.results),
            word: words::class(line.results),
            builder: line.builder.clone(),
            number_text: line.number.map(|number| number.to_string()),
            text: line.text.clone(),
            blamelist: line.blamelist.clone(),
            url: line.url.clone(),
        }
    }
}
