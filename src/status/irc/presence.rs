//! Where the bot is just now: connected or not, under which nick, in which channels.

use super::wire::Server;
use std::collections::BTreeMap;

/// Kept beside the bot, so that one that is restarted after a panic knows it: the connection goes on meanwhile.
#[derive(Clone, Debug)]
pub struct Presence {
    pub connected: bool,
    /// What we are called.
    pub nick: String,
    pub server: Server,
    /// By folded name, as the server spells them.
    joined: BTreeMap<String, String>,
    /// Those that somebody sent us into: they are joined again after the connection was lost.
    visiting: BTreeMap<String, Visit>,
}

/// A channel that the configuration does not name.
#[derive(Clone, Debug)]
pub struct Visit {
    pub channel: String,
    pub key: Option<crate::config::Secret>,
}

impl Presence {
    /// Nowhere yet; the nick is the one that is wanted.
    pub fn new(nick: &str) -> Presence {
        Presence {
            connected: false,
            nick: nick.to_owned(),
            server: Server::default(),
            joined: BTreeMap::new(),
            visiting: BTreeMap::new(),
        }
    }

    /// The form of a name that tells it from others.
    pub fn fold(&self, name: &str) -> String {
        self.server.casemapping.fold(name)
    }

    pub fn same(&self, one: &str, other: &str) -> bool {
        self.server.casemapping.same(one, other)
    }

    pub fn connected(&mut self, nick: String, server: Server) {
        self.connected = true;
        self.nick = nick;
        self.server = server;
        self.joined.clear();
    }

    pub fn lost(&mut self) {
        self.connected = false;
        self.joined.clear();
    }

    pub fn entered(&mut self, channel: &str) {
        self.joined.insert(self.fold(channel), channel.to_owned());
    }

    pub fn left(&mut self, channel: &str) {
        self.joined.remove(&self.fold(channel));
    }

    pub fn is_in(&self, channel: &str) -> bool {
        self.joined.contains_key(&self.fold(channel))
    }

    pub fn channels(&self) -> usize {
        self.joined.len()
    }

    pub fn visit(&mut self, visit: Visit) {
        self.visiting.insert(self.fold(&visit.channel), visit);
    }

    pub fn visit_no_more(&mut self, channel: &str) {
        self.visiting.remove(&self.fold(channel));
    }

    /// Somebody sent us there, whether we are in or still try.
    pub fn is_visiting(&self, channel: &str) -> bool {
        self.visiting.contains_key(&self.fold(channel))
    }

    pub fn visits(&self) -> Vec<Visit> {
        self.visiting.values().cloned().collect()
    }

    /// What follows one of these nicks and a `:` or `,`; `None` where the text is not meant for any of them.
    pub fn addressed<'t>(&self, text: &'t str, nicks: &[&str]) -> Option<&'t str> {
        nicks.iter().find_map(|nick| {
            let (start, rest) = text.split_at_checked(nick.len())?;
            let rest = rest.strip_prefix([':', ','])?;
            self.same(start, nick).then_some(rest)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_addressed_by_any_of_its_nicks_whatever_their_case() {
        let presence = Presence::new("Build[er]");
        let nicks = ["Build[er]_", "Build[er]"];
        let addressed = |text| presence.addressed(text, &nicks);
        assert_eq!(addressed("build{er}: status"), Some(" status"));
        assert_eq!(addressed("BUILD[ER]_,status"), Some("status"));
        for other in ["build[er] status", "hey build[er]: x", "build[er", "bu\u{ef}ld[er: x", "builder: x", ""] {
            assert_eq!(addressed(other), None, "{other}");
        }
    }
}
