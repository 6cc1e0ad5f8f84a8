//! Messages to programs inside messages to people (CTCP).

use super::super::wire::How;
use chrono::Utc;
use irc::proto::Command;

/// So much of what somebody wants to have back is sent back.
const ECHO: usize = 64;

/// What a message is.
#[derive(Debug, PartialEq)]
pub enum Content<'t> {
    Said(&'t str),
    Action(&'t str),
    /// A question to the program; its word in capitals, and what follows.
    Question(String, &'t str),
}

/// Reads the text of a message.
pub fn read(text: &str) -> Content<'_> {
    let Some(inside) = text.strip_prefix('\x01') else { return Content::Said(text) };
    let inside = inside.strip_suffix('\x01').unwrap_or(inside);
    let (word, rest) = inside.split_once(' ').unwrap_or((inside, ""));
    match word.to_ascii_uppercase() {
        action if action == "ACTION" => Content::Action(rest),
        word => Content::Question(word, rest),
    }
}

/// The answer to a question, `None` for those nobody needs answered.
pub fn answer(asker: &str, word: &str, rest: &str) -> Option<Command> {
    let said = match word {
        "VERSION" => format!("Signalbox {}", env!("CARGO_PKG_VERSION")),
        "PING" => rest[..rest.floor_char_boundary(ECHO)].replace('\x01', ""),
        "TIME" => Utc::now().to_rfc2822(),
        "SOURCE" => "Signalbox".to_owned(),
        "CLIENTINFO" => "ACTION CLIENTINFO PING SOURCE TIME VERSION".to_owned(),
        _ => return None,
    };
    Some(Command::NOTICE(asker.to_owned(), format!("\x01{word} {said}\x01")))
}

/// How text is written so.
pub fn command(to: &str, how: How, text: String) -> Command {
    match how {
        How::Message => Command::PRIVMSG(to.to_owned(), text),
        How::Notice => Command::NOTICE(to.to_owned(), text),
        How::Action => Command::PRIVMSG(to.to_owned(), format!("\x01ACTION {text}\x01")),
    }
}

/// How many bytes a line has beside its text.
pub fn overhead(to: &str, how: How) -> usize {
    let frame = match how {
        How::Message => "PRIVMSG  :".len(),
        How::Notice => "NOTICE  :".len(),
        How::Action => "PRIVMSG  :\x01ACTION \x01".len(),
    };
    frame + to.len()
}

#[cfg(test)]
mod tests {
    use super::super::message::written;
    use super::*;

    #[test]
    fn actions_questions_and_text_are_told_apart() {
        assert_eq!(read("hello"), Content::Said("hello"));
        assert_eq!(read("\x01ACTION waves\x01"), Content::Action("waves"));
        assert_eq!(read("\x01action"), Content::Action(""));
        assert_eq!(read("\x01ping 12 3\x01"), Content::Question("PING".to_owned(), "12 3"));
        assert_eq!(read("\x01"), Content::Question(String::new(), ""));
    }

    #[test]
    fn answers_are_short_notices() {
        let ping = answer("ada", "PING", &"é".repeat(100)).map(|command| written(&command)).unwrap();
        assert_eq!(ping, format!("NOTICE ada :\x01PING {}\x01", "é".repeat(32)));
        assert!(answer("ada", "VERSION", "").is_some());
        assert_eq!(answer("ada", "DCC", "SEND x"), None);
    }

    #[test]
    fn the_overhead_is_what_is_written_around_the_text() {
        for how in [How::Message, How::Notice, How::Action] {
            let line = written(&command("#c", how, "some text".to_owned()));
            assert_eq!(line.len(), overhead("#c", how) + "some text".len());
        }
    }
}
