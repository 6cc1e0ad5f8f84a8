//! A letter as it goes over the wire (RFC 5322, MIME). Pure.

use super::address;
use super::letter::Mail;
use lettre::Message;
use lettre::address::Envelope;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment as Part, Mailbox, MessageBuilder, MultiPart, SinglePart};
use std::time::{Duration, UNIX_EPOCH};

/// An attachment with its text.
#[derive(Clone, Debug, PartialEq)]
pub struct Attached {
    pub file: String,
    pub content: Content,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    Text(String),
    Binary(Vec<u8>),
}

/// The headers a letter has of its own; those of `extraHeaders` of these names are not added.
pub const OWN_HEADERS: [&str; 13] = [
    "from",
    "to",
    "cc",
    "bcc",
    "subject",
    "date",
    "message-id",
    "in-reply-to",
    "references",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "sender",
];

/// The whole letter. The error is a sentence; it comes from an address or header that cannot be written.
pub fn bytes(mail: &Mail, attached: Vec<Attached>) -> Result<Vec<u8>, String> {
    let from = address::sender(&mail.from).ok_or_else(|| format!("\"{}\" is not a mail address", mail.from))?;
    let mut builder = Message::builder()
        .from(from.clone())
        .date(UNIX_EPOCH + Duration::from_secs(u64::try_from(mail.date.whole_seconds()).unwrap_or(0)))
        .subject(one_line(&mail.subject))
        .message_id(Some(bracketed(&mail.message_id)));
    for to in mailboxes(&mail.to) {
        builder = builder.to(to);
    }
    for cc in mailboxes(&mail.cc) {
        builder = builder.cc(cc);
    }
    if let Some(before) = &mail.in_reply_to {
        builder = builder.in_reply_to(bracketed(before)).references(references(mail, before));
    }
    for (name, value) in &mail.headers {
        builder = header(builder, name, value)?;
    }
    // Who gets it is told to the relay, not written here; something has to stand for it.
    let envelope = Envelope::new(Some(from.email.clone()), vec![from.email]).map_err(|cause| cause.to_string())?;
    let message = written(builder.envelope(envelope), mail, attached).map_err(|cause| cause.to_string())?;
    Ok(message.formatted())
}

fn references(mail: &Mail, before: &str) -> String {
    match &mail.thread {
        Some(first) if first != before => format!("{} {}", bracketed(first), bracketed(before)),
        _ => bracketed(before),
    }
}

fn bracketed(id: &str) -> String {
    format!("<{id}>")
}

/// Those that can be written where only ASCII can.
fn mailboxes(written: &[String]) -> impl Iterator<Item = Mailbox> {
    let ascii = |mailbox: &Mailbox| {
        let address: &str = mailbox.email.as_ref();
        address.is_ascii()
    };
    written.iter().filter_map(|written| address::recipient(written)).filter(ascii)
}

/// What came from a build cannot begin a header of its own.
fn one_line(text: &str) -> String {
    text.split(char::is_control).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

fn header(builder: MessageBuilder, name: &str, value: &str) -> Result<MessageBuilder, String> {
    let known = HeaderName::new_from_ascii(name.to_owned()).map_err(|_| format!("\"{name}\" is no header's name"))?;
    Ok(builder.raw_header(HeaderValue::new(known, one_line(value))))
}

fn written(builder: MessageBuilder, mail: &Mail, attached: Vec<Attached>) -> Result<Message, lettre::error::Error> {
    let plain = mail.text.as_ref().map(|text| SinglePart::plain(text.clone()));
    let html = mail.html.as_ref().map(|html| SinglePart::html(html.clone()));
    if attached.is_empty() {
        return match (plain, html) {
            (Some(plain), Some(html)) => builder.multipart(both(plain, html)),
            (None, Some(html)) => builder.singlepart(html),
            (Some(plain), None) => builder.singlepart(plain),
            (None, None) => builder.singlepart(SinglePart::plain(String::new())),
        };
    }
    let mixed = MultiPart::mixed();
    let mut mixed = match (plain, html) {
        (Some(plain), Some(html)) => mixed.multipart(both(plain, html)),
        (None, Some(html)) => mixed.singlepart(html),
        (plain, None) => mixed.singlepart(plain.unwrap_or_else(|| SinglePart::plain(String::new()))),
    };
    for Attached { file, content } in attached {
        mixed = mixed.singlepart(match content {
            Content::Text(text) => Part::new(file).body(text, ContentType::TEXT_PLAIN),
            Content::Binary(bytes) => Part::new(file).body(bytes, binary()),
        });
    }
    builder.multipart(mixed)
}

fn both(plain: SinglePart, html: SinglePart) -> MultiPart {
    MultiPart::alternative().singlepart(plain).singlepart(html)
}

fn binary() -> ContentType {
    ContentType::parse("application/octet-stream").expect("that is a type")
}
