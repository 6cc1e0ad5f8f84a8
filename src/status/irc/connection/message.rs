//! Single messages of the protocol: what a line that came says, and how one that goes is written.
//!
//! The `irc` crate knows the messages; its `Client` is not used. That one has no way back after a loss, no limit of time
//! for connecting and registering, reads lines without end into memory, ends at a byte that is no UTF-8, and sends the
//! password for services as PASS. What remained of it would be the parser, which is what we take.

use irc::proto::{Command, Message, Prefix};

/// Longest line that may be sent, without its end.
const LONGEST: usize = 510;

/// A line as the crate reads it; `None` for what is no message at all.
pub fn parse(line: &str) -> Option<Message> {
    line.parse().ok().filter(|message: &Message| !matches!(&message.command, Command::Raw(verb, _) if verb.is_empty()))
}

/// The number and the arguments of an answer, whether the crate has a name for it or not.
pub fn numeric(command: &Command) -> Option<(u16, &[String])> {
    match command {
        Command::Response(response, arguments) => Some((*response as u16, arguments)),
        Command::Raw(verb, arguments) if verb.len() == 3 => Some((verb.parse().ok()?, arguments)),
        _ => None,
    }
}

/// The nick of whoever sent it; `None` where a server did.
pub fn sender(message: &Message) -> Option<&str> {
    message.source_nickname().filter(|nick| !nick.is_empty())
}

/// User and host of whoever sent it, empty where the server does not say.
pub fn mask(message: &Message) -> (&str, &str) {
    match &message.prefix {
        Some(Prefix::Nickname(_, user, host)) => (user, host),
        Some(Prefix::ServerName(_)) | None => ("", ""),
    }
}

/// The value of a tag; an empty one is as none.
pub fn tag<'m>(message: &'m Message, name: &str) -> Option<&'m str> {
    let tags = message.tags.as_deref().unwrap_or_default();
    tags.iter().find(|tag| tag.0 == name).and_then(|tag| tag.1.as_deref()).filter(|value| !value.is_empty())
}

/// The line of a command, without its end: one line whatever is in it, and no longer than a server takes.
pub fn written(command: &Command) -> String {
    let text = String::from(command);
    let line = text.split(['\r', '\n', '\0']).next().unwrap_or_default();
    line[..line.floor_char_boundary(LONGEST)].to_owned()
}

/// A command of which the crate knows no more than its words.
pub fn raw(verb: &str, arguments: &[&str]) -> Command {
    Command::Raw(verb.to_owned(), arguments.iter().map(|argument| (*argument).to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn answers_are_numbers_known_or_not() {
        let known = parse(":irc.example.org 433 * bb :in use").unwrap();
        assert_eq!(numeric(&known.command).unwrap().0, 433);
        let unknown = parse(":irc.example.org 330 bb ada ada :is logged in as").unwrap();
        assert_eq!(
            numeric(&unknown.command).unwrap(),
            (330, &["bb", "ada", "ada", "is logged in as"].map(String::from)[..])
        );
    }

    #[test]
    fn nothing_can_start_a_second_command() {
        let quit = Command::PRIVMSG("#c".to_owned(), "a\r\nQUIT\0".to_owned());
        assert_eq!(written(&quit), "PRIVMSG #c a");
        assert_eq!(written(&Command::QUIT(Some("é".repeat(600)))).len(), 509);
    }

    proptest! {
        #[test]
        fn no_line_makes_us_panic(line in "[@: ]{0,3}\\PC{0,40}", words in "(@a=b;c )?(:n!u@h )?(MODE|CAP|BATCH|JOIN|433|005|PING|METADATA)( [:+*a-z#-]{0,5}){0,8}") {
            for line in [line, words] {
                if let Some(message) = parse(&line) {
                    numeric(&message.command);
                    written(&message.command);
                }
            }
        }
    }
}
