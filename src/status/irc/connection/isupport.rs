//! What a server says of itself (numeric 005).

use super::super::wire::{Casemapping, Server};

/// No server has longer nicks; what says so is not believed.
const LONGEST_NICK: usize = 64;
/// Limits of lines that are believed.
const LINES: std::ops::RangeInclusive<usize> = 512..=65_536;

/// Takes in the words of one such answer: all its arguments, the first of which is our nick and the last a remark.
pub fn note(server: &mut Server, arguments: &[String]) {
    for word in arguments.iter().skip(1) {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        match name {
            "CASEMAPPING" => {
                server.casemapping = match value {
                    "ascii" => Casemapping::Ascii,
                    "rfc1459-strict" | "strict-rfc1459" => Casemapping::Rfc1459Strict,
                    _ => Casemapping::Rfc1459,
                }
            }
            "CHANTYPES" if !value.is_empty() && value.chars().all(|c| c.is_ascii_punctuation()) => {
                value.clone_into(&mut server.channel_types);
            }
            "NICKLEN" => {
                let length = value.parse().ok().filter(|length| (1..=LONGEST_NICK).contains(length));
                server.nick_length = length.unwrap_or(server.nick_length);
            }
            "LINELEN" => {
                server.line_length =
                    value.parse().ok().filter(|length| LINES.contains(length)).unwrap_or(server.line_length);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(words: &str) -> Server {
        let mut server = Server::default();
        note(&mut server, &words.split(' ').map(str::to_owned).collect::<Vec<_>>());
        server
    }

    #[test]
    fn what_a_server_says_is_taken_in() {
        let server = server("bb CASEMAPPING=ascii CHANTYPES=#&+ NICKLEN=30 LINELEN=2048 SAFELIST :are");
        assert_eq!(server.casemapping, Casemapping::Ascii);
        assert_eq!((server.channel_types.as_str(), server.nick_length, server.line_length), ("#&+", 30, 2048));
    }

    #[test]
    fn what_cannot_be_is_not_believed() {
        assert_eq!(
            server("bb NICKLEN=99999999999999999999 LINELEN=0 CHANTYPES=abc CHANTYPES= NICKLEN"),
            Server::default()
        );
    }
}
