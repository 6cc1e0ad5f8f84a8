use super::Vcs;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// A person of the user database (`reference/manual/concepts.rst`, User Objects).
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct User {
    pub uid: i64,
    /// Unique, for people to tell users apart.
    pub identifier: String,
    /// For logging in; `None` for users that only have attributes.
    pub bb_username: Option<String>,
    /// A salted hash, never the password; not shown anywhere.
    #[serde(skip_serializing)]
    pub bb_password: Option<String>,
    /// `email`, `git`, `svn`, …: attribute type to its value.
    pub attributes: BTreeMap<String, String>,
}

/// The attribute that mail is sent to.
pub const EMAIL: &str = "email";

/// A mail address has no more bytes than this (RFC 5321).
const LONGEST_ADDRESS: usize = 254;

impl User {
    /// No identifier and no value of an attribute has more characters.
    pub const LONGEST: usize = 500;

    /// Whether an author of a change is somebody: neither empty, nor longer than a user can be, nor with line breaks.
    pub fn can_be(who: &str) -> bool {
        !who.chars().all(|letter| letter.is_whitespace() || "<>".contains(letter))
            && who.chars().count() <= User::LONGEST
            && !who.contains(char::is_control)
    }

    /// Who is met first as the author of a change.
    pub fn of_author(vcs: Vcs, who: &str) -> User {
        let mut user = User { identifier: who.to_owned(), ..User::default() };
        user.learn(vcs, who);
        user
    }

    /// Gives them the attributes of an author that they lack; what they have stays. True where something is new.
    pub fn learn(&mut self, vcs: Vcs, who: &str) -> bool {
        let before = self.attributes.len();
        self.attributes.entry(vcs.name().to_owned()).or_insert_with(|| who.to_owned());
        if let Some(address) = address_in(who) {
            self.attributes.entry(EMAIL.to_owned()).or_insert_with(|| address.to_owned());
        }
        self.attributes.len() > before
    }

    /// As others may know them: without the hash of their password.
    pub fn told(self) -> User {
        User { bb_password: None, ..self }
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("uid", &self.uid)
            .field("identifier", &self.identifier)
            .field("bb_username", &self.bb_username)
            .field("bb_password", &self.bb_password.as_ref().map(|_| "…"))
            .field("attributes", &self.attributes)
            .finish()
    }
}

/// The bare mail address of `Full Name <a@b>`, `<a@b>` or `a@b`; `None` where there is none that mail could go to.
pub fn address_in(who: &str) -> Option<&str> {
    let address = match who.rsplit_once('<') {
        Some((_, rest)) => rest.split_once('>')?.0,
        None => who,
    };
    Some(address.trim()).filter(|address| is_address(address))
}

/// Whether mail may be sent to this: one `@` with something before and after it, and no letter that a header or the
/// dialogue of SMTP could take for its own. Addresses in quotes, which nobody has, are none.
pub fn is_address(address: &str) -> bool {
    let strange = |letter: char| letter.is_control() || letter.is_whitespace() || "<>()[]{}\\,;:\"`|".contains(letter);
    match address.split_once('@') {
        Some((local, host)) => {
            let around = |part: &str| part.is_empty() || part.starts_with('.') || part.ends_with('.');
            !around(local)
                && !around(host)
                && !host.contains('@')
                && !local.starts_with('-')
                && address.len() <= LONGEST_ADDRESS
                && !address.contains(strange)
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_in_authors() {
        for (who, address) in [
            ("Ann Bell <ann@example.org>", Some("ann@example.org")),
            ("<ann@example.org>", Some("ann@example.org")),
            ("ann@example.org", Some("ann@example.org")),
            (" Ann < ann@example.org > ", Some("ann@example.org")),
            ("Ann <b> <ann@example.org>", Some("ann@example.org")),
            ("ann", None),
            ("Ann <>", None),
            ("Ann <ann@example.org", None),
            ("Ann <ann@host.(none)>", None),
            ("Ann <ann at example.org>", None),
            ("Ann <ann@example.org, bob@example.org>", None),
            ("Ann <a@b@c>", None),
            ("@example.org", None),
            ("-oQ/tmp@example.org", None),
            ("Ann <ann@example.org\r\nBcc: all@example.org>", None),
            ("", None),
        ] {
            assert_eq!(address_in(who), address, "{who}");
        }
        assert!(!is_address(&format!("{}@example.org", "a".repeat(300))));
    }

    #[test]
    fn who_is_nobody_becomes_no_user() {
        for who in ["", " ", "<>", " <> ", "a\nb", &"x".repeat(501)] {
            assert!(!User::can_be(who), "{who:?}");
        }
        assert!(User::can_be(&"ö".repeat(500)) && User::can_be("(no author)"));
    }

    #[test]
    fn what_somebody_has_stays() {
        let mut ann = User::of_author(Vcs::Git, "Ann <ann@example.org>");
        assert_eq!(ann.attributes["git"], "Ann <ann@example.org>");
        assert_eq!(ann.attributes[EMAIL], "ann@example.org");
        assert!(ann.learn(Vcs::Svn, "ann"));
        assert!(!ann.learn(Vcs::Git, "Ann Bell <bell@example.org>"));
        assert_eq!((ann.attributes.len(), &*ann.attributes[EMAIL]), (3, "ann@example.org"));
        ann.bb_password = Some("hush".to_owned());
        assert!(!format!("{ann:?}").contains("hush"));
    }
}
